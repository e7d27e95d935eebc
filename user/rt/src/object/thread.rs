//! Threads, of this process and of others.

use abi::handle::Handle;
pub use abi::thread::{Registers, ThreadStart, USES_FP};

use super::process::{wait_for_end, watch};
use super::{Endpoint, Notification, Process, object};
use crate::Error;
use crate::object::{Object, Owned};
use crate::syscall::{Call, plain};

object! {
    /// A thread.
    Thread
}

impl Thread {
    /// A thread of `process` that does not run yet.
    ///
    /// # Errors
    /// [`Error::NoMemory`], [`Error::TooMany`], [`Error::BadArgument`]; [`Error::Gone`] if the process
    /// has ended.
    ///
    /// # Safety
    /// If the process is this one, what runs there must be sound; [`crate::thread::spawn`] is.
    pub unsafe fn create(process: &Process, start: &ThreadStart) -> Result<Self, Error> {
        let arguments = [process.word(), core::ptr::from_ref(start) as u64];
        // SAFETY: the kernel reads `start`.
        let [handle, ..] = unsafe { plain(Call::ThreadCreate, arguments) }?;
        Ok(Self::assume(Owned::new(Handle(handle as u32))))
    }

    /// It runs for the first time, or goes on after [`Thread::suspend`].
    ///
    /// # Errors
    /// [`Error::NoRight`], [`Error::Gone`], [`Error::WrongState`].
    pub fn resume(&self) -> Result<(), Error> {
        self.manage(Call::ThreadResume, [0; 2])
    }

    /// It stops before its next instruction. Waits until it has.
    ///
    /// # Errors
    /// As [`Thread::resume`].
    pub fn suspend(&self) -> Result<(), Error> {
        self.manage(Call::ThreadSuspend, [0; 2])
    }

    /// Ends it. Nothing of what it has on its stack is dropped.
    ///
    /// # Errors
    /// [`Error::NoRight`]; [`Error::Gone`] if it has ended.
    pub fn kill(&self, status: u64) -> Result<(), Error> {
        self.manage(Call::ThreadKill, [status, 0])
    }

    /// 0 to 31, at most the caller's own; larger is more urgent.
    ///
    /// # Errors
    /// [`Error::BadArgument`], [`Error::NoRight`], [`Error::Gone`].
    pub fn set_priority(&self, priority: u32) -> Result<(), Error> {
        self.manage(Call::ThreadSetPriority, [u64::from(priority), 0])
    }

    /// Where it may run: bit n of the 128 is CPU n.
    ///
    /// # Errors
    /// [`Error::BadArgument`] if none of them exists; [`Error::NoRight`], [`Error::Gone`].
    pub fn set_cpus(&self, cpus: u128) -> Result<(), Error> {
        self.manage(Call::ThreadSetCpus, [cpus as u64, (cpus >> 64) as u64])
    }

    /// From now on its faults are calls to the endpoint; with `None` they end its process.
    ///
    /// # Errors
    /// [`Error::NoRight`], [`Error::Gone`].
    pub fn set_fault_endpoint(&self, endpoint: Option<&Endpoint>) -> Result<(), Error> {
        let handle = endpoint.map_or(Handle::NONE, Endpoint::handle);
        self.manage(Call::ThreadSetFaultEndpoint, [u64::from(handle.0), 0])
    }

    /// The registers of a thread that is suspended or whose fault waits for the reply.
    ///
    /// # Errors
    /// [`Error::WrongState`] in any other; [`Error::NoRight`], [`Error::Gone`].
    pub fn registers(&self) -> Result<Registers, Error> {
        let mut registers = Registers::default();
        let arguments = [self.word(), &raw mut registers as u64];
        // SAFETY: the kernel writes `registers`, in which any bytes are good.
        unsafe { plain(Call::ThreadReadRegisters, arguments) }?;
        Ok(registers)
    }

    /// Sets them.
    ///
    /// # Errors
    /// As [`Thread::registers`].
    ///
    /// # Safety
    /// If it is a thread of this process, what it then does must be sound.
    pub unsafe fn set_registers(&self, registers: &Registers) -> Result<(), Error> {
        let arguments = [self.word(), core::ptr::from_ref(registers) as u64];
        // SAFETY: the kernel reads `registers`.
        unsafe { plain(Call::ThreadWriteRegisters, arguments) }.map(drop)
    }

    /// Signals `bits` to the notification when it has ended; at once if it has.
    ///
    /// # Errors
    /// [`Error::NoRight`].
    pub fn watch(&self, notification: &Notification, bits: u64) -> Result<(), Error> {
        watch(self.word(), notification, bits)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`Error::NoRight`], [`Error::NoMemory`].
    pub fn wait(&self) -> Result<(), Error> {
        wait_for_end(|notification| self.watch(notification, 1))
    }

    fn manage(&self, call: Call, [first, second]: [u64; 2]) -> Result<(), Error> {
        // SAFETY: none of the calls that come here writes memory; that a thread of this process stops
        // at any instruction is nothing that Rust forbids.
        unsafe { plain(call, [self.word(), first, second]) }.map(drop)
    }
}
