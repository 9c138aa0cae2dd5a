//! Threads, through rayon where the feature `parallel` is on; without it the same jobs run in order.
//!
//! A job writes its own chunk and nothing else, and what a job holds depends on shapes alone, so results do not depend
//! on the number of threads. No sum ever goes through rayon. Work that was split once by [`apart`] is not split again.

#[cfg(feature = "parallel")]
thread_local! {
    /// Whether this thread is in a job of [`apart`].
    static APART: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether jobs may go to other threads.
#[cfg(feature = "parallel")]
fn together() -> bool {
    !APART.get()
}

/// Threads that share the jobs.
pub fn threads() -> usize {
    #[cfg(feature = "parallel")]
    return rayon::current_num_threads();
    #[cfg(not(feature = "parallel"))]
    1
}

/// Runs a job on this thread alone, whatever it splits.
fn alone(job: impl FnOnce()) {
    #[cfg(feature = "parallel")]
    let before = APART.replace(true);
    job();
    #[cfg(feature = "parallel")]
    APART.set(before);
}

/// Runs `job(i, a[i])`, each on one thread.
pub fn apart<A: Send>(a: &mut [A], job: impl Fn(usize, &mut A) + Sync + Send) {
    chunks(a, 1, |i, a| alone(|| job(i, &mut a[0])));
}

/// Runs `job(i, slot)` for each i below `count`, each on one thread. The slot is a number below `count` that no other job
/// has at the same time; jobs that follow each other on a thread share it, unless there are more threads than jobs.
pub fn jobs_apart(count: usize, job: impl Fn(usize, usize) + Sync + Send) {
    #[cfg(feature = "parallel")]
    if together() {
        use rayon::prelude::*;
        let own = |i| if threads() > count { i } else { rayon::current_thread_index().unwrap_or(i) };
        return (0..count).into_par_iter().for_each(|i| alone(|| job(i, own(i))));
    }
    (0..count).for_each(|i| job(i, 0));
}

/// Runs `job(i, a[i], b[i], c[i])`, each on one thread.
pub fn apart3<A: Send, B: Send, C: Send>(
    (a, b, c): (&mut [A], &mut [B], &mut [C]),
    job: impl Fn(usize, &mut A, &mut B, &mut C) + Sync + Send,
) {
    assert!(a.len() == b.len() && b.len() == c.len(), "as many of each");
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        let each = a.par_iter_mut().zip(b).zip(c).enumerate();
        each.for_each(|(i, ((a, b), c))| alone(|| job(i, a, b, c)));
    }
    #[cfg(not(feature = "parallel"))]
    for (i, ((a, b), c)) in a.iter_mut().zip(b).zip(c).enumerate() {
        alone(|| job(i, a, b, c));
    }
}

/// Runs `job(i, chunk i)` for each chunk of `len` values.
pub fn chunks<T: Send>(data: &mut [T], len: usize, job: impl Fn(usize, &mut [T]) + Sync + Send) {
    if data.is_empty() || len == 0 {
        return;
    }
    #[cfg(feature = "parallel")]
    if together() {
        use rayon::prelude::*;
        return data.par_chunks_mut(len).enumerate().for_each(|(i, chunk)| job(i, chunk));
    }
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
    if together() {
        use rayon::prelude::*;
        let pairs = a.par_chunks_mut(len_a).zip(b.par_chunks_mut(len_b));
        return pairs.enumerate().for_each(|(i, (a, b))| job(i, a, b));
    }
    for (i, (a, b)) in a.chunks_mut(len_a).zip(b.chunks_mut(len_b)).enumerate() {
        job(i, a, b);
    }
}

/// Runs `job(0)`, ..., `job(count - 1)`, in any order and on any thread; the jobs must not depend on each other.
pub fn jobs(count: usize, job: impl Fn(usize) + Sync + Send) {
    #[cfg(feature = "parallel")]
    if together() {
        use rayon::prelude::*;
        return (0..count).into_par_iter().for_each(job);
    }
    (0..count).for_each(job);
}
