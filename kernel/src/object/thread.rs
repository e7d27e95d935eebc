//! Threads as objects: what a handle of a thread names.

use super::quota::Charge;
use super::{Process, Ref};
use crate::smp;
use crate::thread::user::{Fp, User, WORK_SUSPEND};
use crate::thread::{self, JoinHandle, SpawnError, Thread};
use abi::error::Error;
use abi::memory::USER_END;
use abi::thread::{Registers, ThreadStart, USES_FP};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use cpu::hw::fp::FpState;
use entry::frame::Frame;
use entry::vectors::STACK_BYTES;
use sched::{CpuSet, Level};

/// A thread of a process.
pub(crate) struct ThreadObject {
    join: JoinHandle,
}

/// The flags of PSTATE that a program may set: N, Z, C, V.
const FLAGS: u64 = 0xf << 28;

impl ThreadObject {
    /// A thread of `process` that waits to be resumed. `limit` is the highest priority it may have.
    ///
    /// # Errors
    /// [`Error::BadArgument`], [`Error::NoMemory`], [`Error::TooMany`], [`Error::Gone`].
    pub(crate) fn create(
        process: &Ref<Process>,
        start: &ThreadStart,
        limit: Level,
    ) -> Result<Ref<Self>, Error> {
        let level = u8::try_from(start.priority).ok().and_then(Level::new);
        let level = level
            .filter(|level| *level <= limit)
            .ok_or(Error::BadArgument)?;
        let in_range = start.entry < USER_END && start.stack <= USER_END;
        let aligned = start.entry.is_multiple_of(4) && start.stack.is_multiple_of(16);
        if !in_range || !aligned || start.flags & !USES_FP != 0 {
            return Err(Error::BadArgument);
        }
        let allowed = cpus(start.cpus)?;
        let fp = if start.flags & USES_FP != 0 {
            Fp::Used
        } else {
            Fp::None
        };
        let mut bytes = STACK_BYTES + size_of::<Thread>() + size_of::<User>() + size_of::<Self>();
        if fp == Fp::Used {
            bytes += size_of::<FpState>();
        }
        let charge = Charge::new(&process.quota, bytes as u64)?;
        let user = User::new(process.clone(), start.tls, fp, charge)?;
        let frame = Frame::for_user(start.entry, start.stack, start.argument);
        let join =
            thread::spawn_user(process.name(), level, allowed, user, frame).map_err(|error| {
                match error {
                    SpawnError::NoMemory => Error::NoMemory,
                    SpawnError::TooMany => Error::TooMany,
                    SpawnError::NoCpu => Error::BadArgument,
                    SpawnError::Gone => Error::Gone,
                }
            })?;
        Ok(Ref::try_new(Self { join })?)
    }

    /// The thread. It may have ended; its memory is there.
    pub(crate) fn thread(&self) -> &'static Thread {
        self.join.waker()
    }

    /// Lets it run.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub(crate) fn resume(&self) -> Result<(), Error> {
        self.alive()?;
        let thread = self.thread();
        thread.core.work.fetch_and(!WORK_SUSPEND, SeqCst);
        thread::wake(thread);
        Ok(())
    }

    /// Has it stop before its next instruction at EL0. It has when [`ThreadObject::is_stopped`] says so.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub(crate) fn suspend(&self) -> Result<(), Error> {
        self.alive()?;
        let thread = self.thread();
        thread.core.work.fetch_or(WORK_SUSPEND, SeqCst);
        thread::nudge(thread);
        Ok(())
    }

    /// Whether a suspension has taken effect, or it has ended: no instruction of it at EL0 comes before it
    /// is resumed. That is so as soon as it is off its CPU: every way to EL0 looks at the work word first.
    pub(crate) fn has_stopped(&self) -> bool {
        self.join.is_done() || !thread::is_running(self.thread())
    }

    /// Whether its registers stay as they are until somebody resumes it: it is suspended, or waits for
    /// the reply to its fault.
    pub(crate) fn is_stopped(&self) -> bool {
        let thread = self.thread();
        let is_suspended = thread.core.work.load(SeqCst) & WORK_SUSPEND != 0;
        is_suspended && self.has_stopped() || thread.user().waits_for_fault_reply()
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        thread::end_found(|_| Some(self.thread()));
    }

    /// Its registers.
    ///
    /// # Errors
    /// [`Error::Gone`]; [`Error::WrongState`]: it is not stopped.
    pub(crate) fn registers(&self) -> Result<Registers, Error> {
        let frame = self.stopped_frame()?;
        let user = self.thread().user();
        // SAFETY: it is stopped, so nobody writes there but who holds a handle like this one; a torn
        // read is that holder's own doing, and no reference is made.
        let frame = unsafe { frame.read_volatile() };
        Ok(Registers {
            x: frame.x,
            sp: frame.sp,
            pc: frame.elr,
            pstate: frame.spsr,
            tls: user.tls().load(Relaxed),
        })
    }

    /// Sets its registers.
    ///
    /// # Errors
    /// As [`ThreadObject::registers`].
    pub(crate) fn set_registers(&self, registers: &Registers) -> Result<(), Error> {
        let place = self.stopped_frame()?;
        // SAFETY: as in `registers`.
        let mut frame = unsafe { place.read_volatile() };
        frame.x = registers.x;
        frame.sp = registers.sp;
        frame.elr = registers.pc;
        frame.spsr = frame.spsr & !FLAGS | registers.pstate & FLAGS;
        // SAFETY: as in `registers`.
        unsafe { place.write_volatile(frame) };
        self.thread().user().tls().store(registers.tls, Relaxed);
        Ok(())
    }

    fn stopped_frame(&self) -> Result<*mut Frame, Error> {
        self.alive()?;
        if !self.is_stopped() {
            return Err(Error::WrongState);
        }
        // Its fault was told while it was still on its CPU, which keeps what is not in its frame
        // (`TPIDR_EL0`) when it leaves. It is about to.
        while thread::is_running(self.thread()) && self.thread().user().waits_for_fault_reply() {
            thread::relax();
        }
        Ok(self.thread().user().frame())
    }

    /// Sets its priority.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub(crate) fn set_level(&self, level: Level) -> Result<(), Error> {
        self.alive()?;
        thread::set_level(self.thread(), level);
        Ok(())
    }

    /// Sets where it may run.
    ///
    /// # Errors
    /// [`Error::Gone`]; [`Error::BadArgument`]: on none of the CPUs that are up.
    pub(crate) fn set_cpus(&self, set: [u64; 2]) -> Result<(), Error> {
        self.alive()?;
        thread::set_allowed(self.thread(), cpus(set)?);
        Ok(())
    }

    fn alive(&self) -> Result<(), Error> {
        if self.join.is_done() {
            return Err(Error::Gone);
        }
        Ok(())
    }
}

impl Drop for ThreadObject {
    fn drop(&mut self) {
        // Nobody can resume it any more; a thread that never ran would wait for ever.
        let work = self.thread().core.work.load(SeqCst);
        if !self.join.is_done() && work & WORK_SUSPEND != 0 {
            self.end();
        }
    }
}

/// The set of CPUs that two words stand for; both 0: all.
fn cpus(words: [u64; 2]) -> Result<CpuSet, Error> {
    let bits = u128::from(words[0]) | u128::from(words[1]) << 64;
    if bits == 0 {
        return Ok(CpuSet::ALL);
    }
    let set = CpuSet::from_bits(bits);
    if smp::all().any(|cpu| set.contains(cpu.id())) {
        Ok(set)
    } else {
        Err(Error::BadArgument)
    }
}
