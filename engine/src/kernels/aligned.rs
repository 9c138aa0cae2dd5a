//! Buffers that start at a 64-byte boundary, and the lending of parts of them to jobs that run side by side.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::{Deref, DerefMut, Range};

/// A fixed-size buffer that starts at a 64-byte boundary.
pub struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
    /// Where the values lie that another buffer lent; null where they are this buffer's own.
    lent: *mut T,
}

// SAFETY: a lent part is used like a `&mut [T]`, by one job at a time; own values are a `Vec<T>`.
unsafe impl<T: Send> Send for Aligned<T> {}
// SAFETY: shared access gives `&[T]` only.
unsafe impl<T: Sync> Sync for Aligned<T> {}

impl<T: Copy + Default> Aligned<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        if len == 0 {
            return Self::default();
        }
        let spare = 64 / size_of::<T>().max(1);
        let data = vec![T::default(); len + spare];
        // The vector is never grown, so its storage stays where it is and the offset stays right.
        let start = data.as_ptr().align_offset(64).min(spare);
        Self { data, start, len, ..Self::default() }
    }

    /// A copy of `values`.
    pub fn from_slice(values: &[T]) -> Self {
        let mut out = Self::zeros(values.len());
        out.copy_from_slice(values);
        out
    }
}

impl<T> Aligned<T> {
    /// Lets `part` stand for some of these values, until its [`Aligned::give_back`].
    ///
    /// Who lends keeps this buffer borrowed, whole and untouched, until every part is given back, and lends no value
    /// twice; parts stay inside the crate.
    pub(crate) fn lend(&mut self, range: Range<usize>, part: &mut Self) {
        let values = &mut self[range];
        *part = Self { len: values.len(), lent: values.as_mut_ptr(), ..Self::default() };
    }

    /// Ends a loan; the buffer is empty then.
    pub(crate) fn give_back(&mut self) {
        debug_assert!(!self.lent.is_null() || self.len == 0, "only what was lent is given back");
        *self = Self::default();
    }
}

impl<T> Default for Aligned<T> {
    fn default() -> Self {
        Self { data: Vec::new(), start: 0, len: 0, lent: std::ptr::null_mut() }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        if self.lent.is_null() {
            return &self.data[self.start..self.start + self.len];
        }
        // SAFETY: `lend` took place and length from a slice that its caller keeps alive and leaves alone meanwhile.
        unsafe { std::slice::from_raw_parts(self.lent, self.len) }
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        if self.lent.is_null() {
            return &mut self.data[self.start..self.start + self.len];
        }
        // SAFETY: as above; no value is lent twice, so this is the only access to them.
        unsafe { std::slice::from_raw_parts_mut(self.lent, self.len) }
    }
}

impl<T: Clone> Clone for Aligned<T> {
    /// A copy that owns its values.
    fn clone(&self) -> Self {
        let Some(first) = self.first() else { return Self::default() };
        let spare = 64 / size_of::<T>().max(1);
        let mut data = vec![first.clone(); self.len + spare];
        let start = data.as_ptr().align_offset(64).min(spare);
        data[start..start + self.len].clone_from_slice(self);
        Self { data, start, len: self.len, ..Self::default() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Aligned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aligned({} values)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_write_through_and_copies_of_them_own_their_values() {
        let mut whole = Aligned::<f32>::zeros(40);
        let mut parts = [Aligned::default(), Aligned::default()];
        for (i, part) in parts.iter_mut().enumerate() {
            whole.lend(i * 20..(i + 1) * 20, part);
            part.fill(1.0 + i as f32);
        }
        let copy = parts[1].clone();
        parts.iter_mut().for_each(Aligned::give_back);
        assert!(parts.iter().all(|part| part.is_empty()));
        assert!(whole[..20].iter().all(|&v| v == 1.0) && whole[20..].iter().all(|&v| v == 2.0));
        whole.fill(9.0);
        assert_eq!((&copy[..], copy.as_ptr().align_offset(64)), (&[2.0; 20][..], 0));
    }
}
