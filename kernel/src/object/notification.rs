//! Notifications: a word of bits. A signal adds bits, a wait takes all of them.
//!
//! Interrupts, timers and the ends of processes signal too. A thread can wait for the bits alone, or,
//! when the notification is bound to it, for them and for a message at once.

use crate::ipc::{self, queue::Queue, wait::For};
use crate::object::quota::{Charge, Quota};
use crate::object::{Ref, timer};
use crate::thread::Thread;
use abi::error::Error;
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32,
    Ordering::{AcqRel, Relaxed},
};
use cpu::guard::IrqGuard;
use cpu::lock::Yield;
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// What a notification is charged as.
const BYTES: u64 = 192;

/// A notification.
pub(crate) struct Notification {
    /// Taken with ordinary interrupts held.
    state: SpinMutex<State, Yield>,
    handles: AtomicU32,
    /// Whether the timer's list may name it.
    pub(super) has_timer: AtomicBool,
    _charge: Charge,
}

/// What a notification knows.
pub(crate) struct State {
    bits: u64,
    /// Nobody can name it any more.
    is_gone: bool,
    /// Who waits for bits.
    pub(crate) waiters: Queue,
    /// The thread it is bound to.
    bound: AtomicPtr<Thread>,
}

impl Notification {
    /// Without bits.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub(crate) fn create(quota: &Ref<Quota>) -> Result<Ref<Self>, Error> {
        let charge = Charge::new(quota, BYTES)?;
        Ok(Ref::try_new(Self {
            state: SpinMutex::new(State {
                bits: 0,
                is_gone: false,
                waiters: Queue::new(),
                bound: AtomicPtr::new(null_mut()),
            }),
            handles: AtomicU32::new(0),
            has_timer: AtomicBool::new(false),
            _charge: charge,
        })?)
    }

    /// Its state. With ordinary interrupts held.
    #[inline(always)]
    pub(crate) fn lock(&self) -> SpinMutexGuard<'_, State, Yield> {
        self.state.lock()
    }

    /// Adds `bits`, and ends the wait of who waits for them. Any context but NMI.
    pub(crate) fn signal(&self, bits: u64) {
        crate::thread::wake_found(|_| self.add(bits));
    }

    /// Adds `bits`, and ends the wait of who waits for them; the caller wakes that thread before he lets
    /// ordinary interrupts in, which are held.
    #[inline]
    pub(crate) fn add(&self, bits: u64) -> Option<&'static Thread> {
        if bits == 0 {
            return None;
        }
        let mut state = self.lock();
        state.bits |= bits;
        while let Some(thread) = state.waiters.first() {
            state.waiters.remove(thread);
            if thread.user().wait.claim_any(&[For::Bits]).is_some() {
                let bits = core::mem::take(&mut state.bits);
                ipc::transfer::bits_to_waiter(thread, bits);
                thread.user().wait.done();
                return Some(thread);
            }
        }
        // SAFETY: a thread that ends has unbound its notification, under the lock.
        let thread = unsafe { state.bound.load(Relaxed).as_ref() }?;
        thread.user().wait.claim_any(&[For::Message])?;
        let bits = core::mem::take(&mut state.bits);
        ipc::transfer::bits_to_receiver(thread, bits);
        thread.user().wait.done();
        Some(thread)
    }

    /// Takes all bits; 0 if there are none. With ordinary interrupts held.
    #[inline]
    pub(crate) fn take(&self) -> u64 {
        core::mem::take(&mut self.lock().bits)
    }

    /// Binds it to `thread`.
    ///
    /// # Errors
    /// [`Error::Busy`]: it is bound to another.
    pub(crate) fn bind(&self, thread: &'static Thread) -> Result<(), Error> {
        let _irqs = IrqGuard::new();
        let state = self.lock();
        let this = core::ptr::from_ref(thread).cast_mut();
        let bound = state.bound.load(Relaxed);
        if !bound.is_null() && bound != this {
            return Err(Error::Busy);
        }
        state.bound.store(this, Relaxed);
        Ok(())
    }

    /// Binds it to nobody.
    pub(crate) fn unbind(&self) {
        let _irqs = IrqGuard::new();
        self.lock().bound.store(null_mut(), Relaxed);
    }

    /// There is one more handle to it.
    pub(crate) fn handle_added(&self) {
        self.handles.fetch_add(1, Relaxed);
    }

    /// There is one less; after the last one, whoever waits learns that it is gone.
    pub(crate) fn handle_removed(&self) {
        if self.handles.fetch_sub(1, AcqRel) != 1 {
            return;
        }
        timer::cancel(self);
        loop {
            let _irqs = IrqGuard::new();
            let mut state = self.lock();
            state.is_gone = true;
            let Some(thread) = state.waiters.first() else {
                return;
            };
            state.waiters.remove(thread);
            let claimed = thread.user().wait.claim_any(&[For::Bits]);
            drop(state);
            if let Some(ticket) = claimed {
                ipc::end_wait(thread, ticket, Err(Error::Gone));
            }
        }
    }
}

impl State {
    /// The bits, which are taken; 0 if there are none.
    #[inline]
    pub(crate) fn take(&mut self) -> u64 {
        core::mem::take(&mut self.bits)
    }

    /// Whether there are any.
    #[inline]
    pub(crate) fn has_bits(&self) -> bool {
        self.bits != 0
    }

    /// Whether nobody can name it any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone
    }
}

impl Drop for Notification {
    fn drop(&mut self) {
        timer::cancel(self);
    }
}
