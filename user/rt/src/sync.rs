//! Locks for threads of one process.
//!
//! Threads have strict priorities, so who spins for a lock that a less urgent thread holds on the same
//! CPU spins for ever. A [`Mutex`] spins a little, because its holder may be about to let go on another
//! CPU, and then waits on a kernel notification, which the holder signals. The notification is made
//! when the first thread has to wait, so a lock nobody fights for costs two atomic instructions and no
//! kernel object. When there is none to be had the waiter sleeps for moments instead: slower, and
//! still right.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};

use abi::handle::Handle;

use crate::object::{Notification, Object, Owned};
use crate::syscall::{Call, plain};
use crate::time::{Deadline, Duration, sleep};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and perhaps somebody waits.
const AWAITED: u32 = 2;

/// How often to look before waiting.
const SPINS: u32 = 40;
/// How long to sleep where there is no notification.
const BACK_OFF: Duration = Duration::from_micros(200);

/// A lock without data. Programs in C have it, too (`struct petrel_mutex`).
#[derive(Debug)]
#[repr(C)]
pub struct RawMutex {
    state: AtomicU32,
    /// The notification's handle, once there is one.
    bell: AtomicU32,
}

impl Default for RawMutex {
    fn default() -> Self {
        Self::new()
    }
}

impl RawMutex {
    /// Free.
    pub const fn new() -> Self {
        Self {
            state: AtomicU32::new(FREE),
            bell: AtomicU32::new(0),
        }
    }

    /// Takes it if it is free.
    pub fn try_lock(&self) -> bool {
        self.state
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Takes it, as soon as it is free.
    pub fn lock(&self) {
        if !self.try_lock() {
            self.lock_slowly();
        }
    }

    #[cold]
    fn lock_slowly(&self) {
        for _ in 0..SPINS {
            if self.state.load(Ordering::Relaxed) == FREE && self.try_lock() {
                return;
            }
            core::hint::spin_loop();
        }
        let bell = self.bell();
        // From here on it is taken as AWAITED, because others may wait as well: at worst one signal too
        // many, whose bit makes the next waiter look once more.
        while self.state.swap(AWAITED, Ordering::Acquire) != FREE {
            match bell {
                Some(bell) => wait(bell),
                None => sleep(BACK_OFF),
            }
        }
    }

    /// Lets go. Only who holds it may.
    pub fn unlock(&self) {
        if self.state.swap(FREE, Ordering::Release) == AWAITED {
            let bell = self.bell.load(Ordering::Acquire);
            if bell != 0 {
                // SAFETY: the call writes no memory. It cannot fail: nobody closes the handle.
                let _ = unsafe { plain(Call::Signal, [u64::from(bell), 1]) };
            }
        }
    }

    /// The handle of the notification; made now if there is none.
    fn bell(&self) -> Option<u32> {
        let there = self.bell.load(Ordering::Acquire);
        if there != 0 {
            return Some(there);
        }
        let new = Notification::create().ok()?;
        match self
            .bell
            .compare_exchange(0, new.handle().0, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Some(Owned::from(new).leak().0),
            Err(there) => Some(there),
        }
    }
}

fn wait(bell: u32) {
    // SAFETY: the call writes no memory.
    let _ = unsafe { plain(Call::Wait, [u64::from(bell), Deadline::FOREVER.ticks()]) };
}

impl Drop for RawMutex {
    fn drop(&mut self) {
        let bell = *self.bell.get_mut();
        if bell != 0 {
            drop(Notification::assume(Owned::new(Handle(bell))));
        }
    }
}

/// Data that one thread at a time may touch.
#[derive(Debug, Default)]
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    data: UnsafeCell<T>,
}

// SAFETY: the lock gives the data to one thread at a time.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// Around `data`.
    pub const fn new(data: T) -> Self {
        Self {
            raw: RawMutex::new(),
            data: UnsafeCell::new(data),
        }
    }

    /// The data.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until nobody else has the data.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.raw.lock();
        MutexGuard { mutex: self }
    }

    /// The data if nobody else has it now.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.raw.try_lock().then(|| MutexGuard { mutex: self })
    }
}

/// While this lives the data is its owner's alone.
#[derive(Debug)]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.mutex.data.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held.
        unsafe { &mut *self.mutex.data.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.raw.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let mutex = Mutex::new(1);
        {
            let mut held = mutex.lock();
            *held = 2;
            assert!(mutex.try_lock().is_none());
        }
        assert_eq!(mutex.try_lock().map(|held| *held), Some(2));
        assert_eq!(mutex.into_inner(), 2);
    }
}
