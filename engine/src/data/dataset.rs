//! A labelled set of images, as bytes.

use ndarray::{Array4, Axis};

/// Labelled images of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Name for titles and file names: "digits", or the folder's name.
    pub name: String,
    /// Pixels, 0 to 255, [N, C, H, W], C order.
    pub pixels: Array4<u8>,
    /// Class of each image, below the number of classes.
    pub labels: Vec<u32>,
    /// Names of the classes.
    pub classes: Vec<String>,
}

/// The two halves of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Splits {
    /// Images to learn from.
    pub train: Dataset,
    /// Images to judge by, never learned from.
    pub test: Dataset,
}

impl Splits {
    /// At most so many images of each half, the first ones.
    pub fn limit(&self, train: usize, test: usize) -> Self {
        Self { train: self.train.limit(train), test: self.test.limit(test) }
    }
}

impl Dataset {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Channels, height and width of one image.
    pub fn shape(&self) -> [usize; 3] {
        let (_, c, h, w) = self.pixels.dim();
        [c, h, w]
    }

    /// A copy of the images at these places, in this order. Panics where there is no such place.
    pub fn subset(&self, indices: &[usize]) -> Self {
        Self {
            name: self.name.clone(),
            pixels: self.pixels.select(Axis(0), indices),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            classes: self.classes.clone(),
        }
    }

    /// A copy of the first `n` images, or of all where there are fewer.
    pub fn limit(&self, n: usize) -> Self {
        self.subset(&(0..n.min(self.len())).collect::<Vec<_>>())
    }

    /// Images of each class.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        self.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }

    /// Mean and standard deviation of each channel, of pixels in [0, 1], exact to rounding.
    ///
    /// A channel that never varies gets deviation 1, so that dividing by it is harmless.
    pub fn mean_std(&self) -> (Vec<f64>, Vec<f64>) {
        self.pixels
            .axis_iter(Axis(1))
            .map(|channel| {
                let mut histogram = [0u64; 256];
                channel.iter().for_each(|&pixel| histogram[usize::from(pixel)] += 1);
                let moment = |f: &dyn Fn(f64) -> f64| {
                    let sum: f64 = (0..256).map(|v| histogram[v] as f64 * f(v as f64 / 255.0)).sum();
                    sum / channel.len().max(1) as f64
                };
                let mean = moment(&|x| x);
                let std = moment(&|x| (x - mean) * (x - mean)).sqrt();
                (mean, if std > 0.0 { std } else { 1.0 })
            })
            .unzip()
    }

    /// A number that differs where content differs: sizes, pixels, labels and class names, but not the set's name.
    ///
    /// Multiply and shift over 64-bit words, starting from FNV's constants; the same on every machine. It guards
    /// against mistakes, not against people.
    pub fn hash(&self) -> u64 {
        let mut hash = Hash(0xcbf2_9ce4_8422_2325);
        self.pixels.shape().iter().for_each(|&size| hash.word(size as u64));
        match self.pixels.as_slice() {
            Some(pixels) => hash.bytes(pixels),
            None => hash.bytes(&self.pixels.iter().copied().collect::<Vec<u8>>()),
        }
        self.labels.iter().for_each(|&label| hash.word(u64::from(label)));
        self.classes.iter().for_each(|class| hash.bytes(class.as_bytes()));
        hash.0
    }
}

struct Hash(u64);

impl Hash {
    fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|&word| self.word(u64::from_le_bytes(word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
        self.word(bytes.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Dataset {
        Dataset {
            name: "sample".into(),
            pixels: Array4::from_shape_fn((5, 2, 1, 2), |(n, c, _, w)| (n * 10 + c * 100 + w) as u8),
            labels: vec![0, 1, 1, 0, 1],
            classes: vec!["a".into(), "b".into()],
        }
    }

    #[test]
    fn subsets_keep_pixels_with_labels() {
        let all = sample();
        let some = all.subset(&[4, 0]);
        assert_eq!(some.labels, [1, 0]);
        assert_eq!(some.pixels[[0, 1, 0, 1]], 141);
        assert_eq!(all.limit(3).len(), 3);
        assert_eq!(all.limit(99), all);
        assert_eq!(all.counts(), [2, 3]);
    }

    #[test]
    fn mean_and_deviation_match_the_definition() {
        let (mean, std) = sample().mean_std();
        for c in 0..2 {
            let values: Vec<f64> =
                sample().pixels.index_axis(Axis(1), c).iter().map(|&p| f64::from(p) / 255.0).collect();
            let want = values.iter().sum::<f64>() / 10.0;
            let variance = values.iter().map(|v| (v - want).powi(2)).sum::<f64>() / 10.0;
            assert!((mean[c] - want).abs() < 1e-14 && (std[c] - variance.sqrt()).abs() < 1e-14);
        }
        let mut flat = sample();
        flat.pixels.fill(255);
        assert_eq!(flat.mean_std(), (vec![1.0; 2], vec![1.0; 2]));
    }

    #[test]
    fn the_hash_sees_every_part() {
        let base = sample();
        let mut changed = vec![base.clone(); 4];
        changed[0].pixels[[4, 1, 0, 1]] ^= 1;
        changed[1].labels[0] = 1;
        changed[2].classes[1] = "c".into();
        changed[3].pixels = base.pixels.clone().into_shape_with_order((5, 2, 2, 1)).unwrap();
        assert!(changed.iter().all(|other| other.hash() != base.hash()));
        let mut renamed = base.clone();
        renamed.name = "other".into();
        assert_eq!(renamed.hash(), base.hash());
    }
}
