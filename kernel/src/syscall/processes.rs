//! Processes and threads.

use super::{NOTHING, Values, bits_of, insert, object, object_and_badge, priority_limit};
use crate::mm::user::{copy_in, copy_in_bytes, copy_out};
use crate::object::{Endpoint, Notification, Object, Process, ThreadObject};
use crate::thread::user::{WORK_SUSPEND, current_process};
use crate::thread::{self, Thread};
use abi::error::Error;
use abi::handle::Rights;
use abi::report::{Name, ProcessState};
use abi::thread::{Registers, ThreadStart};
use core::sync::atomic::Ordering::SeqCst;
use sched::Level;

/// [`abi::syscall::Call::ProcessExit`].
pub(super) fn exit(status: u64) -> Result<Values, Error> {
    // This thread ends too, on its way to EL0.
    Process::end(current_process(), ProcessState::Exited, status);
    Ok(NOTHING)
}

/// [`abi::syscall::Call::ProcessCreate`].
pub(super) fn create(address: u64, bytes: u64, quota: u64) -> Result<Values, Error> {
    let mut name = Name::default();
    let length = usize::try_from(bytes).map_err(|_| Error::BadArgument)?;
    let part = name.get_mut(..length).ok_or(Error::BadArgument)?;
    copy_in_bytes(address, part)?;
    let process = Process::create(name, quota, Some(&current_process().quota))?;
    let made = insert(Object::Process(process.clone()), Rights::ALL);
    if made.is_err() {
        Process::end(&process, ProcessState::Killed, 0);
    }
    made
}

/// [`abi::syscall::Call::ProcessKill`].
pub(super) fn kill(process: u64, status: u64) -> Result<Values, Error> {
    let process = object::<Process>(process, Rights::MANAGE)?;
    Process::end(&process, ProcessState::Killed, status);
    Ok(NOTHING)
}

/// [`abi::syscall::Call::ProcessReport`].
pub(super) fn report(process: u64, address: u64) -> Result<Values, Error> {
    let process = object::<Process>(process, Rights::INSPECT)?;
    copy_out(address, &process.report())?;
    Ok(NOTHING)
}

/// [`abi::syscall::Call::Watch`].
pub(super) fn watch(watched: u64, notification: u64, bits: u64) -> Result<Values, Error> {
    let (notification, badge) = object_and_badge::<Notification>(notification, Rights::SIGNAL)?;
    let bits = bits_of(badge, bits);
    match object::<Process>(watched, Rights::INSPECT) {
        Ok(process) => process.watchers().watch(notification, badge, bits)?,
        Err(Error::WrongKind) => object::<ThreadObject>(watched, Rights::INSPECT)?
            .thread()
            .user()
            .watchers()
            .watch(notification, badge, bits)?,
        Err(error) => return Err(error),
    }
    Ok(NOTHING)
}

/// [`abi::syscall::Call::ThreadCreate`].
pub(super) fn thread_create(process: u64, address: u64) -> Result<Values, Error> {
    let start: ThreadStart = copy_in(address)?;
    let process = object::<Process>(process, Rights::MANAGE)?;
    let made = ThreadObject::create(&process, &start, priority_limit())?;
    let given = insert(Object::Thread(made.clone()), Rights::ALL);
    if given.is_err() {
        made.end();
    }
    given
}

/// [`abi::syscall::Call::ThreadResume`].
pub(super) fn thread_resume(handle: u64) -> Result<Values, Error> {
    object::<ThreadObject>(handle, Rights::MANAGE)?.resume()?;
    Ok(NOTHING)
}

/// [`abi::syscall::Call::ThreadSuspend`].
pub(super) fn thread_suspend(handle: u64) -> Result<Values, Error> {
    let target = object::<ThreadObject>(handle, Rights::MANAGE)?;
    target.suspend()?;
    let me = thread::current();
    let is_me = core::ptr::eq(target.thread(), me);
    while !is_me && !target.has_stopped() && !me.links.state().is_killed() {
        // It runs on another CPU, which was told.
        thread::relax();
        // Perhaps it waits for the caller in the same way.
        stop_while_suspended(me);
    }
    Ok(NOTHING)
}

/// Has the running thread wait, inside its call, until it is no longer suspended, or is to end.
fn stop_while_suspended(me: &'static Thread) {
    let is_suspended = || me.core.work.load(SeqCst) & WORK_SUSPEND != 0;
    thread::wait_until(|| !is_suspended() || me.links.state().is_killed());
}

/// [`abi::syscall::Call::ThreadKill`].
pub(super) fn thread_kill(handle: u64) -> Result<Values, Error> {
    object::<ThreadObject>(handle, Rights::MANAGE)?.end();
    Ok(NOTHING)
}

/// [`abi::syscall::Call::ThreadSetPriority`].
pub(super) fn thread_set_priority(handle: u64, priority: u64) -> Result<Values, Error> {
    let level = u8::try_from(priority).ok().and_then(Level::new);
    let level = level.filter(|level| *level <= priority_limit());
    let level = level.ok_or(Error::BadArgument)?;
    object::<ThreadObject>(handle, Rights::MANAGE)?.set_level(level)?;
    Ok(NOTHING)
}

/// [`abi::syscall::Call::ThreadSetCpus`].
pub(super) fn thread_set_cpus(handle: u64, set: [u64; 2]) -> Result<Values, Error> {
    object::<ThreadObject>(handle, Rights::MANAGE)?.set_cpus(set)?;
    Ok(NOTHING)
}

/// [`abi::syscall::Call::ThreadSetFaultEndpoint`].
pub(super) fn thread_set_fault_endpoint(handle: u64, endpoint: u64) -> Result<Values, Error> {
    let target = object::<ThreadObject>(handle, Rights::MANAGE)?;
    let endpoint = match endpoint {
        0 => None,
        endpoint => Some(object_and_badge::<Endpoint>(endpoint, Rights::SEND)?),
    };
    target.thread().user().set_fault_endpoint(endpoint);
    Ok(NOTHING)
}

/// [`abi::syscall::Call::ThreadReadRegisters`].
pub(super) fn thread_read_registers(handle: u64, address: u64) -> Result<Values, Error> {
    let registers = object::<ThreadObject>(handle, Rights::INSPECT)?.registers()?;
    copy_out(address, &registers)?;
    Ok(NOTHING)
}

/// [`abi::syscall::Call::ThreadWriteRegisters`].
pub(super) fn thread_write_registers(handle: u64, address: u64) -> Result<Values, Error> {
    let registers: Registers = copy_in(address)?;
    object::<ThreadObject>(handle, Rights::MANAGE)?.set_registers(&registers)?;
    Ok(NOTHING)
}
