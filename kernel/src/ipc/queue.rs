//! Threads in a row, first come first served: an intrusive list through their [`Wait`](super::wait::Wait)s.

use crate::thread::Thread;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// A queue of waiting threads. Behind the lock of the object whose it is.
pub(crate) struct Queue {
    first: AtomicPtr<Thread>,
    last: AtomicPtr<Thread>,
}

impl Queue {
    /// Nobody.
    pub(crate) const fn new() -> Self {
        Self {
            first: AtomicPtr::new(null_mut()),
            last: AtomicPtr::new(null_mut()),
        }
    }

    /// Who is first.
    #[inline(always)]
    pub(crate) fn first(&self) -> Option<&'static Thread> {
        // SAFETY: a thread that ends has left every queue, under the queue's lock.
        unsafe { self.first.load(Relaxed).as_ref() }
    }

    /// Puts a user thread last.
    #[inline(always)]
    pub(crate) fn push(&mut self, thread: &'static Thread) {
        let this = core::ptr::from_ref(thread).cast_mut();
        let last = self.last.load(Relaxed);
        let wait = &thread.user().wait;
        wait.next.store(null_mut(), Relaxed);
        wait.previous.store(last, Relaxed);
        // SAFETY: as in `first`.
        match unsafe { last.as_ref() } {
            Some(last) => last.user().wait.next.store(this, Relaxed),
            None => self.first.store(this, Relaxed),
        }
        self.last.store(this, Relaxed);
    }

    /// Takes out a thread that is in this queue.
    #[inline(always)]
    pub(crate) fn remove(&mut self, thread: &'static Thread) {
        let wait = &thread.user().wait;
        let next = wait.next.load(Relaxed);
        let previous = wait.previous.load(Relaxed);
        // SAFETY: as in `first`.
        match unsafe { next.as_ref() } {
            Some(next) => next.user().wait.previous.store(previous, Relaxed),
            None => self.last.store(previous, Relaxed),
        }
        // SAFETY: as in `first`.
        match unsafe { previous.as_ref() } {
            Some(previous) => previous.user().wait.next.store(next, Relaxed),
            None => self.first.store(next, Relaxed),
        }
        wait.left();
    }
}
