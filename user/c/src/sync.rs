//! One thread at a time.
//!
//! A word says whether the lock is free, held, or held with somebody waiting; only the last needs
//! the kernel, through a notification that is made when it is first needed. (The protocol is the
//! second mutex of Drepper, "Futexes are tricky". A notification remembers that it was signalled,
//! so whoever looks too late does not wait.)

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::handle::Handle;

use crate::call;

/// What [`Mutex::state`] is.
const FREE: u32 = 0;
const HELD: u32 = 1;
const WAITED_FOR: u32 = 2;

/// `struct petrel_mutex`.
#[repr(C)]
pub struct Mutex {
    /// [`FREE`], [`HELD`], [`WAITED_FOR`].
    state: AtomicU32,
    /// A handle, or none yet.
    notification: AtomicU32,
}

impl Mutex {
    /// One that nobody holds.
    pub(crate) const fn new() -> Self {
        Self {
            state: AtomicU32::new(FREE),
            notification: AtomicU32::new(Handle::NONE.0),
        }
    }

    /// Waits until it is free, and takes it.
    pub(crate) fn lock(&self) {
        let free = self
            .state
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed);
        if free.is_ok() {
            return;
        }
        while self.state.swap(WAITED_FOR, Ordering::Acquire) != FREE {
            match self.notification() {
                Some(notification) if call::wait(notification).is_ok() => {}
                // The quota has no notification left: look again later.
                _ => call::pause(),
            }
        }
    }

    /// Frees it.
    pub(crate) fn unlock(&self) {
        if self.state.swap(FREE, Ordering::Release) == WAITED_FOR {
            let notification = self.notification.load(Ordering::Acquire);
            if notification != Handle::NONE.0 {
                call::signal(Handle(notification));
            }
        }
    }

    /// The notification; it is made now if there is none.
    fn notification(&self) -> Option<Handle> {
        let there = self.notification.load(Ordering::Acquire);
        if there != Handle::NONE.0 {
            return Some(Handle(there));
        }
        let new = call::notification().ok()?;
        match self.notification.compare_exchange(
            Handle::NONE.0,
            new.0,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => Some(new),
            Err(others) => {
                call::close(new);
                Some(Handle(others))
            }
        }
    }
}

/// Something of the library's own that one thread at a time may use.
pub(crate) struct Locked<T> {
    mutex: Mutex,
    value: UnsafeCell<T>,
}

// SAFETY: the mutex lets one thread at a time at the value.
unsafe impl<T: Send> Sync for Locked<T> {}

impl<T> Locked<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            mutex: Mutex::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `with` while nobody else is at the value. It must not come here again.
    pub(crate) fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        self.mutex.lock();
        // SAFETY: whoever holds the mutex is alone.
        let result = with(unsafe { &mut *self.value.get() });
        self.mutex.unlock();
        result
    }
}

/// Takes a mutex, when it is free.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_mutex_lock(mutex: &Mutex) {
    mutex.lock();
}

/// Frees it.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_mutex_unlock(mutex: &Mutex) {
    mutex.unlock();
}
