//! Augmentation: small random changes of training images that do not change their class.
//!
//! What happens to an image depends on (seed, epoch, sample) alone, so it does not depend on batches or threads and
//! needs nothing saved. Steps are texts, `name` or `name=amount`, applied in the order given:
//!
//! | step | amount (default) | what | source |
//! |---|---|---|---|
//! | crop | pixels (4) | pad with black on all sides, cut out the original size at random | He et al. 2016, 4.2 |
//! | cutout | side (8) | paint a square at a random place with the set's mean colour | DeVries, Taylor 2017 |
//! | flip | - | mirror left and right, every second time | Krizhevsky et al. 2012, 4.1 |
//! | shift | pixels (2) | move by up to so many pixels each way, repeating the border | Simard et al. 2003 |
//! | turn | - | turn by a quarter, a half, three quarters or not at all; images that are not square by a half or not at all | Dieleman et al. 2015 |

use crate::rng::{Purpose, Stream};
use crate::{Error, Result};

/// An image that is being changed, in place.
struct Canvas<'a> {
    /// [C, H, W].
    pixels: &'a mut [u8],
    /// Channels, height, width.
    shape: [usize; 3],
    /// The set's mean colour, one value per channel.
    fill: &'a [u8],
}

/// A kind of augmentation.
pub struct Kind {
    /// Name in configurations.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Amount where none is given; `None` where it takes none.
    pub amount: Option<usize>,
    apply: fn(&mut Stream, usize, &mut Canvas<'_>),
}

/// All kinds, in alphabetical order.
pub const KINDS: &[Kind] = &[
    Kind { name: "crop", about: "pad with black, cut out at random", amount: Some(4), apply: crop },
    Kind { name: "cutout", about: "paint a square with the mean colour", amount: Some(8), apply: cutout },
    Kind { name: "flip", about: "mirror left and right", amount: None, apply: flip },
    Kind { name: "shift", about: "move, repeating the border", amount: Some(2), apply: shift },
    Kind { name: "turn", about: "turn by a random number of quarters", amount: None, apply: turn },
];

/// A list of augmentations with their amounts; empty: images stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Augment {
    /// Places in [`KINDS`], and amounts.
    steps: Vec<(usize, usize)>,
}

impl Augment {
    /// Reads steps such as `["crop=4", "flip"]`.
    ///
    /// # Errors
    /// [`Error::Request`] for an unknown name, or an amount that is no number or not taken.
    pub fn parse<S: AsRef<str>>(steps: &[S]) -> Result<Self> {
        let steps = steps.iter().map(|step| parse_step(step.as_ref().trim()));
        Ok(Self { steps: steps.collect::<Result<_>>()? })
    }

    /// The steps as texts that [`Augment::parse`] reads, every amount filled in.
    pub fn texts(&self) -> Vec<String> {
        let text = |&(kind, amount): &(usize, usize)| match KINDS[kind].amount {
            Some(_) => format!("{}={amount}", KINDS[kind].name),
            None => KINDS[kind].name.to_string(),
        };
        self.steps.iter().map(text).collect()
    }

    /// Whether images stay as they are.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Changes one image, [C, H, W], in place. `fill` is the mean colour, one value per channel. Panics where the
    /// lengths disagree.
    pub fn apply(&self, key: (u64, u64, u64), pixels: &mut [u8], shape: [usize; 3], fill: &[u8]) {
        assert_eq!((pixels.len(), fill.len()), (shape.iter().product(), shape[0]), "image and colour");
        if self.is_empty() || pixels.is_empty() {
            return;
        }
        let (seed, epoch, sample) = key;
        let mut stream = Stream::new(seed, Purpose::Augment, epoch, sample);
        let mut canvas = Canvas { pixels, shape, fill };
        for &(kind, amount) in &self.steps {
            (KINDS[kind].apply)(&mut stream, amount, &mut canvas);
        }
    }
}

fn parse_step(step: &str) -> Result<(usize, usize)> {
    let (name, amount) = step.split_once('=').map_or((step, None), |(name, amount)| (name, Some(amount)));
    let names = || KINDS.iter().map(|kind| kind.name);
    let kind = names()
        .position(|known| known == name)
        .ok_or_else(|| Error::unknown("augmentation", name, names()))?;
    match (KINDS[kind].amount, amount) {
        (default, None) => Ok((kind, default.unwrap_or(0))),
        (None, Some(amount)) => Err(Error::request(
            format!("augmentation \"{name}\" takes no amount, but \"{amount}\" is given"),
            format!("write \"{name}\""),
        )),
        (Some(default), Some(text)) => match text.parse::<u16>() {
            Ok(amount) => Ok((kind, amount.into())),
            Err(_) => Err(Error::request(
                format!("augmentation \"{step}\": \"{text}\" is no number of pixels"),
                format!("write a whole number, such as \"{name}={default}\""),
            )),
        },
    }
}

/// Uniform in -amount..=amount.
fn offset(stream: &mut Stream, amount: usize) -> isize {
    stream.below(2 * amount + 1) as isize - amount as isize
}

fn crop(stream: &mut Stream, amount: usize, canvas: &mut Canvas<'_>) {
    let (down, right) = (offset(stream, amount), offset(stream, amount));
    translate(canvas, down, right, Border::Black);
}

fn shift(stream: &mut Stream, amount: usize, canvas: &mut Canvas<'_>) {
    let (down, right) = (offset(stream, amount), offset(stream, amount));
    translate(canvas, down, right, Border::Repeat);
}

fn flip(stream: &mut Stream, _: usize, canvas: &mut Canvas<'_>) {
    if stream.below(2) == 1 {
        canvas.pixels.chunks_exact_mut(canvas.shape[2]).for_each(<[u8]>::reverse);
    }
}

fn turn(stream: &mut Stream, _: usize, canvas: &mut Canvas<'_>) {
    let ([_, h, w], quarters) = (canvas.shape, stream.below(4));
    for plane in canvas.pixels.chunks_exact_mut(h * w) {
        if quarters >= 2 {
            plane.reverse();
        }
        if quarters % 2 == 1 && h == w {
            // a quarter to the right: transpose, then mirror each row
            (0..h).for_each(|y| (0..y).for_each(|x| plane.swap(y * w + x, x * w + y)));
            plane.chunks_exact_mut(w).for_each(<[u8]>::reverse);
        }
    }
}

fn cutout(stream: &mut Stream, amount: usize, canvas: &mut Canvas<'_>) {
    let [_, h, w] = canvas.shape;
    // The middle lies anywhere in the image, so the square may hang over its border.
    let span = |middle: usize, len: usize| {
        let start = middle.saturating_sub(amount / 2);
        start..(middle + amount.div_ceil(2)).min(len)
    };
    let (rows, columns) = (span(stream.below(h), h), span(stream.below(w), w));
    for (plane, &fill) in canvas.pixels.chunks_exact_mut(h * w).zip(canvas.fill) {
        for row in plane.chunks_exact_mut(w).take(rows.end).skip(rows.start) {
            row[columns.clone()].fill(fill);
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Border {
    Black,
    Repeat,
}

/// Moves the picture by whole pixels, in place.
fn translate(canvas: &mut Canvas<'_>, down: isize, right: isize, border: Border) {
    let [_, h, w] = canvas.shape;
    for plane in canvas.pixels.chunks_exact_mut(h * w) {
        // Rows are taken from the side that the picture moves to, so none is read after it was written.
        for i in 0..h {
            let y = if down > 0 { h - 1 - i } else { i };
            let from = y as isize - down;
            let inside = (0..h as isize).contains(&from);
            if !inside && border == Border::Black {
                plane[y * w..][..w].fill(0);
                continue;
            }
            let from = from.clamp(0, h as isize - 1) as usize;
            plane.copy_within(from * w..(from + 1) * w, y * w);
            slide(&mut plane[y * w..][..w], right, border);
        }
    }
}

/// Moves one row to the right, or to the left where `right` is negative.
fn slide(row: &mut [u8], right: isize, border: Border) {
    let w = row.len();
    let by = right.unsigned_abs().min(w);
    let (first, last) = (row[0], row[w - 1]);
    let fill = |end| if border == Border::Black { 0 } else { end };
    if right > 0 {
        row.copy_within(..w - by, by);
        row[..by].fill(fill(first));
    } else {
        row.copy_within(by.., 0);
        row[w - by..].fill(fill(last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [2, 4, 5];

    fn image() -> Vec<u8> {
        (1..=40).collect()
    }

    fn run(step: &str, sample: u64) -> Vec<u8> {
        let mut pixels = image();
        Augment::parse(&[step]).unwrap().apply((1, 0, sample), &mut pixels, SHAPE, &[200, 201]);
        pixels
    }

    /// The same by the definition: each output pixel looks up its source.
    fn moved(down: isize, right: isize, border: Border) -> Vec<u8> {
        let [c, h, w] = SHAPE;
        let mut out = Vec::new();
        for i in 0..c * h * w {
            let (plane, y, x) = (i / (h * w), (i / w % h) as isize - down, (i % w) as isize - right);
            let (cy, cx) = (y.clamp(0, h as isize - 1), x.clamp(0, w as isize - 1));
            let inside = (cy, cx) == (y, x) || border == Border::Repeat;
            out.push(if inside { image()[plane * h * w + cy as usize * w + cx as usize] } else { 0 });
        }
        out
    }

    #[test]
    fn moving_is_a_lookup_for_every_offset() {
        for border in [Border::Black, Border::Repeat] {
            for down in -6..=6 {
                for right in -6..=6 {
                    let mut pixels = image();
                    let mut canvas = Canvas { pixels: &mut pixels, shape: SHAPE, fill: &[0, 0] };
                    translate(&mut canvas, down, right, border);
                    assert_eq!(pixels, moved(down, right, border), "{down} {right}");
                }
            }
        }
    }

    #[test]
    fn shift_and_crop_reach_every_offset_and_no_other() {
        for (step, border) in [("shift=1", Border::Repeat), ("crop=1", Border::Black)] {
            let mut seen = std::collections::BTreeSet::new();
            let all: Vec<_> = (-1..=1).flat_map(|d| (-1..=1).map(move |r| moved(d, r, border))).collect();
            for sample in 0..200 {
                seen.insert(all.iter().position(|m| *m == run(step, sample)).unwrap());
            }
            assert_eq!(seen.len(), 9, "{step}");
        }
    }

    #[test]
    fn flip_mirrors_half_of_the_images() {
        let mirrored: Vec<u8> =
            image().chunks(5).flat_map(|row| row.iter().rev().copied().collect::<Vec<_>>()).collect();
        let count = (0..400).filter(|&sample| run("flip", sample) == mirrored).count();
        assert!((150..250).contains(&count), "{count}");
        assert_eq!((0..400).filter(|&sample| run("flip", sample) == image()).count(), 400 - count);
    }

    #[test]
    fn turn_gives_every_quarter_equally_often_and_keeps_the_sides_of_other_images() {
        let square = [1, 3, 3];
        // [A B C / D E F / G H I] by quarters to the right
        let turned: Vec<&[u8]> = vec![b"ABCDEFGHI", b"GDAHEBIFC", b"IHGFEDCBA", b"CFIBEHADG"];
        let mut counts = [0; 4];
        for sample in 0..400 {
            let mut pixels = turned[0].to_vec();
            Augment::parse(&["turn"]).unwrap().apply((1, 0, sample), &mut pixels, square, &[0]);
            counts[turned.iter().position(|t| *t == pixels).unwrap()] += 1;
        }
        assert!(counts.iter().all(|n| (60..140).contains(n)), "{counts:?}");
        let half: Vec<u8> = image().chunks(20).flat_map(|plane| plane.iter().rev().copied()).collect();
        let count = (0..400).filter(|&sample| run("turn", sample) == half).count();
        assert!((150..250).contains(&count), "{count}");
        assert_eq!((0..400).filter(|&sample| run("turn", sample) == image()).count(), 400 - count);
    }

    #[test]
    fn cutout_paints_one_square_with_the_mean_colour() {
        for sample in 0..100 {
            let pixels = run("cutout=2", sample);
            let painted: Vec<usize> = (0..40).filter(|&i| pixels[i] >= 200).collect();
            let per_plane = painted.iter().filter(|&&i| i < 20).count();
            assert!([1, 2, 4].contains(&per_plane) && painted.len() == 2 * per_plane);
            assert!(painted.iter().all(|&i| pixels[i] == if i < 20 { 200 } else { 201 }));
            assert!((0..40).all(|i| pixels[i] >= 200 || pixels[i] == image()[i]));
        }
        assert!(run("cutout=99", 0).iter().all(|&p| p >= 200));
        assert_eq!(run("cutout=0", 0), image());
    }

    #[test]
    fn the_key_decides() {
        let augment = Augment::parse(&["shift=3", "flip", "cutout=3"]).unwrap();
        let run = |key| {
            let mut pixels = image();
            augment.apply(key, &mut pixels, SHAPE, &[0, 0]);
            pixels
        };
        assert_eq!(run((1, 2, 3)), run((1, 2, 3)));
        let others: Vec<_> = (0..20).map(|epoch| run((1, epoch, 3))).collect();
        assert!(others.iter().any(|other| *other != others[0]));
    }

    #[test]
    fn texts_round_trip_and_bad_ones_are_explained() {
        let augment = Augment::parse(&["flip", "crop", "shift=1"]).unwrap();
        assert_eq!(augment.texts(), ["flip", "crop=4", "shift=1"]);
        assert_eq!(Augment::parse(&augment.texts()).unwrap(), augment);
        assert!(KINDS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for (step, want) in [
            ("shfit", "did you mean \"shift\"?"),
            ("flip=2", "takes no amount"),
            ("crop=-1", "\"-1\" is no number of pixels"),
            ("crop=", "such as \"crop=4\""),
        ] {
            let error = Augment::parse(&[step]).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
