//! Resizing of maps: half-pixel bilinear, and blocks (nearest).
//!
//! For output size M from input size m, output index t reads the input at `(t + 0.5) m / M - 0.5`, clamped to the
//! map (the convention that image libraries call half-pixel centres, or `align_corners = false`). Bilinear mixes
//! the two neighbours along each axis; blocks takes the cell that holds the centre of the output pixel, so that
//! the map's true resolution stays visible. A 1x1 map becomes constant: it has no spatial resolution to show.

use ndarray::{Array2, ArrayView2};

use crate::error::{Error, Result};

/// How a map is enlarged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// Each cell becomes a block.
    #[default]
    Blocks,
    /// Half-pixel bilinear.
    Bilinear,
}

impl Resize {
    /// The name used in captions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Bilinear => "bilinear",
        }
    }
}

/// A map [h, w] resized to [height, width].
///
/// # Errors
/// An empty map cannot be enlarged.
pub fn resize(map: ArrayView2<'_, f32>, height: usize, width: usize, how: Resize) -> Result<Array2<f32>> {
    let (h, w) = map.dim();
    if (h == 0 || w == 0) && height * width > 0 {
        let problem = format!("a map of {h}x{w} cells cannot become {height}x{width}");
        return Err(Error::shape("resize", problem, "give a map with at least one cell"));
    }
    let (rows, cols) = (taps(h, height, how), taps(w, width, how));
    Ok(Array2::from_shape_fn((height, width), |(i, j)| {
        let (r, c) = (&rows[i], &cols[j]);
        let line = |row: usize| mix(map[[row, c.low]], map[[row, c.high]], c.share);
        mix(line(r.low), line(r.high), r.share)
    }))
}

/// Two neighbouring cells and the share of the second.
struct Tap {
    low: usize,
    high: usize,
    share: f32,
}

fn taps(from: usize, to: usize, how: Resize) -> Vec<Tap> {
    let place = |t: usize| match how {
        // The cell index in whole numbers: rounding cannot move a block's edge.
        Resize::Blocks => {
            let cell = (2 * t + 1) * from / (2 * to);
            Tap { low: cell, high: cell, share: 0.0 }
        }
        Resize::Bilinear => {
            let source = ((t as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
            let low = source.floor() as usize;
            Tap { low, high: (low + 1).min(from - 1), share: (source - low as f64) as f32 }
        }
    };
    (0..to).map(place).collect()
}

// A share of 0 takes the first value alone, so that a NaN neighbour does not leak into it.
fn mix(a: f32, b: f32, share: f32) -> f32 {
    if share == 0.0 { a } else { a * (1.0 - share) + b * share }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn two_cells_become_four() {
        let row = array![[0.0f32, 1.0]];
        assert_eq!(resize(row.view(), 1, 4, Resize::Bilinear).unwrap(), array![[0.0, 0.25, 0.75, 1.0]]);
        assert_eq!(resize(row.view(), 1, 4, Resize::Blocks).unwrap(), array![[0.0, 0.0, 1.0, 1.0]]);
        let column = row.t();
        assert_eq!(resize(column, 4, 1, Resize::Bilinear).unwrap(), array![[0.0], [0.25], [0.75], [1.0]]);
    }

    #[test]
    fn a_slow_formula_agrees_on_odd_sizes() {
        let map = Array2::from_shape_fn((3, 5), |(i, j)| ((i * 7 + j * 3) % 11) as f32);
        let out = resize(map.view(), 7, 4, Resize::Bilinear).unwrap();
        // Sum over all cells with the triangular weight of each.
        let weight = |t: usize, cell: usize, m: usize, big: usize| -> f64 {
            let source = ((t as f64 + 0.5) * m as f64 / big as f64 - 0.5).clamp(0.0, m as f64 - 1.0);
            (1.0 - (source - cell as f64).abs()).max(0.0)
        };
        for ((i, j), &got) in out.indexed_iter() {
            let mut want = 0.0;
            for ((a, b), &v) in map.indexed_iter() {
                want += f64::from(v) * weight(i, a, 3, 7) * weight(j, b, 5, 4);
            }
            assert!((f64::from(got) - want).abs() < 1e-5, "{i} {j}: {got} {want}");
        }
    }

    #[test]
    fn same_size_is_the_identity_and_one_cell_is_constant() {
        let map = array![[1.0f32, -2.0], [f32::INFINITY, 4.0]];
        for how in [Resize::Blocks, Resize::Bilinear] {
            assert_eq!(resize(map.view(), 2, 2, how).unwrap(), map);
            assert_eq!(resize(array![[7.0f32]].view(), 3, 2, how).unwrap(), Array2::from_elem((3, 2), 7.0));
            assert!(resize(Array2::zeros((0, 2)).view(), 3, 2, how).is_err());
        }
    }
}
