//! Every kernel of every instruction set against the definition in f64.
//!
//! The oracle lists the products of a convolution, (input, weight, output) by place, and knows nothing of blocks of
//! channels, runs of taps or tiles. Small integers have exact sums, so there all kernels must agree with it to the
//! bit, but for Winograd's larger tiles, whose matrices hold roots; other numbers must be within c eps sum|x w|, with
//! c = 4 + sqrt(number of products), eight times that for Winograd's.

use super::*;
use crate::array::LANES;
use proptest::prelude::*;
use std::sync::Once;

/// The instruction sets to test; those that this machine lacks are named once, not passed over in silence.
fn isas() -> impl Iterator<Item = Isa> {
    static SKIPPED: Once = Once::new();
    SKIPPED.call_once(|| {
        for isa in Isa::ALL.iter().filter(|isa| !isa.available()) {
            eprintln!("SKIPPED: kernels for {}, which this machine lacks", isa.name());
        }
    });
    Isa::ALL.iter().copied().filter(|isa| isa.available())
}

/// Every product of the layer: f(place in x, place in weight, place in y).
type Products<'a> = &'a dyn Fn(&mut dyn FnMut(usize, usize, usize));

fn conv_products(g: &ConvGeometry, f: &mut dyn FnMut(usize, usize, usize)) {
    let ([h, w], [oh, ow], [kh, kw]) = (g.input, g.output, g.window.kernel);
    let (ci, co) = (g.c_in / g.groups, g.c_out / g.groups);
    let place = |n: usize, channels: usize, c: usize, [h, w]: [usize; 2], i: usize, j: usize| {
        ((((n / g.lanes) * channels + c) * h + i) * w + j) * g.lanes + n % g.lanes
    };
    for n in 0..g.blocks * g.lanes {
        for o in 0..g.c_out {
            for (i, j) in (0..oh).flat_map(|i| (0..ow).map(move |j| (i, j))) {
                for c in 0..ci {
                    for (u, v) in (0..kh).flat_map(|u| (0..kw).map(move |v| (u, v))) {
                        let at = |axis: usize, o: usize, u: usize| {
                            (o * g.window.stride[axis] + u * g.window.dilation[axis]) as isize
                                - g.window.pad[axis] as isize
                        };
                        let (a, b) = (at(0, i, u), at(1, j, v));
                        if a < 0 || b < 0 || a >= h as isize || b >= w as isize {
                            continue;
                        }
                        f(
                            place(n, g.c_in, o / co * ci + c, [h, w], a as usize, b as usize),
                            ((o * ci + c) * kh + u) * kw + v,
                            place(n, g.c_out, o, [oh, ow], i, j),
                        );
                    }
                }
            }
        }
    }
}

fn dense_products(g: &DenseGeometry, f: &mut dyn FnMut(usize, usize, usize)) {
    for n in 0..g.blocks * g.lanes {
        let place = |len: usize, k: usize| (n / g.lanes * len + k) * g.lanes + n % g.lanes;
        for o in 0..g.outputs {
            for k in 0..g.inputs {
                f(place(g.inputs, k), o * g.inputs + k, place(g.outputs, o));
            }
        }
    }
}

/// A sum, the sum of magnitudes, and how many products.
#[derive(Clone, Copy, Default)]
struct Sum(f64, f64, usize);

impl Sum {
    fn add(&mut self, product: f64) {
        *self = Sum(self.0 + product, self.1 + product.abs(), self.2 + 1);
    }
}

/// A geometry with a way to list its products and to run its kernels.
struct Case<'a> {
    name: String,
    products: Products<'a>,
    /// Output channel of each place in y.
    channel: &'a dyn Fn(usize) -> usize,
    sizes: [usize; 4],
    run: &'a dyn Fn(Isa, &Input) -> Output,
    /// How much larger than a direct sum's its error may be.
    slack: f64,
    /// Sums of small integers are exact.
    whole: bool,
}

/// x, weight, bias, dy.
struct Input {
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
}

/// y, dx, dweight, dbias.
#[derive(Clone, Debug, PartialEq)]
struct Output([Vec<f32>; 4]);

impl Output {
    fn bits(&self) -> [Vec<u32>; 4] {
        self.0.each_ref().map(|v| v.iter().map(|x| x.to_bits()).collect())
    }
}

/// Numbers in -4..=4 in steps of `1 / grain`: integers for 1, many bits otherwise.
fn numbers(len: usize, seed: u64, grain: i64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 11) as i64 % (8 * grain + 1) - 4 * grain) as f32 / grain as f32
        })
        .collect()
}

impl Case<'_> {
    fn input(&self, seed: u64, grain: i64) -> Input {
        let [x, weight, bias, dy] = self.sizes;
        Input {
            x: numbers(x, seed, grain),
            weight: numbers(weight, seed + 1, grain),
            bias: numbers(bias, seed + 2, grain),
            dy: numbers(dy, seed + 3, grain),
        }
    }

    fn oracle(&self, input: &Input) -> [Vec<Sum>; 4] {
        let [x, weight, bias, dy] = self.sizes;
        let mut out = [
            vec![Sum::default(); dy],
            vec![Sum::default(); x],
            vec![Sum::default(); weight],
            vec![Sum::default(); bias],
        ];
        let [y, dx, dw, db] = &mut out;
        for (i, (y, &d)) in y.iter_mut().zip(&input.dy).enumerate() {
            let channel = (self.channel)(i);
            y.add(f64::from(input.bias[channel]));
            db[channel].add(f64::from(d));
        }
        (self.products)(&mut |a, b, c| {
            let (x, w, d) = (f64::from(input.x[a]), f64::from(input.weight[b]), f64::from(input.dy[c]));
            y[c].add(x * w);
            dx[a].add(d * w);
            dw[b].add(x * d);
        });
        out
    }

    /// The whole battery for one geometry.
    fn check(&self) {
        let (integers, reals) = (self.input(1, 1), self.input(7, 1_000_003));
        let (exact, bound) = (self.oracle(&integers), self.oracle(&reals));
        let mut first_simd: Option<(Isa, Output)> = None;
        for isa in isas() {
            let name = format!("{} on {}", self.name, isa.name());
            let got = (self.run)(isa, &integers);
            for ((array, got), want) in ["y", "dx", "dw", "db"].iter().zip(&got.0).zip(&exact) {
                for (i, (got, want)) in got.iter().zip(want).enumerate().filter(|_| self.whole) {
                    assert_eq!(f64::from(*got), want.0, "{array}[{i}] of {name}");
                }
            }
            let got = (self.run)(isa, &reals);
            for ((array, got), want) in ["y", "dx", "dw", "db"].iter().zip(&got.0).zip(&bound) {
                for (i, (&got, Sum(want, size, count))) in got.iter().zip(want).enumerate() {
                    let allowed =
                        self.slack * (4.0 + (*count as f64).sqrt()) * f64::from(f32::EPSILON) * size;
                    assert!((f64::from(got) - want).abs() <= allowed, "{array}[{i}] of {name}: {got} {want}");
                }
            }
            self.check_adjoint(&name, &reals, &got, &bound);
            if isa != Isa::Portable {
                match &first_simd {
                    None => first_simd = Some((isa, got)),
                    Some((other, want)) => {
                        assert_eq!(want.bits(), got.bits(), "{name} and {} differ in bits", other.name());
                    }
                }
            }
        }
    }

    /// <y - bias, dy> = <x, dx> = <weight, dweight>.
    fn check_adjoint(&self, name: &str, input: &Input, got: &Output, bound: &[Vec<Sum>; 4]) {
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        let Output([y, dx, dw, _]) = got;
        let without_bias: f64 = y
            .iter()
            .zip(&input.dy)
            .enumerate()
            .map(|(i, (&y, &d))| (f64::from(y) - f64::from(input.bias[(self.channel)(i)])) * f64::from(d))
            .sum();
        let (by_x, by_weight) = (dot(&input.x, dx), dot(&input.weight, dw));
        let size: f64 = bound[0].iter().zip(&input.dy).map(|(s, &d)| s.1 * f64::from(d).abs()).sum();
        let longest = bound.iter().flatten().map(|s| s.2).max().unwrap_or(0) as f64;
        let allowed = 2.0 * self.slack * (4.0 + longest.sqrt()) * f64::from(f32::EPSILON) * size;
        assert!((without_bias - by_x).abs() <= allowed, "<y, dy> {without_bias} <x, dx> {by_x} of {name}");
        assert!(
            (without_bias - by_weight).abs() <= allowed,
            "<y, dy> {without_bias} <w, dw> {by_weight} of {name}"
        );
    }
}

/// Runs `f` on NaNs with more NaNs round them, and checks that it wrote all of its own and none of the others.
fn guarded(len: usize, f: impl FnOnce(&mut [f32])) -> Vec<f32> {
    const GUARD: usize = 64;
    let poison = f32::from_bits(0x7fc1_2345);
    let mut buffer = crate::array::Aligned::from_slice(&vec![poison; len + 2 * GUARD]);
    f(&mut buffer[GUARD..GUARD + len]);
    let untouched = |v: &[f32]| v.iter().all(|x| x.to_bits() == poison.to_bits());
    assert!(
        untouched(&buffer[..GUARD]) && untouched(&buffer[GUARD + len..]),
        "a kernel wrote outside its array"
    );
    buffer[GUARD..GUARD + len].to_vec()
}

fn run_conv(g: &ConvGeometry, isa: Isa, exact: bool, input: &Input) -> Output {
    let kernels = table_f32(isa, exact);
    let (mut y, mut dx, mut dw, mut db) = Default::default();
    let scratch = (kernels.conv_scratch)(g);
    let (x, weight, dy) = (&input.x, &input.weight, &input.dy);
    guarded(scratch, |s| {
        y = guarded(dy.len(), |y| (kernels.conv_forward)(g, x, weight, Some(&input.bias), y, s, None));
    });
    guarded(scratch, |s| dx = guarded(x.len(), |dx| (kernels.conv_pull)(g, dy, weight, dx, s)));
    guarded(scratch, |s| {
        db = guarded(g.c_out, |db| {
            dw = guarded(weight.len(), |dw| (kernels.conv_pull_weight)(g, x, dy, dw, Some(db), s));
        });
    });
    Output([y, dx, dw, db])
}

fn run_dense(g: &DenseGeometry, isa: Isa, input: &Input) -> Output {
    let kernels = table_f32(isa, true);
    let (mut y, mut dx, mut dw, mut db) = Default::default();
    let scratch = (kernels.dense_scratch)(g);
    let (x, weight, dy) = (&input.x, &input.weight, &input.dy);
    guarded(scratch, |s| {
        y = guarded(dy.len(), |y| (kernels.dense_forward)(g, x, weight, Some(&input.bias), y, s));
    });
    guarded(scratch, |s| dx = guarded(x.len(), |dx| (kernels.dense_pull)(g, dy, weight, dx, s)));
    guarded(scratch, |s| {
        db = guarded(g.outputs, |db| {
            dw = guarded(weight.len(), |dw| (kernels.dense_pull_weight)(g, x, dy, dw, Some(db), s));
        });
    });
    Output([y, dx, dw, db])
}

fn check_conv(g: ConvGeometry) {
    Case {
        name: format!("{g:?}"),
        products: &|f| conv_products(&g, f),
        channel: &|i| i / (g.output[0] * g.output[1] * g.lanes) % g.c_out,
        sizes: [g.input_len(), g.weight_len(), g.c_out, g.output_len()],
        run: &|isa, input| run_conv(&g, isa, true, input),
        slack: 1.0,
        whole: true,
    }
    .check();
}

/// The kernels that may transform. A tile's sums mix the products of 4 x 4 or 6 x 6 pixels, so an output's error is bounded
/// by the sum of magnitudes of its neighbourhood: about eight times its own. Tiles of 4 x 4 are `whole`: their matrices
/// hold halves at most.
fn check_winograd(g: ConvGeometry, whole: bool) {
    Case {
        name: format!("transformed {g:?}"),
        products: &|f| conv_products(&g, f),
        channel: &|i| i / (g.output[0] * g.output[1] * g.lanes) % g.c_out,
        sizes: [g.input_len(), g.weight_len(), g.c_out, g.output_len()],
        run: &|isa, input| run_conv(&g, isa, false, input),
        slack: 8.0,
        whole,
    }
    .check();
}

fn check_dense(g: DenseGeometry) {
    let images = g.blocks * g.lanes;
    Case {
        name: format!("{g:?}"),
        products: &|f| dense_products(&g, f),
        channel: &|i| i / g.lanes % g.outputs,
        sizes: [images * g.inputs, g.inputs * g.outputs, g.outputs, images * g.outputs],
        run: &|isa, input| run_dense(&g, isa, input),
        slack: 1.0,
        whole: true,
    }
    .check();
}

/// `blocks` of `lanes` images, `channels` = (in, out), in `groups`; `None` where the window does not fit.
fn conv(
    blocks: usize,
    lanes: usize,
    channels: [usize; 2],
    groups: usize,
    input: [usize; 2],
    window: Window,
) -> Option<ConvGeometry> {
    let output = window.output(input)?;
    Some(ConvGeometry { blocks, lanes, c_in: channels[0], c_out: channels[1], groups, input, output, window })
}

/// A square window with stride 1.
fn square(kernel: usize, pad: usize) -> Window {
    Window { pad: [pad; 2], pad_end: [pad; 2], ..Window::new([kernel; 2]) }
}

prop_compose! {
    fn windows()(
        kernel in [1usize..6, 1usize..6],
        stride in [1usize..5, 1usize..5],
        pad in [0usize..4, 0usize..4],
        pad_end in [0usize..4, 0usize..4],
        dilation in [1usize..4, 1usize..4],
        plain in 0..3,
    ) -> Window {
        match plain {
            0 => Window { stride: [1; 2], dilation: [1; 2], pad, pad_end: pad, ..Window::new(kernel) },
            1 => Window { stride, pad, pad_end: pad, ..Window::new(kernel) },
            _ => Window { kernel, stride, pad, pad_end, dilation, ceil: false },
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn convolutions_follow_the_definition(
        window in windows(),
        input in [1usize..12, 1usize..12],
        channels in [1usize..6, 1usize..12],
        groups in 1usize..4,
        wide in any::<bool>(),
        blocks in 0usize..4,
    ) {
        let lanes = if wide { LANES } else { 1 };
        let channels = [channels[0] * groups, channels[1] * groups];
        if let Some(g) = conv(blocks, lanes, channels, groups, input, window) {
            check_conv(g);
        }
    }

    #[test]
    fn dense_layers_follow_the_definition(
        inputs in 1usize..80,
        outputs in 1usize..30,
        wide in any::<bool>(),
        blocks in 0usize..8,
    ) {
        check_dense(DenseGeometry { blocks, lanes: if wide { LANES } else { 1 }, inputs, outputs });
    }
}

/// Numbers `[images][len]` as blocks of sixteen images, `[len][16]` each.
fn in_blocks(singles: &[f32], len: usize) -> Vec<f32> {
    let images = singles.len() / len.max(1);
    let place = |i: usize| (i / LANES / len * LANES + i % LANES) * len + i / LANES % len;
    (0..images * len).map(|i| singles[place(i)]).collect()
}

/// Forward and data gradient of images one by one are those of the block, bit for bit; `run(lanes)` has `input`.
fn check_alone(what: &str, len: [usize; 2], input: &Input, run: impl Fn(Isa, usize, &Input) -> Output) {
    let block = Input {
        x: in_blocks(&input.x, len[0]),
        dy: in_blocks(&input.dy, len[1]),
        weight: input.weight.clone(),
        bias: input.bias.clone(),
    };
    for isa in isas() {
        let (alone, among) = (run(isa, 1, input), run(isa, LANES, &block));
        for (i, name) in ["forward", "data gradient"].into_iter().enumerate() {
            let alone = in_blocks(&alone.0[i], len[1 - i]);
            let same = alone.iter().zip(&among.0[i]).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same && alone.len() == among.0[i].len(), "{name}, {what} on {}", isa.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_convolved_image_has_the_same_bits_alone_and_among_others(
        window in windows(),
        input in [1usize..12, 1usize..12],
        channels in [1usize..6, 1usize..12],
        groups in 1usize..4,
    ) {
        let channels = [channels[0] * groups, channels[1] * groups];
        let of = |lanes| conv(LANES / lanes, lanes, channels, groups, input, window);
        if let Some(g) = of(1) {
            let sizes = [g.input_len(), g.weight_len(), g.c_out, g.output_len()];
            let [x, weight, bias, dy] = [0, 1, 2, 3].map(|i| numbers(sizes[i], i as u64 + 5, 1_000_003));
            let run = |isa, lanes, input: &Input| run_conv(&of(lanes).unwrap(), isa, true, input);
            let len = [g.input_len() / LANES, g.output_len() / LANES];
            check_alone(&format!("{g:?}"), len, &Input { x, weight, bias, dy }, run);
        }
    }

    #[test]
    fn a_dense_layers_image_has_the_same_bits_alone_and_among_others(
        inputs in 1usize..300,
        outputs in 1usize..90,
    ) {
        let sizes = [LANES * inputs, inputs * outputs, outputs, LANES * outputs];
        let [x, weight, bias, dy] = [0, 1, 2, 3].map(|i| numbers(sizes[i], i as u64 + 5, 1_000_003));
        let run = |isa, lanes, input: &Input| {
            run_dense(&DenseGeometry { blocks: LANES / lanes, lanes, inputs, outputs }, isa, input)
        };
        let what = format!("{inputs} inputs, {outputs} outputs");
        check_alone(&what, [inputs, outputs], &Input { x, weight, bias, dy }, run);
    }
}

/// Channel counts round the tiles' sizes; kernels larger than the image; rows of output that read no tap at all.
#[test]
fn edges_of_tiles_and_images() {
    for lanes in [1, LANES] {
        for c_out in (1..=17).chain([24]) {
            check_conv(conv(1, lanes, [3, c_out], 1, [5, 4], square(3, 1)).unwrap());
            check_conv(conv(1, lanes, [c_out, 2], 1, [4, 3], square(2, 0)).unwrap());
        }
        check_conv(conv(2, lanes, [2, 3], 1, [1, 1], square(5, 4)).unwrap());
        check_conv(conv(1, lanes, [1, 9], 1, [3, 2], square(2, 4)).unwrap());
        check_conv(conv(1, lanes, [12, 12], 12, [9, 7], square(3, 1)).unwrap());
        check_conv(conv(1, lanes, [1, 6], 1, [28, 28], square(5, 2)).unwrap());
        let strided = Window { stride: [4; 2], ..square(11, 2) };
        check_conv(conv(1, lanes, [3, 8], 1, [31, 35], strided).unwrap());
        for (inputs, outputs) in [(64, 10), (100, 48), (33, 1), (1, 33)] {
            for blocks in [1, 4, 5] {
                check_dense(DenseGeometry { blocks, lanes, inputs, outputs });
            }
        }
    }
}

/// Channels that are no multiple of a tile's or a vector's, odd sizes, any padding, more tiles than a chunk holds.
#[test]
fn transformed_convolutions_follow_the_definition() {
    // 4 x 4 pixels a tile, 2 x 2 made of it
    for (blocks, channels, input, window) in [
        (1, [32, 32], [6, 6], square(3, 1)),
        (2, [48, 33], [5, 2], square(3, 1)),
        (1, [40, 32], [2, 2], square(3, 1)),
        (3, [80, 40], [6, 5], square(3, 1)),
        // too much for one job's cache, more channels than a slice
        (1, [224, 56], [2, 26], square(3, 1)),
    ] {
        check_winograd(conv(blocks, LANES, channels, 1, input, window).unwrap(), true);
    }
    // 6 x 6 pixels
    for (blocks, channels, input, window) in [
        (1, [32, 32], [8, 8], square(3, 1)),
        (2, [48, 33], [3, 7], square(3, 1)),
        (1, [33, 50], [6, 5], square(3, 0)),
        (1, [32, 71], [3, 4], square(3, 2)),
        (2, [48, 40], [9, 12], square(3, 1)),
        (1, [128, 40], [3, 52], square(3, 1)),
        // jobs that sum a weight gradient on their own over more tiles than fit at once; more output channels than jobs that
        // share tiles take at once
        (1, [48, 72], [3, 98], square(3, 1)),
        (1, [48, 104], [3, 8], square(3, 1)),
        (1, [32, 32], [7, 4], Window { pad: [0, 2], pad_end: [1, 0], ..Window::new([3; 2]) }),
        (1, [32, 32], [8, 8], square(5, 2)),
        (2, [48, 33], [5, 7], square(5, 2)),
        (1, [33, 50], [6, 8], square(5, 0)),
        (1, [40, 32], [2, 1], square(5, 4)),
        (1, [128, 40], [2, 26], square(5, 2)),
        (1, [32, 32], [7, 6], Window { pad: [0, 2], pad_end: [1, 0], ..Window::new([5; 2]) }),
    ] {
        check_winograd(conv(blocks, LANES, channels, 1, input, window).unwrap(), false);
    }
    check_winograd(conv(0, LANES, [32, 32], 1, [8, 8], square(3, 1)).unwrap(), true);
}

/// What cannot be transformed, or would not gain, comes out as the direct kernels make it.
#[test]
fn only_suitable_convolutions_are_transformed() {
    let strided = Window { stride: [2; 2], ..square(3, 1) };
    // the kernel's first columns meet no pixel
    let beyond = Window { pad: [1, 4], pad_end: [1, 0], ..Window::new([5; 2]) };
    let dilated = Window { dilation: [2; 2], ..square(3, 1) };
    for (lanes, channels, groups, window, differs) in [
        (LANES, [32, 32], 1, square(3, 1), true),
        (LANES, [32, 32], 1, strided, false),
        (LANES, [32, 32], 1, dilated, false),
        (LANES, [64, 64], 2, square(3, 1), false),
        (LANES, [32, 32], 1, square(5, 2), true),
        (LANES, [32, 32], 1, square(7, 3), false),
        (LANES, [32, 32], 1, square(3, 3), false),
        (LANES, [32, 32], 1, beyond, false),
        (LANES, [3, 64], 1, square(3, 1), false),
        (1, [32, 32], 1, square(3, 1), false),
    ] {
        let g = conv(1, lanes, channels, groups, [6, 4], window).unwrap();
        let sizes = [g.input_len(), g.weight_len(), g.c_out, g.output_len()];
        let [x, weight, bias, dy] = [0, 1, 2, 3].map(|i| numbers(sizes[i], i as u64 + 5, 1_000_003));
        let input = Input { x, weight, bias, dy };
        for isa in isas() {
            let [a, b] = [true, false].map(|exact| run_conv(&g, isa, exact, &input).bits());
            assert_eq!(a != b, differs && isa != Isa::Portable, "{g:?} on {}", isa.name());
        }
    }
}

/// The same bits on 1, 2, 3, 8 and 9 threads; from 9 on no job takes Winograd's tiles from input to output on its own.
#[cfg(feature = "parallel")]
#[test]
fn threads_change_no_bit() {
    let cases = [
        conv(3, LANES, [16, 24], 1, [12, 12], square(3, 1)),
        conv(2, LANES, [1, 6], 1, [20, 20], square(5, 0)),
        conv(3, LANES, [32, 80], 1, [6, 5], square(3, 1)),
        conv(3, LANES, [32, 80], 1, [9, 8], square(3, 1)),
        conv(2, LANES, [32, 48], 1, [9, 8], square(5, 2)),
        conv(2, 1, [3, 8], 1, [16, 16], square(3, 1)),
    ];
    for isa in isas() {
        for g in cases.iter().flatten() {
            let sizes = [g.input_len(), g.weight_len(), g.c_out, g.output_len()];
            let [x, weight, bias, dy] = [0, 1, 2, 3].map(|i| numbers(sizes[i], i as u64 + 5, 1_000_003));
            let input = Input { x, weight, bias, dy };
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| [true, false].map(|exact| run_conv(g, isa, exact, &input).bits()))
            };
            let one = on(1);
            for threads in [2, 3, 8, 9] {
                assert_eq!(one, on(threads), "{threads} threads, {g:?} on {}", isa.name());
            }
        }
        let g = DenseGeometry { blocks: 4, lanes: LANES, inputs: 200, outputs: 70 };
        let input = Input {
            x: numbers(64 * 200, 1, 1_000_003),
            weight: numbers(200 * 70, 2, 1_000_003),
            bias: numbers(70, 3, 1_000_003),
            dy: numbers(64 * 70, 4, 1_000_003),
        };
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run_dense(&g, isa, &input)).bits()
        };
        let one = on(1);
        for threads in [2, 3, 8, 9] {
            assert_eq!(one, on(threads), "{threads} threads, {g:?} on {}", isa.name());
        }
    }
}

#[test]
fn instruction_sets_are_named_and_an_unknown_one_lists_them() {
    for isa in isas() {
        assert_eq!(Isa::named(isa.name()).unwrap(), isa);
        assert_eq!(table_f32(isa, true).isa, isa);
    }
    let message = Isa::named("avx51").unwrap_err().to_string();
    assert!(message.contains("avx512") && message.contains("portable"), "{message}");
}
