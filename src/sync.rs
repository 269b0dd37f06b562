//! What threads share: the standard library's, or loom's, which tries every order of events.
//!
//! The code that waits and wakes takes its atomics and locks from here. `.ci/run` compiles the
//! crate's own tests once more with `--cfg tower_inference_loom` and runs the models, whose names
//! begin with `loom`.
//!
//! Rule: nobody panics while holding one of these locks, so none of them is ever poisoned, and
//! [`lock`] looks past it: a caller's waker that panics is called outside.

#[cfg(not(all(test, tower_inference_loom)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize, fence},
};

#[cfg(all(test, tower_inference_loom))]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize, fence},
};

use std::sync::{PoisonError, atomic::Ordering};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was stored before this is seen by whoever stores before its own, and then looks.
pub(crate) fn full_fence() {
    fence(Ordering::SeqCst);
}
