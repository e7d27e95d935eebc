//! The machine: interrupts, devices, reports, the console.

use super::{NOTHING, Values, machine_right, object};
use crate::mm::user::copy_in_bytes;
use crate::say;
use crate::thread::user::current_process;
use crate::verdict;
use abi::error::Error;
use abi::handle::Rights;

/// The longest line that a program may write into the log.
const LINE: usize = 200;

/// [`abi::syscall::Call::DebugWrite`].
pub(super) fn debug_write(address: u64, bytes: u64) -> Result<Values, Error> {
    let mut line = [0; LINE];
    let part = usize::try_from(bytes)
        .ok()
        .and_then(|bytes| line.get_mut(..bytes));
    let part = part.ok_or(Error::BadArgument)?;
    copy_in_bytes(address, part)?;
    let process = current_process();
    say!(
        "[{} {}] {}",
        process.number(),
        process.name(),
        part.escape_ascii()
    );
    Ok(NOTHING)
}

/// [`abi::syscall::Call::IrqBind`].
pub(super) fn irq_bind(_: u64, _: u64, _: u64) -> Result<Values, Error> {
    Err(Error::NoSuchCall)
}
pub(super) fn irq_acknowledge(_: u64) -> Result<Values, Error> {
    Err(Error::NoSuchCall)
}
pub(super) fn irq(_: u64, _: u64, _: u64) -> Result<Values, Error> {
    Err(Error::NoSuchCall)
}
pub(super) fn device_memory(_: u64, _: u64, _: u64) -> Result<Values, Error> {
    Err(Error::NoSuchCall)
}
pub(super) fn query(_: u64, _: u64, _: u64, _: u64, _: u64) -> Result<Values, Error> {
    Err(Error::NoSuchCall)
}
pub(super) fn console_take(_: u64, _: u64, _: u64) -> Result<Values, Error> {
    Err(Error::NoSuchCall)
}
pub(super) fn console_read(_: u64, _: u64, _: u64) -> Result<Values, Error> {
    Err(Error::NoSuchCall)
}
pub(super) fn workload(_: u64, _: u64, _: u64) -> Result<Values, Error> {
    Err(Error::NoSuchCall)
}

/// [`abi::syscall::Call::MachineOff`].
pub(super) fn off(machine: u64, status: u64, address: u64, bytes: u64) -> Result<Values, Error> {
    machine_right(machine, Rights::MANAGE)?;
    let mut line = [0; LINE];
    let part = usize::try_from(bytes)
        .ok()
        .and_then(|bytes| line.get_mut(..bytes));
    let part = part.ok_or(Error::BadArgument)?;
    copy_in_bytes(address, part)?;
    let text = core::str::from_utf8(part).map_err(|_| Error::BadArgument)?;
    match status {
        0 => verdict::pass(format_args!("{text}")),
        _ => verdict::fail(format_args!("{text}")),
    }
}
