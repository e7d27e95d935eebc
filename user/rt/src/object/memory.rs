//! Memory: pages that are made, mapped and shared.
//!
//! What is mapped may be written by another process at any moment, so a [`Mapping`] gives no slices of
//! itself to safe code; it copies in and out.

use abi::handle::{Handle, Rights};
pub use abi::memory::{MemoryKind, PAGE};

use super::{Process, object};
use crate::Error;
use crate::object::{Object, Owned};
use crate::syscall::{Call, plain};

object! {
    /// Pages of RAM, or registers of a device.
    Memory
}

impl Memory {
    /// Zeroed memory, charged to this process. `bytes` is rounded up to whole pages.
    ///
    /// # Errors
    /// [`Error::NoMemory`]; [`Error::BadArgument`] if `bytes` is 0 or absurd.
    pub fn create(bytes: usize, kind: MemoryKind) -> Result<Self, Error> {
        let bytes = bytes
            .checked_next_multiple_of(PAGE as usize)
            .ok_or(Error::BadArgument)?;
        // SAFETY: the call writes no memory.
        let [handle, ..] = unsafe { plain(Call::MemoryCreate, [bytes as u64, kind as u64]) }?;
        Ok(Self::assume(Owned::new(Handle(handle as u32))))
    }

    /// How many bytes it has.
    ///
    /// # Errors
    /// [`Error::NoRight`] without [`Rights::INSPECT`].
    pub fn bytes(&self) -> Result<usize, Error> {
        // SAFETY: the call writes no memory.
        let [_, bytes, _] = unsafe { plain(Call::MemoryInspect, [self.word(), 0]) }?;
        Ok(bytes as usize)
    }

    /// The physical address of the byte at `offset`, for a device that reads and writes memory by
    /// itself; 0 if the memory is not [`MemoryKind::Dma`].
    ///
    /// # Errors
    /// [`Error::NoRight`] without [`Rights::INSPECT`]; [`Error::BadArgument`] beyond its end.
    pub fn physical(&self, offset: usize) -> Result<u64, Error> {
        // SAFETY: the call writes no memory.
        let [physical, ..] = unsafe { plain(Call::MemoryInspect, [self.word(), offset as u64]) }?;
        Ok(physical)
    }

    /// Maps all of it into this process, where the kernel finds room.
    ///
    /// # Errors
    /// [`Error::NoRight`], [`Error::NoMemory`], [`Error::WriteAndExecute`].
    pub fn map(&self, rights: Rights) -> Result<Mapping, Error> {
        let bytes = self.bytes()?;
        // SAFETY: the kernel chooses an address that nothing is mapped at.
        let address = unsafe { self.map_into(Process::own(), rights, 0, 0, bytes) }?;
        Ok(Mapping { address, bytes })
    }

    /// Maps `bytes` of it, from `offset` on, at `address` of `process` (0: the kernel chooses). Where it
    /// is now. All are whole pages.
    ///
    /// # Errors
    /// As [`Memory::map`]; [`Error::Busy`] if something is mapped there; [`Error::BadArgument`].
    ///
    /// # Safety
    /// If the process is this one: nothing in it takes the range for its own.
    pub unsafe fn map_into(
        &self,
        process: &Process,
        rights: Rights,
        address: usize,
        offset: usize,
        bytes: usize,
    ) -> Result<usize, Error> {
        let mapping = abi::memory::Mapping {
            memory: self.handle().0,
            rights,
            address: address as u64,
            offset: offset as u64,
            bytes: bytes as u64,
        };
        let arguments = [process.word(), &raw const mapping as u64];
        // SAFETY: the kernel reads `mapping`; of the range the caller answers.
        let [address, ..] = unsafe { plain(Call::MemoryMap, arguments) }?;
        Ok(address as usize)
    }
}

/// Takes a range away from `process`.
///
/// # Errors
/// [`Error::BadArgument`], [`Error::NoRight`].
///
/// # Safety
/// If the process is this one: nothing in it uses the range any more.
pub unsafe fn unmap(process: &Process, address: usize, bytes: usize) -> Result<(), Error> {
    let arguments = [process.word(), address as u64, bytes as u64];
    // SAFETY: the caller's.
    unsafe { plain(Call::MemoryUnmap, arguments) }.map(drop)
}

/// Memory that is mapped in this process until this is dropped.
#[derive(Debug)]
pub struct Mapping {
    address: usize,
    bytes: usize,
}

impl Mapping {
    /// Where it is.
    pub fn address(&self) -> usize {
        self.address
    }

    /// How much it is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where it is, as a pointer. Who uses it answers for what is there: another process may change it.
    pub fn pointer(&self) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.address)
    }

    /// Copies from `offset` on into `to`, as much as there is; how much.
    pub fn read(&self, offset: usize, to: &mut [u8]) -> usize {
        let count = self.bytes.saturating_sub(offset).min(to.len());
        // SAFETY: the range is mapped, and `to` is not in it; the memory may change meanwhile, which
        // bytes can.
        unsafe {
            core::ptr::copy_nonoverlapping(
                self.pointer().add(offset.min(self.bytes)),
                to.as_mut_ptr(),
                count,
            );
        };
        count
    }

    /// Copies `from` to `offset`, as much as there is room; how much. The mapping must have been made
    /// with [`Rights::WRITE`], or the program faults.
    pub fn write(&self, offset: usize, from: &[u8]) -> usize {
        let count = self.bytes.saturating_sub(offset).min(from.len());
        // SAFETY: the range is mapped, and `from` is not in it.
        unsafe {
            core::ptr::copy_nonoverlapping(
                from.as_ptr(),
                self.pointer().add(offset.min(self.bytes)),
                count,
            );
        };
        count
    }

    /// It stays mapped for ever.
    pub fn leak(self) -> *mut u8 {
        let pointer = self.pointer();
        core::mem::forget(self);
        pointer
    }

    /// All of it, for ever.
    ///
    /// # Safety
    /// Nobody writes to the memory any more, in whatever process.
    pub unsafe fn leak_slice(self) -> &'static [u8] {
        let bytes = self.bytes;
        // SAFETY: it stays mapped; of changes the caller answers.
        unsafe { core::slice::from_raw_parts(self.leak(), bytes) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `self` was the way to the range, and is no more.
        let _ = unsafe { unmap(Process::own(), self.address, self.bytes) };
    }
}
