//! Threads, through rayon where the feature `parallel` is on; without it the same jobs run in order.
//!
//! A job writes its own chunk and nothing else, and what a job holds depends on shapes alone, so results do not depend
//! on the number of threads. No sum ever goes through rayon.

/// Runs `job(i, chunk i)` for each chunk of `len` values.
pub fn chunks<T: Send>(data: &mut [T], len: usize, job: impl Fn(usize, &mut [T]) + Sync + Send) {
    if data.is_empty() || len == 0 {
        return;
    }
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        data.par_chunks_mut(len).enumerate().for_each(|(i, chunk)| job(i, chunk));
    }
    #[cfg(not(feature = "parallel"))]
    for (i, chunk) in data.chunks_mut(len).enumerate() {
        job(i, chunk);
    }
}

/// Runs `job(i, chunk i of a, chunk i of b)`; both must hold the same number of chunks.
pub fn chunks2<A: Send, B: Send>(
    a: &mut [A],
    len_a: usize,
    b: &mut [B],
    len_b: usize,
    job: impl Fn(usize, &mut [A], &mut [B]) + Sync + Send,
) {
    if a.is_empty() || len_a == 0 || len_b == 0 {
        return;
    }
    assert_eq!(a.len().div_ceil(len_a), b.len().div_ceil(len_b), "both sides hold the same number of chunks");
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        a.par_chunks_mut(len_a).zip(b.par_chunks_mut(len_b)).enumerate().for_each(|(i, (a, b))| job(i, a, b));
    }
    #[cfg(not(feature = "parallel"))]
    for (i, (a, b)) in a.chunks_mut(len_a).zip(b.chunks_mut(len_b)).enumerate() {
        job(i, a, b);
    }
}

/// Runs `job(0)`, ..., `job(count - 1)`, in any order and on any thread; the jobs must not depend on each other.
pub fn jobs(count: usize, job: impl Fn(usize) + Sync + Send) {
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        (0..count).into_par_iter().for_each(job);
    }
    #[cfg(not(feature = "parallel"))]
    (0..count).for_each(job);
}
