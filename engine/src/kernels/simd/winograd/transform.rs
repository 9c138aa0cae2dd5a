//! The transforms of tiles: [`super::form`]'s matrices down the columns, then along the rows.
#![allow(unsafe_code)]
// Constant trip counts over arrays of registers read as what they become, and calls stay out of closures, which would
// not be compiled with S's instructions.
#![allow(clippy::needless_range_loop)]

use super::super::{Simd, WIDTH};
use super::form::{self, Form};
use super::tiles::Places;
use std::mem::MaybeUninit;

/// What is read outside an image.
#[repr(align(64))]
struct Zeros([f32; WIDTH]);
static ZEROS: Zeros = Zeros([0.0; WIDTH]);

/// Columns of pixels that are transformed before their rows are.
const COLUMNS: usize = 36;

/// A plane of vectors and where the tiles' first pixels lie in it, be it in the padding.
#[derive(Clone, Copy)]
pub struct Plane {
    /// Its first number.
    pub at: *const f32,
    /// Rows and columns.
    pub size: [usize; 2],
    /// Numbers from a column to the next.
    pub step: usize,
    /// Row and column of the first pixel of a tile.
    pub first: [isize; 2],
    /// How far on the pixels lie that are wanted soon; 0 for none.
    pub ahead: usize,
}

impl Plane {
    /// Row `first + i`: its address and the step between its columns, or zeros, which do not move.
    #[inline(always)]
    fn row(&self, i: usize) -> (*const f32, usize) {
        let row = self.first[0] + i as isize;
        if row >= 0 && (row as usize) < self.size[0] {
            (self.at.wrapping_add(row as usize * self.size[1] * self.step), self.step)
        } else {
            (ZEROS.0.as_ptr(), 0)
        }
    }

    /// Column `first + j` of some rows, or zeros.
    #[inline(always)]
    fn column<const N: usize>(&self, rows: &[(*const f32, usize); N], j: usize) -> [*const f32; N] {
        let column = self.first[1] + j as isize;
        let inside = column >= 0 && (column as usize) < self.size[1];
        rows.map(|(at, step)| if inside { at.wrapping_add(column as usize * step) } else { ZEROS.0.as_ptr() })
    }
}

/// B^T d B of a run of neighbouring tiles: tile `first + i` of channel `channel` to `to + point * p + places`.
#[derive(Clone, Copy)]
pub struct Input {
    /// The form.
    pub form: Form,
    /// The plane; `first` is the first tile's.
    pub plane: Plane,
    /// Tiles in the run.
    pub tiles: usize,
    /// Where they go.
    pub places: Places,
    /// The channel that the plane is.
    pub channel: usize,
    /// Number of the first tile.
    pub first: usize,
    /// Point 0.
    pub to: *mut f32,
    /// Step to the next point.
    pub point: usize,
}

/// Runs an [`Input`].
///
/// # Safety
///
/// The machine has S's instructions; the plane exists, and the form's points that hold the places.
#[inline(always)]
pub unsafe fn input<S: Simd, const REGISTERS: usize>(job: &Input) {
    // SAFETY: the caller's promise.
    unsafe {
        match job.form {
            Form::Two3 => inputs::<S, REGISTERS, 4, 2>(job),
            Form::Four3 => inputs::<S, REGISTERS, 6, 4>(job),
            Form::Two5 => inputs::<S, REGISTERS, 6, 2>(job),
        }
    }
}

/// [`input`] for tiles of N pixels, M from the next.
///
/// # Safety
///
/// As for [`input`].
#[inline(always)]
unsafe fn inputs<S: Simd, const REGISTERS: usize, const N: usize, const M: usize>(job: &Input) {
    let rows = std::array::from_fn(|i| job.plane.row(i));
    let most = (COLUMNS - N) / M + 1;
    let mut down = [MaybeUninit::<[S::V; N]>::uninit(); COLUMNS];
    for start in (0..job.tiles).step_by(most) {
        let count = most.min(job.tiles - start);
        for n in 0..REGISTERS {
            // SAFETY: `column` stays in the plane or in the zeros; every column of these tiles is written before it is
            // read; the caller's promise for the points.
            unsafe {
                for (j, down) in down[..M * (count - 1) + N].iter_mut().enumerate() {
                    let pixels = job.plane.column::<N>(&rows, M * start + j);
                    if n == 0 && job.plane.ahead > 0 {
                        for i in 0..N {
                            S::prefetch(pixels[i].wrapping_add(job.plane.ahead));
                        }
                    }
                    down.write(form::input::<S, N>(loads::<S, N>(pixels, n)));
                }
                for t in 0..count {
                    let to = job.places.at(job.channel, job.first + start + t) + n * S::LANES;
                    for i in 0..N {
                        let mut row = [S::splat(0.0); N];
                        for j in 0..N {
                            row[j] = down[M * t + j].assume_init_ref()[i];
                        }
                        let row = form::input::<S, N>(row);
                        for j in 0..N {
                            S::store(job.to.wrapping_add(to + (N * i + j) * job.point), row[j]);
                        }
                    }
                }
            }
        }
    }
}

/// Register `n` of each vector.
///
/// # Safety
///
/// The machine has S's instructions, and the vectors exist.
#[inline(always)]
unsafe fn loads<S: Simd, const N: usize>(at: [*const f32; N], n: usize) -> [S::V; N] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut v = [S::splat(0.0); N];
        for i in 0..N {
            v[i] = S::load(at[i].add(n * S::LANES));
        }
        v
    }
}

/// A dy A^T of one tile of one channel.
#[derive(Clone, Copy)]
pub struct Gradient {
    /// The form.
    pub form: Form,
    /// The plane of the output's gradient; `first` is the tile's.
    pub plane: Plane,
    /// Point 0 of the tile.
    pub to: *mut f32,
    /// Step to the next point.
    pub point: usize,
}

/// Runs a [`Gradient`].
///
/// # Safety
///
/// The machine has S's instructions; the plane exists, and a vector at each of the form's points.
#[inline(always)]
pub unsafe fn gradient<S: Simd, const REGISTERS: usize>(job: &Gradient) {
    // SAFETY: the caller's promise.
    unsafe {
        match job.form {
            Form::Two3 => gradients::<S, REGISTERS, 4, 2>(job),
            Form::Four3 => gradients::<S, REGISTERS, 6, 4>(job),
            Form::Two5 => gradients::<S, REGISTERS, 6, 2>(job),
        }
    }
}

/// [`gradient`] for M pixels and N points.
///
/// # Safety
///
/// As for [`gradient`].
#[inline(always)]
unsafe fn gradients<S: Simd, const REGISTERS: usize, const N: usize, const M: usize>(job: &Gradient) {
    let rows = std::array::from_fn(|i| job.plane.row(i));
    for n in 0..REGISTERS {
        // SAFETY: `column` stays in the plane or in the zeros; the caller's promise for the points.
        unsafe {
            let mut down = [[S::splat(0.0); N]; M];
            for j in 0..M {
                let pixels = job.plane.column::<M>(&rows, j);
                if n == 0 && job.plane.ahead > 0 {
                    for i in 0..M {
                        S::prefetch(pixels[i].wrapping_add(job.plane.ahead));
                    }
                }
                down[j] = form::gradient::<S, M, N>(loads::<S, M>(pixels, n));
            }
            for i in 0..N {
                let mut row = [S::splat(0.0); M];
                for j in 0..M {
                    row[j] = down[j][i];
                }
                let row = form::gradient::<S, M, N>(row);
                for j in 0..N {
                    S::store(job.to.wrapping_add((N * i + j) * job.point + n * S::LANES), row[j]);
                }
            }
        }
    }
}

/// A^T m A + start of one tile of one channel: up to M x M pixels.
#[derive(Clone, Copy)]
pub struct Output {
    /// The form.
    pub form: Form,
    /// Point 0 of the tile.
    pub from: *const f32,
    /// Step to the next point.
    pub point: usize,
    /// What is added to each pixel.
    pub start: f32,
    /// First pixel.
    pub to: *mut f32,
    /// Step to the next row.
    pub row: usize,
    /// Rows and columns that exist, 1 to M.
    pub size: [usize; 2],
    /// How far on the pixels lie that are written soon; 0 for none.
    pub ahead: usize,
}

/// Runs an [`Output`].
///
/// # Safety
///
/// The machine has S's instructions; a vector exists at each of the form's points and at each pixel.
#[inline(always)]
pub unsafe fn output<S: Simd, const REGISTERS: usize>(job: &Output) {
    // SAFETY: the caller's promise.
    unsafe {
        match job.form {
            Form::Two3 => outputs::<S, REGISTERS, 4, 2>(job),
            Form::Four3 => outputs::<S, REGISTERS, 6, 4>(job),
            Form::Two5 => outputs::<S, REGISTERS, 6, 2>(job),
        }
    }
}

/// [`output`] for N points and M pixels.
///
/// # Safety
///
/// As for [`output`].
#[inline(always)]
unsafe fn outputs<S: Simd, const REGISTERS: usize, const N: usize, const M: usize>(job: &Output) {
    for n in 0..REGISTERS {
        // SAFETY: the caller's promise.
        unsafe {
            let start = S::splat(job.start);
            let mut down = [[start; M]; N];
            for j in 0..N {
                let points = std::array::from_fn(|i| job.from.wrapping_add((N * i + j) * job.point));
                down[j] = form::output::<S, N, M>(loads::<S, N>(points, n));
            }
            for i in 0..M {
                if i < job.size[0] {
                    let mut row = [start; N];
                    for j in 0..N {
                        row[j] = down[j][i];
                    }
                    let row = form::output::<S, N, M>(row);
                    let to = job.to.wrapping_add(i * job.row + n * S::LANES);
                    for j in 0..M {
                        if n == 0 && job.ahead > 0 {
                            S::prefetch(to.wrapping_add(j * WIDTH + job.ahead));
                        }
                        if j < job.size[1] {
                            S::store(to.wrapping_add(j * WIDTH), S::add(row[j], start));
                        }
                    }
                }
            }
        }
    }
}
