//! Randomness without state: every stream is a pure function of (seed, purpose, a, b).
//!
//! There is no generator to save or to share: results do not depend on threads, on the batch split, or on what else
//! was drawn. The stream is ChaCha with 8 rounds, its 256-bit key the four numbers.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream is for; streams of different purposes never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// First values of parameters, keyed by the parameter's name.
    Init = 1,
    /// Order of samples, keyed by epoch.
    Order = 2,
    /// Augmentation, keyed by epoch and sample.
    Augment = 3,
    /// Dropout, keyed by step, and by layer and sample together.
    Dropout = 4,
    /// Generated data, keyed by sample.
    Data = 5,
    /// Methods that draw (noise, masks), keyed by sample and draw.
    Method = 6,
    /// Tests and demonstrations.
    Demo = 7,
    /// Measures that judge methods, keyed by sample and draw.
    Measure = 8,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream keyed by (seed, purpose, a, b).
    pub fn new(seed: u64, purpose: Purpose, a: u64, b: u64) -> Self {
        let mut key = [0u8; 32];
        for (chunk, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, a, b]) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// 64 random bits.
    pub fn bits64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform integer in [0, n); 0 when n is 0. The multiply-shift leaves a bias below n / 2^64.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Puts `items` into a random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A random order of 0..n.
    pub fn order(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        self.shuffle(&mut order);
        order
    }
}

/// A key from a name (FNV-1a, 64 bits).
pub fn key(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_functions_of_their_key_and_differ_by_purpose() {
        let draw = |p, a, b| Stream::new(7, p, a, b).bits64();
        assert_eq!(draw(Purpose::Init, 1, 2), draw(Purpose::Init, 1, 2));
        assert_ne!(draw(Purpose::Init, 1, 2), draw(Purpose::Order, 1, 2));
        assert_ne!(draw(Purpose::Init, 1, 2), draw(Purpose::Init, 2, 1));
    }

    #[test]
    fn normal_has_mean_zero_and_variance_one() {
        let mut stream = Stream::new(1, Purpose::Demo, 0, 0);
        let draws: Vec<f64> = (0..20_000).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn order_is_a_permutation() {
        let mut order = Stream::new(3, Purpose::Order, 5, 0).order(100);
        assert_ne!(order[..10], (0..10).collect::<Vec<u32>>()[..]);
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<u32>>());
    }
}
