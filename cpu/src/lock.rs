//! Locks by context: what else may want the lock decides what is held off while it is taken.
//!
//! | class | taken in | held off while taken |
//! |---|---|---|
//! | [`Preempt`] | threads | preemption |
//! | [`Irq`] | threads, ordinary handlers | ordinary interrupts |
//! | [`Nmi`] | every context, NMI included | ordinary interrupts and NMIs |
//!
//! A lock taken in a context it is not for stops the kernel with a sentence, in every build: it would
//! deadlock only when luck runs out. The spinning itself is crate `spin`'s.
//!
//! ```
//! fn sendable<T: Send>(_: T) {}
//! let lock = cpu::lock::Lock::<u32, cpu::lock::Irq>::new(1);
//! sendable(*lock.lock());
//! sendable(lock);
//! ```
//! ```compile_fail,E0277
//! // A lock guard stays on its CPU.
//! fn sendable<T: Send>(_: T) {}
//! let lock = cpu::lock::Lock::<u32, cpu::lock::Irq>::new(1);
//! sendable(lock.lock());
//! ```

use crate::cell::NoSteps;
use crate::guard::{IrqGuard, NmiGuard, Pinned, PreemptGuard};
use crate::local;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use spin::RelaxStrategy;
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// One turn of a wait for a lock. `yield`, which lets an emulator that runs CPUs in turns give the
/// holder its turn; the `isb` of `core::hint::spin_loop` does not, and the wait would last seconds.
pub enum Yield {}

impl RelaxStrategy for Yield {
    #[inline(always)]
    fn relax() {
        #[cfg(target_os = "none")]
        // SAFETY: a hint.
        unsafe {
            core::arch::asm!("yield", options(nomem, nostack, preserves_flags));
        };
        #[cfg(not(target_os = "none"))]
        core::hint::spin_loop();
    }
}

/// A context class of locks.
pub trait Class {
    /// What holds off those who might want the lock.
    type Guard: Pinned;
    /// The name in the message about a lock taken in a wrong context.
    const NAME: &'static str;
    /// Begins to hold them off.
    fn hold() -> Self::Guard;
    /// Whether the lock may be taken here.
    fn permitted() -> bool;
}

/// Shared by threads only.
pub enum Preempt {}
/// Shared with ordinary interrupt handlers.
pub enum Irq {}
/// Shared with NMI handlers.
pub enum Nmi {}

impl Class for Preempt {
    type Guard = PreemptGuard;
    const NAME: &'static str = "Preempt";

    #[inline(always)]
    fn hold() -> PreemptGuard {
        PreemptGuard::new()
    }

    #[inline(always)]
    fn permitted() -> bool {
        let preempt = &local::thread().preempt;
        !preempt.in_irq::<NoSteps>() && !preempt.in_nmi::<NoSteps>()
    }
}

impl Class for Irq {
    type Guard = IrqGuard;
    const NAME: &'static str = "Irq";

    #[inline(always)]
    fn hold() -> IrqGuard {
        IrqGuard::new()
    }

    #[inline(always)]
    fn permitted() -> bool {
        !local::thread().preempt.in_nmi::<NoSteps>()
    }
}

impl Class for Nmi {
    type Guard = NmiGuard;
    const NAME: &'static str = "Nmi";

    #[inline(always)]
    fn hold() -> NmiGuard {
        NmiGuard::new()
    }

    #[inline(always)]
    fn permitted() -> bool {
        true
    }
}

/// A `T` that one CPU at a time has.
pub struct Lock<T, C> {
    inner: SpinMutex<T, Yield>,
    class: PhantomData<fn() -> C>,
}

impl<T, C: Class> Lock<T, C> {
    /// A lock that nobody has.
    pub const fn new(value: T) -> Self {
        Self {
            inner: SpinMutex::new(value),
            class: PhantomData,
        }
    }

    /// Takes the lock; waits for it with the class's contexts held off.
    ///
    /// # Panics
    /// In a context the class is not for.
    #[inline(always)]
    pub fn lock(&self) -> LockGuard<'_, T, C> {
        if !C::permitted() {
            refused(C::NAME);
        }
        let held_off = C::hold();
        let inner = match self.inner.try_lock() {
            Some(inner) => inner,
            None => self.wait(),
        };
        LockGuard { inner, held_off }
    }

    /// Takes the lock if nobody has it and the context is right.
    #[inline(always)]
    pub fn try_lock(&self) -> Option<LockGuard<'_, T, C>> {
        if !C::permitted() {
            return None;
        }
        let held_off = C::hold();
        let inner = self.inner.try_lock()?;
        Some(LockGuard { inner, held_off })
    }

    #[cold]
    fn wait(&self) -> SpinMutexGuard<'_, T, Yield> {
        self.inner.lock()
    }

    /// The value, without taking the lock: the caller has the only reference.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }
}

#[cold]
#[inline(never)]
fn refused(class: &str) -> ! {
    panic!("a lock of class {class} was taken in a context it is not for");
}

/// The lock is taken as long as it lives.
#[must_use = "the lock is held only as long as the guard lives"]
pub struct LockGuard<'a, T, C: Class> {
    // Dropped in this order: the lock first, then what was held off comes in.
    inner: SpinMutexGuard<'a, T, Yield>,
    held_off: C::Guard,
}

impl<T, C: Class> LockGuard<'_, T, C> {
    /// The proof that comes with the lock.
    #[inline(always)]
    pub fn pinned(&self) -> &C::Guard {
        &self.held_off
    }
}

impl<T, C: Class> Deref for LockGuard<'_, T, C> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T, C: Class> DerefMut for LockGuard<'_, T, C> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thread::{IRQ_ONE, NMI_ONE};
    use std::panic::catch_unwind;

    fn taken_with<C: Class>(depth: u32) -> bool {
        let preempt = &local::thread().preempt;
        preempt.add::<NoSteps>(depth);
        let taken = catch_unwind(|| {
            let _ = Lock::<(), C>::new(()).lock();
        });
        preempt.sub::<NoSteps>(depth);
        taken.is_ok()
    }

    #[test]
    fn each_class_refuses_the_contexts_it_is_not_for() {
        assert!(taken_with::<Preempt>(0));
        assert!(!taken_with::<Preempt>(IRQ_ONE));
        assert!(!taken_with::<Preempt>(NMI_ONE));
        assert!(taken_with::<Irq>(IRQ_ONE));
        assert!(!taken_with::<Irq>(NMI_ONE));
        assert!(taken_with::<Nmi>(NMI_ONE));
    }

    #[test]
    fn excludes() {
        let lock = Lock::<u32, Irq>::new(1);
        let mut guard = lock.lock();
        assert!(lock.try_lock().is_none());
        *guard += 1;
        drop(guard);
        assert_eq!(*lock.try_lock().unwrap(), 2);
    }
}
