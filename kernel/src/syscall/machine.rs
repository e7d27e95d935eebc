//! The machine: interrupts, devices, reports, the console.

use super::{NOTHING, Values, bits_of, insert, machine_right, object, object_and_badge};
use crate::machine::{self, query};
use crate::mm::user::{Pod, copy_in_bytes, copy_out, copy_out_bytes};
use crate::object::{Irq, Notification, Object, Process};
use crate::thread::user::current_process;
use crate::workload::Outcome;
use crate::{console, say, verdict};
use abi::error::Error;
use abi::handle::Rights;
use abi::report::Query;
use core::iter::once_with;
use drivers::gicv3::Trigger;

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
pub(super) fn irq_bind(irq: u64, notification: u64, bits: u64) -> Result<Values, Error> {
    let irq = object::<Irq>(irq, Rights::MANAGE)?;
    let (notification, badge) = object_and_badge::<Notification>(notification, Rights::SIGNAL)?;
    irq.bind(notification, bits_of(badge, bits))?;
    Ok(NOTHING)
}

/// [`abi::syscall::Call::IrqAcknowledge`].
pub(super) fn irq_acknowledge(irq: u64) -> Result<Values, Error> {
    object::<Irq>(irq, Rights::MANAGE)?.acknowledge();
    Ok(NOTHING)
}

/// [`abi::syscall::Call::MachineIrq`].
pub(super) fn irq(machine: u64, intid: u64, edge: u64) -> Result<Values, Error> {
    machine_right(machine, Rights::MANAGE)?;
    let trigger = match edge {
        0 => Trigger::Level,
        1 => Trigger::Edge,
        _ => return Err(Error::BadArgument),
    };
    let irq = Irq::create(intid, trigger, &current_process().quota)?;
    insert(Object::Irq(irq), Rights::ALL)
}

/// [`abi::syscall::Call::MachineDeviceMemory`].
pub(super) fn device_memory(machine: u64, base: u64, bytes: u64) -> Result<Values, Error> {
    machine_right(machine, Rights::MANAGE)?;
    let memory = machine::device_memory(base, bytes, &current_process().quota)?;
    insert(Object::Memory(memory), Rights::ALL.without(Rights::EXECUTE))
}

/// [`abi::syscall::Call::MachineQuery`].
pub(super) fn query(
    machine: u64,
    query: u64,
    address: u64,
    bytes: u64,
    index: u64,
) -> Result<Values, Error> {
    machine_right(machine, Rights::INSPECT)?;
    let query = Query::from_number(query).ok_or(Error::BadArgument)?;
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let to = (address, bytes);
    let written = match query {
        Query::Processes => list(to, (index..usize::MAX).map_while(Process::report_at)),
        Query::Threads => list(to, query::threads().skip(index)),
        Query::Cpus => list(to, query::cpus().skip(index)),
        Query::Memory => list(to, once_with(query::memory).skip(index)),
        Query::Irqs => list(to, query::irqs().skip(index)),
        Query::Devices => list(to, once_with(query::devices).skip(index)),
    }?;
    Ok([written, 0, 0])
}

/// Writes as many reports as there is room for; gives their bytes.
fn list<T: Pod>(
    (address, bytes): (u64, u64),
    reports: impl Iterator<Item = T>,
) -> Result<u64, Error> {
    let size = size_of::<T>() as u64;
    let room = usize::try_from(bytes / size).unwrap_or(usize::MAX);
    let mut written = 0;
    for report in reports.take(room) {
        let to = address.checked_add(written).ok_or(Error::BadAddress)?;
        copy_out(to, &report)?;
        written += size;
    }
    Ok(written)
}

/// [`abi::syscall::Call::ConsoleTake`].
pub(super) fn console_take(machine: u64, notification: u64, bits: u64) -> Result<Values, Error> {
    machine_right(machine, Rights::MANAGE)?;
    let (notification, badge) = object_and_badge::<Notification>(notification, Rights::SIGNAL)?;
    console::take(notification, bits_of(badge, bits))?;
    Ok(NOTHING)
}

/// [`abi::syscall::Call::ConsoleRead`].
pub(super) fn console_read(machine: u64, address: u64, bytes: u64) -> Result<Values, Error> {
    machine_right(machine, Rights::MANAGE)?;
    let mut part = [0; 256];
    let mut read = 0;
    while read < bytes {
        let room = usize::try_from(bytes - read).unwrap_or(usize::MAX);
        let room = room.min(part.len());
        let length = console::read(&mut part[..room]);
        if length == 0 {
            break;
        }
        let to = address.checked_add(read).ok_or(Error::BadAddress)?;
        copy_out_bytes(to, &part[..length])?;
        read += length as u64;
    }
    Ok([read, 0, 0])
}

/// [`abi::syscall::Call::MachineWorkload`].
pub(super) fn workload(machine: u64, address: u64, bytes: u64) -> Result<Values, Error> {
    machine_right(machine, Rights::MANAGE)?;
    let mut line = [0; LINE];
    let outcome = crate::workload::run_for_a_process(text(&mut line, address, bytes)?)?;
    Ok([u64::from(outcome != Outcome::Passed), 0, 0])
}

/// Reads a text of at most [`LINE`] bytes.
fn text(line: &mut [u8; LINE], address: u64, bytes: u64) -> Result<&str, Error> {
    let part = usize::try_from(bytes)
        .ok()
        .and_then(|bytes| line.get_mut(..bytes));
    let part = part.ok_or(Error::BadArgument)?;
    copy_in_bytes(address, part)?;
    core::str::from_utf8(part).map_err(|_| Error::BadArgument)
}

/// [`abi::syscall::Call::MachineOff`].
pub(super) fn off(machine: u64, status: u64, address: u64, bytes: u64) -> Result<Values, Error> {
    machine_right(machine, Rights::MANAGE)?;
    let mut line = [0; LINE];
    let text = text(&mut line, address, bytes)?;
    match status {
        0 => verdict::pass(format_args!("{text}")),
        _ => verdict::fail(format_args!("{text}")),
    }
}
