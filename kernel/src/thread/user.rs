//! What a thread has because it runs at EL0: a process, user registers, a wait for messages.

use super::Thread;
use crate::ipc::Caller;
use crate::ipc::wait::{For, Progress, Ticket, Wait};
use crate::mm::heap::try_box;
use crate::mm::space;
use crate::object::process::Watchers;
use crate::object::quota::Charge;
use crate::object::{Endpoint, Notification, Process, Ref};
use abi::error::Error;
use abi::message::WORDS;
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use cpu::hw::fp::{self, FpState};
use cpu::lock::{Irq, Lock};
use entry::frame::Frame;

/// Set in [`cpu::thread::Core::work`]: the thread is to end.
pub(crate) const WORK_END: u32 = 1 << 0;
/// Set there: the thread is to stop before its next instruction at EL0.
pub(crate) const WORK_SUSPEND: u32 = 1 << 1;
/// Set there: the thread may no longer run on every CPU.
pub(crate) const WORK_MOVE: u32 = 1 << 2;

/// A thread's part that is for EL0.
pub(crate) struct User {
    process: Ref<Process>,
    /// `TTBR0_EL1` while it runs.
    ttbr: u64,
    /// `TPIDR_EL0` while it does not.
    tls: AtomicU64,
    /// FP and SIMD registers while it does not run; `None`: it may not use them.
    fp: Option<Box<UnsafeCell<FpState>>>,
    /// Its registers while it is in the kernel: always at the top of its stack.
    frame: AtomicPtr<Frame>,
    /// What it waits for.
    pub(crate) wait: Wait,
    /// Whom it received from last and has not replied to; its own, or that of who claimed its wait.
    caller: AtomicU32,
    ticket: AtomicU64,
    /// The bound notification. Written by the thread itself.
    bound: AtomicPtr<Notification>,
    bound_owner: Lock<Option<Ref<Notification>>, Irq>,
    /// Where its faults go, and with which badge.
    fault_endpoint: Lock<Option<(Ref<Endpoint>, u64)>, Irq>,
    /// Keeps the endpoint that its last fault went to while it waits there.
    held: Lock<Option<Ref<Endpoint>>, Irq>,
    /// The words of the message about its fault.
    fault: [AtomicU64; WORDS],
    /// A fault was not resumed.
    fatal: AtomicBool,
    watchers: Watchers,
    /// Goes back when the thread's memory does, whoever still has a handle of it, and whoever has none.
    _charge: Charge,
}

// SAFETY: `fp` is touched by the CPU that switches the thread in or out, and by nobody else; the objects
// behind the pointers are `Sync`.
unsafe impl Sync for User {}
// SAFETY: as above.
unsafe impl Send for User {}

/// Whether a thread may use FP and SIMD registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fp {
    /// It may; they are switched with it.
    Used,
    /// It faults if it tries.
    None,
}

impl User {
    /// Of a new thread of `process`. `charge` is what the thread costs.
    ///
    /// # Errors
    /// [`Error::NoMemory`]; [`Error::Gone`] if the process has ended.
    pub(crate) fn new(
        process: Ref<Process>,
        tls: u64,
        fp: Fp,
        charge: Charge,
    ) -> Result<Box<Self>, Error> {
        let fp = match fp {
            Fp::Used => Some(try_box(UnsafeCell::new(FpState::initial()))?),
            Fp::None => None,
        };
        let ttbr = process.ttbr();
        Ok(try_box(Self {
            process,
            ttbr,
            tls: AtomicU64::new(tls),
            fp,
            frame: AtomicPtr::new(core::ptr::null_mut()),
            wait: Wait::new(),
            caller: AtomicU32::new(0),
            ticket: AtomicU64::new(0),
            bound: AtomicPtr::new(core::ptr::null_mut()),
            bound_owner: Lock::new(None),
            fault_endpoint: Lock::new(None),
            held: Lock::new(None),
            fault: [const { AtomicU64::new(0) }; WORDS],
            fatal: AtomicBool::new(false),
            watchers: Watchers::new(),
            _charge: charge,
        })?)
    }

    /// Its process.
    #[inline(always)]
    pub(crate) fn process(&self) -> &Ref<Process> {
        &self.process
    }

    /// Its registers while it is in the kernel. Whose they are, [`Wait`] says.
    #[inline(always)]
    pub(crate) fn frame(&self) -> *mut Frame {
        self.frame.load(Relaxed)
    }

    /// Notes where its frame is. Before it first runs.
    pub(crate) fn set_frame(&self, frame: *mut Frame) {
        self.frame.store(frame, Relaxed);
    }

    /// Notes whom it received from. By itself, or by who claimed its wait.
    #[inline(always)]
    pub(crate) fn set_caller(&self, caller: Caller) {
        self.caller.store(caller.thread, Relaxed);
        self.ticket.store(caller.ticket.raw(), Relaxed);
    }

    /// Whom it received from last, if it has not replied; it has now. By itself.
    #[inline(always)]
    pub(crate) fn take_caller(&self) -> Option<Caller> {
        let caller = self.peek_caller()?;
        self.forget_caller();
        Some(caller)
    }

    /// Whom it received from last, if it has not replied. By itself.
    #[inline(always)]
    pub(crate) fn peek_caller(&self) -> Option<Caller> {
        let ticket = Ticket::from_raw(self.ticket.load(Relaxed));
        (ticket != Ticket::NONE).then(|| Caller {
            thread: self.caller.load(Relaxed),
            ticket,
        })
    }

    /// It has replied. By itself.
    #[inline(always)]
    pub(crate) fn forget_caller(&self) {
        self.ticket.store(Ticket::NONE.raw(), Relaxed);
    }

    /// The notification bound to it. For the thread itself.
    #[inline(always)]
    pub(crate) fn bound(&self) -> Option<&Notification> {
        // SAFETY: `bound_owner` owns it, and only the thread itself changes both.
        unsafe { self.bound.load(Relaxed).as_ref() }
    }

    /// Binds `notification` to the running thread, whose this is; `None`: none.
    ///
    /// # Errors
    /// [`Error::Busy`]: it is bound to another thread.
    pub(crate) fn bind(
        &self,
        me: &'static Thread,
        notification: Option<Ref<Notification>>,
    ) -> Result<(), Error> {
        if let Some(new) = &notification {
            new.bind(me)?;
        }
        let pointer = notification.as_ref().map_or(core::ptr::null_mut(), |new| {
            core::ptr::from_ref::<Notification>(new).cast_mut()
        });
        self.bound.store(pointer, Relaxed);
        let old = core::mem::replace(&mut *self.bound_owner.lock(), notification);
        if let Some(old) = old
            && !core::ptr::eq::<Notification>(&*old, pointer)
        {
            old.unbind();
        }
        Ok(())
    }

    /// Has its faults go to `endpoint`; `None`: nowhere.
    pub(crate) fn set_fault_endpoint(&self, endpoint: Option<(Ref<Endpoint>, u64)>) {
        let old = core::mem::replace(&mut *self.fault_endpoint.lock(), endpoint);
        drop(old);
    }

    /// Where its faults go, and with which badge. By the thread itself; the endpoint stays until the next
    /// call, or the thread's end.
    pub(crate) fn fault_endpoint(&self) -> Option<(&Endpoint, u64)> {
        let (endpoint, badge) = self.fault_endpoint.lock().clone()?;
        let kept: *const Endpoint = &raw const *endpoint;
        let old = self.held.lock().replace(endpoint);
        drop(old);
        // SAFETY: `held` owns it now, and only the thread itself changes that.
        Some((unsafe { &*kept }, badge))
    }

    /// The words of the message about its fault.
    pub(crate) fn fault(&self) -> [u64; WORDS] {
        core::array::from_fn(|at| self.fault[at].load(Relaxed))
    }

    /// Notes what is to be told of its fault. By itself.
    pub(crate) fn set_fault(&self, words: [u64; WORDS]) {
        for (to, from) in self.fault.iter().zip(words) {
            to.store(from, Relaxed);
        }
    }

    /// Its fault was not resumed: its process is to end.
    pub(crate) fn set_fatal(&self) {
        self.fatal.store(true, Release);
    }

    /// Whether its fault was not resumed.
    pub(crate) fn is_fatal(&self) -> bool {
        self.fatal.load(Acquire)
    }

    /// Who is to be told of its end.
    pub(crate) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// Whether its fault was told, and the reply has not come.
    pub(crate) fn waits_for_fault_reply(&self) -> bool {
        matches!(self.wait.progress(), Progress::Waiting(ticket) if ticket.reason() == For::FaultReply)
    }

    /// Its `TPIDR_EL0`, if it does not run.
    pub(crate) fn tls(&self) -> &AtomicU64 {
        &self.tls
    }

    /// Keeps what EL0 left in registers that the kernel does not use.
    #[inline(always)]
    fn save(&self) {
        self.tls.store(fp::tpidr(), Relaxed);
        if let Some(state) = &self.fp {
            // SAFETY: this CPU switches the thread out, so nobody else touches its state.
            unsafe { fp::save(&mut *state.get()) };
        }
    }

    /// Puts it back.
    #[inline(always)]
    fn load(&self) {
        fp::set_tpidr(self.tls.load(Relaxed));
        match &self.fp {
            Some(state) => {
                fp::permit(fp::Permit::Program);
                // SAFETY: as in `save`.
                unsafe { fp::restore(&*state.get()) };
            }
            None => fp::permit(fp::Permit::Kernel),
        }
    }
}

/// The user's half of a switch: registers that the kernel does not use, and the address space. In the
/// legal switch state, before the switch.
#[inline(always)]
pub(super) fn exchange(from: &Thread, to: &Thread) {
    let from_ttbr = match from.try_user() {
        Some(user) => {
            user.save();
            Some(user.ttbr)
        }
        None => None,
    };
    match to.try_user() {
        Some(user) => {
            user.load();
            if from_ttbr != Some(user.ttbr) {
                // SAFETY: the process keeps its space as long as it has threads off whose stacks nobody is.
                unsafe { space::install(user.ttbr) };
            }
        }
        // Nobody's address space is in use while a kernel thread runs: it may end meanwhile.
        // SAFETY: that is always there.
        None if from_ttbr.is_some() => unsafe { space::install(space::reserved_ttbr()) },
        None => {}
    }
}

/// The running thread's process; for system calls.
#[inline(always)]
pub(crate) fn current_process() -> &'static Ref<Process> {
    super::current().user().process()
}
