//! Memory and mappings.

use super::{NOTHING, Values, insert, object};
use crate::mm::user::copy_in;
use crate::object::{Memory, Object, Process};
use crate::thread::user::current_process;
use abi::error::Error;
use abi::handle::Rights;
use abi::memory::{Mapping, MemoryKind};

/// [`abi::syscall::Call::MemoryCreate`].
pub(super) fn create(bytes: u64, kind: u64) -> Result<Values, Error> {
    let kind = MemoryKind::from_number(kind).ok_or(Error::BadArgument)?;
    let memory = Memory::create(kind, bytes, &current_process().quota)?;
    insert(Object::Memory(memory), Rights::ALL)
}

/// [`abi::syscall::Call::MemoryMap`].
pub(super) fn map(process: u64, address: u64) -> Result<Values, Error> {
    let mapping: Mapping = copy_in(address)?;
    let process = object::<Process>(process, Rights::MANAGE)?;
    let allowed = Rights::READ.with(Rights::WRITE).with(Rights::EXECUTE);
    if !allowed.contains(mapping.rights) {
        return Err(Error::BadArgument);
    }
    let memory = object::<Memory>(u64::from(mapping.memory), mapping.rights)?;
    let space = process.space()?;
    let at = space.map(
        memory,
        mapping.offset,
        mapping.bytes,
        mapping.address,
        mapping.rights,
    )?;
    Ok([at, 0, 0])
}

/// [`abi::syscall::Call::MemoryUnmap`].
pub(super) fn unmap(process: u64, address: u64, bytes: u64) -> Result<Values, Error> {
    let process = object::<Process>(process, Rights::MANAGE)?;
    process.space()?.unmap(address, bytes)?;
    Ok(NOTHING)
}

/// [`abi::syscall::Call::MemoryInspect`].
pub(super) fn inspect(memory: u64, offset: u64) -> Result<Values, Error> {
    let memory = object::<Memory>(memory, Rights::INSPECT)?;
    if offset >= memory.bytes() {
        return Err(Error::BadArgument);
    }
    Ok([memory.physical(offset).unwrap_or(0), memory.bytes(), 0])
}
