//! What was removed from where others look, and is freed when nobody can see it any more.
//!
//! To retire is to push onto a list: no lock, no allocation, no failure, since the list's link is part
//! of what is retired. One thread of the kernel takes the list as a whole, waits until all readers from
//! before are done, and frees what was on it. So destructors run in a thread, in `Process`, whoever
//! let go of a thing and wherever.

use alloc::boxed::Box;
use core::ops::Deref;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{
    AtomicPtr, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use cpu::epoch;

/// All that was retired and that nobody collects yet, the last first.
static LIST: AtomicPtr<Link> = AtomicPtr::new(null_mut());
static RETIRED: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);

struct Link {
    next: *mut Link,
    /// Frees the [`Retirable`] that begins with the link.
    free: unsafe fn(NonNull<Link>),
}

/// A `T` that can be retired.
#[repr(C)]
pub struct Retirable<T> {
    link: Link,
    pub(crate) value: T,
}

// SAFETY: the link is used only by whoever owns the whole, one after another.
unsafe impl<T: Send> Send for Retirable<T> {}
// SAFETY: a shared `Retirable` gives out its value and nothing else.
unsafe impl<T: Sync> Sync for Retirable<T> {}

impl<T: Send + 'static> Retirable<T> {
    /// `value`, to be put on the heap.
    pub const fn new(value: T) -> Self {
        Self {
            link: Link {
                next: null_mut(),
                free: free::<T>,
            },
            value,
        }
    }
}

impl<T> Deref for Retirable<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.value
    }
}

/// # Safety
/// The link is that of a `Retirable<T>` that [`retire`] leaked.
unsafe fn free<T>(link: NonNull<Link>) {
    // SAFETY: the caller's promise; the link is its first field.
    drop(unsafe { Box::from_raw(link.cast::<Retirable<T>>().as_ptr()) });
}

/// Has `dead` dropped by [`collect`] when nobody can hold a reference to it that was taken, under a
/// proof of being pinned, before this call. Gives whether nothing was retired before it: then a call of
/// [`collect`] is due. `Process` or `NoIrq`.
#[must_use = "somebody must collect"]
pub fn retire<T: Send + 'static>(dead: Box<Retirable<T>>) -> bool {
    // SAFETY: it was a box.
    unsafe { retire_node(NonNull::from(Box::leak(dead))) }
}

/// [`retire`] for what others still read.
///
/// # Safety
/// `dead` was a box, is the caller's, and is used by nobody but readers from before.
pub(crate) unsafe fn retire_node<T: Send + 'static>(dead: NonNull<Retirable<T>>) -> bool {
    let link = dead.as_ptr().cast::<Link>();
    RETIRED.fetch_add(1, Relaxed);
    let mut first = LIST.load(Relaxed);
    loop {
        // SAFETY: it is ours until it is on the list.
        unsafe { (*link).next = first };
        match LIST.compare_exchange_weak(first, link, Release, Relaxed) {
            Ok(_) => return first.is_null(),
            Err(now) => first = now,
        }
    }
}

/// Frees all that was retired before this call: waits for its readers first. Gives how many. Threads, in
/// `Process`; `relax` is called while waiting, and should let others run.
pub fn collect(relax: impl FnMut()) -> u64 {
    let mut at = LIST.swap(null_mut(), Acquire);
    if at.is_null() {
        return 0;
    }
    epoch::synchronize(relax);
    let mut count = 0;
    while let Some(link) = NonNull::new(at) {
        // SAFETY: it was on the list, so `retire` left it to us, and its readers are done. The next one
        // is read before it is gone.
        unsafe {
            at = link.as_ref().next;
            (link.as_ref().free)(link);
        }
        count += 1;
    }
    FREED.fetch_add(count, Release);
    count
}

/// How many were ever retired.
pub fn retired() -> u64 {
    RETIRED.load(Acquire)
}

/// How many of those were freed.
pub fn freed() -> u64 {
    FREED.load(Acquire)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn what_is_retired_is_dropped_once_when_it_is_collected() {
        let thing = Arc::new(());
        let more = 10;
        for _ in 0..more {
            let _ = retire(Box::new(Retirable::new(thing.clone())));
        }
        assert_eq!(Arc::strong_count(&thing), 1 + more);
        // Another test may collect at the same time.
        while Arc::strong_count(&thing) != 1 {
            collect(std::thread::yield_now);
        }
    }
}
