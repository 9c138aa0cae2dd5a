//! The images of a data set that excite each channel of a layer most, and what in them did so.
//!
//! A channel's answer to an image is its largest activation over the map, at the first place in row-major order
//! where several are equal. Images are ranked by it, each at most once, the lower index first where two are equal;
//! only those that made the channel fire (an answer above zero) are listed. Each is projected to pixels by DeconvNet
//! from that single activation, with the switches of that image, and cut out at the receptive field.
//!
//! Reference: Zeiler and Fergus 2014 (arXiv 1311.2901), section 4 and figure 2.

use crate::error::{Error, Result};
use crate::methods::{self, Ask, Settings, Unit};
use crate::set::{ImageSet, each_batch};
use glassbox_engine::graph::field;
use glassbox_engine::{Graph, Params};
use ndarray::{Array3, Array4, ArrayView3, Axis, s};
use std::ops::Range;

/// An image that made a channel fire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Excited {
    /// Index in the set.
    pub image: usize,
    /// The channel's largest activation in it.
    pub activation: f32,
    /// Row and column of that activation.
    pub at: [usize; 2],
}

/// The answers of one channel to all images of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// The most exciting images, the first the strongest.
    pub top: Vec<Excited>,
    /// Images in which it fired at all.
    pub fired: usize,
}

impl Ranking {
    /// Takes in the next image; images come in ascending order.
    fn add(&mut self, new: Excited, count: usize) {
        if new.activation > 0.0 {
            self.fired += 1;
            let place = self.top.partition_point(|old| old.activation >= new.activation);
            self.top.insert(place, new);
            self.top.truncate(count);
        }
    }
}

/// Ranks the images of a set for every channel of some slots: [slot][channel], at most `count` images each.
///
/// # Errors
/// As [`each_batch`].
pub fn rank(
    graph: &Graph,
    params: &Params<f32>,
    set: &dyn ImageSet,
    slots: &[usize],
    count: usize,
    progress: Option<&dyn Fn(usize, usize)>,
) -> Result<Vec<Vec<Ranking>>> {
    let mut all: Vec<Vec<Ranking>> =
        slots.iter().map(|&slot| vec![Ranking::default(); graph.shape(slot).c]).collect();
    each_batch(graph, params, set, progress, |trace, images| {
        for (rankings, &slot) in all.iter_mut().zip(slots) {
            let maps = trace.slot(slot)?;
            for (i, &image) in images.iter().enumerate() {
                for (ranking, map) in rankings.iter_mut().zip(maps.image(i).axis_iter(Axis(0))) {
                    let first = ((0, 0), f32::NEG_INFINITY);
                    let stronger =
                        |best: ((usize, usize), f32), (at, &v)| if v > best.1 { (at, v) } else { best };
                    let ((y, x), activation) = map.indexed_iter().fold(first, stronger);
                    ranking.add(Excited { image, activation, at: [y, x] }, count);
                }
            }
        }
        Ok(())
    })?;
    Ok(all)
}

/// A channel's most exciting images, cut out, with what excited it.
#[derive(Clone, Debug)]
pub struct Patches {
    /// Rows and columns of each cut, as the receptive field has them: they may reach beyond the image.
    pub fields: Vec<[Range<isize>; 2]>,
    /// The images as the net sees them, cut out, [N, C, h, w]; zero beyond the image.
    pub images: Array4<f32>,
    /// The projections, cut out, [N, C, h, w]; zero beyond the image.
    pub projections: Array4<f32>,
}

/// Projects a channel's most exciting images to pixels and cuts both out at the receptive field; an axis along which
/// the field is larger than the image is kept whole. `settings` are those of the method `deconvnet`.
///
/// # Errors
/// No image to project, and what the method refuses.
pub fn project(
    graph: &Graph,
    params: &Params<f32>,
    set: &dyn ImageSet,
    (slot, channel): (usize, usize),
    top: &[Excited],
    settings: &Settings,
) -> Result<Patches> {
    if top.is_empty() {
        let layer = &graph.names()[slot];
        let problem = format!("channel {channel} of layer \"{layer}\" fired in none of {}", set.name());
        return Err(Error::request(problem, "choose a channel that fires"));
    }
    let which: Vec<usize> = top.iter().map(|t| t.image).collect();
    let images = set.images(&which);
    let ask = Ask::new(graph, params, &images).layer(&graph.names()[slot]).unit(Unit::Channel(channel));
    let answer = methods::named("deconvnet")?.run(&ask, settings)?;
    let fields = answer.facts.iter().zip(top).map(|(facts, t)| {
        let at = facts.unit.map_or(t.at, |[_, y, x]| [y, x]);
        cut(graph, slot, at)
    });
    let fields: Vec<[Range<isize>; 2]> = fields.collect();
    let size = [0, 1].map(|axis| fields[0][axis].len());
    let shape = (top.len(), graph.input().c, size[0], size[1]);
    let mut out = Patches { images: Array4::zeros(shape), projections: Array4::zeros(shape), fields };
    for (n, field) in out.fields.iter().enumerate() {
        out.images.index_axis_mut(Axis(0), n).assign(&crop(images.index_axis(Axis(0), n), field));
        let whole = answer.map.slice(s![n, .., .., ..]);
        out.projections.index_axis_mut(Axis(0), n).assign(&crop(whole, field));
    }
    Ok(out)
}

/// The receptive field of a unit, or the whole image along axes where the field is larger.
pub(crate) fn cut(graph: &Graph, slot: usize, at: [usize; 2]) -> [Range<isize>; 2] {
    let whole = graph.input().spatial();
    // behind transposed convolutions units at the edge see less, but cuts of one layer have one size
    let size = field::of_slot(graph, slot).size;
    let seen = field::of_unit(graph, slot, at);
    [0, 1].map(|axis| match size[axis] < whole[axis] {
        true => seen[axis].start..seen[axis].start + size[axis] as isize,
        false => 0..whole[axis] as isize,
    })
}

/// Cuts [C, H, W] to a field; what lies beyond the image is zero.
pub(crate) fn crop(image: ArrayView3<'_, f32>, [rows, columns]: &[Range<isize>; 2]) -> Array3<f32> {
    let value = |c: usize, y: isize, x: isize| {
        let at = usize::try_from(y).ok().zip(usize::try_from(x).ok());
        at.and_then(|(y, x)| image.get((c, y, x))).copied().unwrap_or(0.0)
    };
    Array3::from_shape_fn((image.dim().0, rows.len(), columns.len()), |(c, i, j)| {
        value(c, rows.start + i as isize, columns.start + j as isize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::InMemory;
    use glassbox_engine::array::LANES;
    use glassbox_engine::layers::{Conv, Dense, Flatten, MaxPool, Relu};
    use glassbox_engine::{Blocked, Mode, forward};

    fn net() -> Graph {
        Graph::builder("n", [1, 12, 12])
            .layer("conv1", Conv::new(3, 3).pad(1))
            .layer("relu1", Relu)
            .layer("pool1", MaxPool::new(2))
            .layer("conv2", Conv::new(4, 3))
            .layer("relu2", Relu)
            .layer("flatten", Flatten)
            .layer("fc", Dense::new(3))
            .build()
            .unwrap()
    }

    /// Images of which every one comes twice, so that there are ties.
    fn set() -> InMemory {
        let value =
            |n: usize, h: usize, w: usize| ((n / 2 * 37 + h * 11 + w * w * 5) % 23) as f32 / 11.0 - 1.0;
        let input = Array4::from_shape_fn((50, 1, 12, 12), |(n, _, h, w)| value(n, h, w));
        InMemory { name: "numbers".into(), input, labels: vec![0; 50] }
    }

    #[test]
    fn rankings_are_those_of_sorting_all_answers() {
        let (graph, set) = (net(), set());
        let params = graph.init(Default::default(), 5);
        let trace =
            forward(&graph, &params, &Blocked::from_array4(set.input.view(), LANES), Mode::Eval).unwrap();
        for (slot, rankings) in
            [2, 5, 7].into_iter().zip(rank(&graph, &params, &set, &[2, 5, 7], 9, None).unwrap())
        {
            for (k, ranking) in rankings.iter().enumerate() {
                let mut all: Vec<Excited> = Vec::new();
                for image in 0..50 {
                    let maps = trace.slot(slot).unwrap().image(image);
                    let map = maps.index_axis(Axis(0), k);
                    let largest = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let ((y, x), &activation) = map.indexed_iter().find(|(_, v)| **v == largest).unwrap();
                    all.push(Excited { image, activation, at: [y, x] });
                }
                all.retain(|e| e.activation > 0.0);
                assert_eq!(ranking.fired, all.len());
                // a stable sort leaves equal answers in the order of the images
                all.sort_by(|a, b| b.activation.total_cmp(&a.activation));
                all.truncate(9);
                assert_eq!(ranking.top, all, "slot {slot}, channel {k}");
                if let [first, second, ..] = &all[..] {
                    assert_eq!(first.image + 1, second.image, "every image comes twice");
                }
            }
        }
    }

    #[test]
    fn a_projection_of_one_convolution_is_the_kernel_at_its_place() {
        let graph = Graph::builder("n", [1, 12, 12])
            .layer("conv", Conv::new(2, 3).pad(1))
            .layer("relu", Relu)
            .build()
            .unwrap();
        let (params, set) = (graph.init(Default::default(), 5), set());
        let settings = Settings::defaults(methods::named("deconvnet").unwrap());
        let top = rank(&graph, &params, &set, &[2], 9, None).unwrap().swap_remove(0).swap_remove(1).top;
        let patches = project(&graph, &params, &set, (2, 1), &top, &settings).unwrap();
        assert_eq!(patches.images.dim(), (top.len(), 1, 3, 3));
        let kernel = params.get("conv.weight").unwrap().into_dimensionality::<ndarray::Ix4>().unwrap();
        for (n, t) in top.iter().enumerate() {
            for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
                let (y, x) = ((t.at[0] + i).wrapping_sub(1), (t.at[1] + j).wrapping_sub(1));
                let inside = y < 12 && x < 12;
                let want = if inside { t.activation * kernel[[1, 0, i, j]] } else { 0.0 };
                assert_eq!(patches.projections[[n, 0, i, j]], want);
                let seen = if inside { set.input[[t.image, 0, y, x]] } else { 0.0 };
                assert_eq!(patches.images[[n, 0, i, j]], seen);
            }
        }
    }

    #[test]
    fn units_that_see_everything_are_not_cut_and_dead_ones_are_refused() {
        let (graph, set) = (net(), set());
        let params = graph.init(Default::default(), 5);
        assert_eq!(cut(&graph, 7, [0, 0]), [0..12, 0..12]);
        assert_eq!(cut(&graph, 5, [0, 3]), [-1..7, 5..13]);
        let settings = Settings::defaults(methods::named("deconvnet").unwrap());
        let text = project(&graph, &params, &set, (5, 2), &[], &settings).unwrap_err().to_string();
        assert!(text.contains("channel 2 of layer \"relu2\""), "{text}");
    }
}
