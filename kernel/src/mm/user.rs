//! The one way from a user's pointer to memory.
//!
//! A user pointer is an allegation. What it names is read and written with the rights of EL0, by the
//! unprivileged loads and stores, in the address space that is installed: the caller's own. Whatever
//! EL0 could not do itself, or what nothing is mapped for, faults, and the fault is an error here. No
//! other instruction of the kernel reaches user memory: where the CPU has PAN, it faults.
//!
//! Works with interrupts open or held. What a process changes while it is copied is its own affair,
//! so a value is copied first, and judged then, never twice.

use abi::error::Error;
use abi::memory::{USER_END, USER_START};
use core::mem::MaybeUninit;

/// Plain data: every pattern of bits is a value, and every byte belongs to it.
///
/// # Safety
/// The type has no padding (which would carry the kernel's secrets out) and no invalid values (which
/// would carry nonsense in).
pub(crate) unsafe trait Pod: Copy + 'static {}

macro_rules! pod {
    ($($name:ty),+ $(,)?) => {
        $(
            // SAFETY: `repr(C)` of integers, without padding; the sizes are asserted in `abi`.
            unsafe impl Pod for $name {}
        )+
    };
}

pod!(
    u8,
    u32,
    u64,
    abi::memory::Mapping,
    abi::thread::ThreadStart,
    abi::thread::Registers,
    abi::report::ProcessReport,
    abi::report::ThreadReport,
    abi::report::CpuReport,
    abi::report::MemoryReport,
    abi::report::IrqReport,
    abi::report::Devices,
    abi::start::StartHeader,
    abi::start::Grant,
);

// SAFETY: an array of them has no other bytes.
unsafe impl<T: Pod, const N: usize> Pod for [T; N] {}

/// Reads a `T` at `address`, which need not be aligned.
///
/// # Errors
/// [`Error::BadAddress`]: EL0 could not read all of it.
pub(crate) fn copy_in<T: Pod>(address: u64) -> Result<T, Error> {
    let mut value = MaybeUninit::<T>::uninit();
    check(address, size_of::<T>() as u64)?;
    // SAFETY: the value has room for so many bytes.
    let left = unsafe { petrel_copy_in(value.as_mut_ptr().cast(), address, size_of::<T>()) };
    done(left)?;
    // SAFETY: all of it was written, and any bytes are a value.
    Ok(unsafe { value.assume_init() })
}

/// Writes `value` at `address`, which need not be aligned.
///
/// # Errors
/// [`Error::BadAddress`]: EL0 could not write all of it. A part may have been written.
pub(crate) fn copy_out<T: Pod>(address: u64, value: &T) -> Result<(), Error> {
    let bytes = size_of::<T>();
    check(address, bytes as u64)?;
    // SAFETY: the value is that long, and has no padding.
    done(unsafe { petrel_copy_out(address, core::ptr::from_ref(value).cast(), bytes) })
}

/// Reads `into.len()` bytes at `address`.
///
/// # Errors
/// [`Error::BadAddress`]: EL0 could not read all of it. A part of `into` may have been written.
pub(crate) fn copy_in_bytes(address: u64, into: &mut [u8]) -> Result<(), Error> {
    check(address, into.len() as u64)?;
    // SAFETY: the slice has room for so many bytes.
    done(unsafe { petrel_copy_in(into.as_mut_ptr(), address, into.len()) })
}

/// Writes `from` at `address`.
///
/// # Errors
/// [`Error::BadAddress`]: EL0 could not write all of it. A part may have been written.
pub(crate) fn copy_out_bytes(address: u64, from: &[u8]) -> Result<(), Error> {
    check(address, from.len() as u64)?;
    // SAFETY: the slice is that long.
    done(unsafe { petrel_copy_out(address, from.as_ptr(), from.len()) })
}

/// Whether a process could have mapped all of `bytes` bytes at `address`. No bytes are anywhere.
///
/// # Errors
/// [`Error::BadAddress`].
pub(crate) fn check(address: u64, bytes: u64) -> Result<(), Error> {
    let end = address.checked_add(bytes);
    if bytes == 0 || address >= USER_START && end.is_some_and(|end| end <= USER_END) {
        Ok(())
    } else {
        Err(Error::BadAddress)
    }
}

fn done(left: u64) -> Result<(), Error> {
    if left == 0 {
        Ok(())
    } else {
        Err(Error::BadAddress)
    }
}

unsafe extern "C" {
    /// Copies from the user's `from` to the kernel's `to`; not 0 if it faulted.
    fn petrel_copy_in(to: *mut u8, from: u64, bytes: usize) -> u64;
    /// Copies from the kernel's `from` to the user's `to`; not 0 if it faulted.
    fn petrel_copy_out(to: u64, from: *const u8, bytes: usize) -> u64;
}

core::arch::global_asm!(
    // The instruction at \instruction may fault; it goes on at petrel_copy_faulted.
    ".macro petrel_copy_fixup instruction",
    ".pushsection .petrel.fixups, \"a\"",
    ".balign 4",
    ".word \\instruction - .",
    ".word petrel_copy_faulted - .",
    ".popsection",
    ".endm",
    // In: x0 = to, x1 = from, x2 = bytes. Out: x0 = 0, or 1 after a fault. Uses x3.
    "petrel_copy_in:",
    "subs x2, x2, #8",
    "b.lo 3f",
    "2: ldtr x3, [x1]",
    "petrel_copy_fixup 2b",
    "add x1, x1, #8",
    "str x3, [x0], #8",
    "subs x2, x2, #8",
    "b.hs 2b",
    "3: adds x2, x2, #8",
    "b.eq 5f",
    "4: ldtrb w3, [x1]",
    "petrel_copy_fixup 4b",
    "add x1, x1, #1",
    "strb w3, [x0], #1",
    "subs x2, x2, #1",
    "b.ne 4b",
    "5: mov x0, xzr",
    "ret",
    // In: x0 = to, x1 = from, x2 = bytes. Out: x0 = 0, or 1 after a fault. Uses x3.
    "petrel_copy_out:",
    "subs x2, x2, #8",
    "b.lo 3f",
    "1: ldr x3, [x1], #8",
    "2: sttr x3, [x0]",
    "petrel_copy_fixup 2b",
    "add x0, x0, #8",
    "subs x2, x2, #8",
    "b.hs 1b",
    "3: adds x2, x2, #8",
    "b.eq 5f",
    "1: ldrb w3, [x1], #1",
    "4: sttrb w3, [x0]",
    "petrel_copy_fixup 4b",
    "add x0, x0, #1",
    "subs x2, x2, #1",
    "b.ne 1b",
    "5: mov x0, xzr",
    "ret",
    "petrel_copy_faulted:",
    "mov x0, #1",
    "ret",
);
