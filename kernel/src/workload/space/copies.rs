//! Does a user pointer reach what EL0 could reach, and nothing else?

use super::{AT, READ, READ_WRITE, inside, numbered, quota};
use crate::mm::space::Space;
use crate::mm::user;
use crate::workload::Failure;
use crate::workload::support::{ensure, expect_context};
use abi::error::Error;
use abi::memory::{PAGE, USER_END, USER_START};
use boot::arch::{HIGH_BASE, KERNEL_BASE};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use cpu::guard::{IrqGuard, NmiGuard};
use cpu::mask::Context;

/// Two pages to write, with nothing below and a page to read above.
const END: u64 = AT + 2 * PAGE;
const BYTES: usize = size_of::<u64>();
/// Something of the kernel's that a copy must neither read nor write.
static SECRET: AtomicU64 = AtomicU64::new(SECRET_VALUE);
const SECRET_VALUE: u64 = 0x5ec4_e75e_c4e7;

/// How many copies were tried.
pub(super) fn check() -> Result<u64, Failure> {
    let quota = quota(1 << 20)?;
    let space = Space::new(&quota)?;
    let memory = numbered(3, 0, &quota)?;
    space.map(memory.clone(), 0, 2 * PAGE, AT, READ_WRITE)?;
    space.map(memory, 2 * PAGE, PAGE, END, READ)?;
    let mut tried = 0;
    inside(&space, || {
        // The fault of a copy is taken in whatever context the copy is made.
        tried += addresses()?;
        let held = IrqGuard::new();
        tried += addresses()?;
        drop(held);
        let held = NmiGuard::new();
        tried += addresses()?;
        drop(held);
        tried += lengths()?;
        Ok::<(), Failure>(())
    })?;
    expect_context(Context::Process);
    ensure!(
        SECRET.load(Relaxed) == SECRET_VALUE,
        "a copy wrote to the kernel"
    );
    Ok(tried)
}

/// One word, at each kind of address.
fn addresses() -> Result<u64, Failure> {
    let on_stack = SECRET_VALUE;
    let kernel = [
        HIGH_BASE,
        KERNEL_BASE,
        addresses as *const () as u64,
        SECRET.as_ptr() as u64,
        (&raw const on_stack) as u64,
        SECRET.as_ptr() as u64 & !HIGH_BASE,
    ];
    let wrong = [
        0,
        1,
        8,
        USER_START - 8,
        USER_START - 1,
        USER_START,
        AT - 8,
        // One byte of it is mapped.
        AT - 7,
        AT - 1,
        END + PAGE - 7,
        END + PAGE - 1,
        END + PAGE,
        USER_END - 8,
        USER_END - 7,
        USER_END - 1,
        USER_END,
        // Bits above the address are no tag.
        AT | 1 << 56,
        AT | 0xff << 56,
        AT | 1 << 39,
        AT | 1 << 55,
        HIGH_BASE - 8,
        HIGH_BASE - 1,
        u64::MAX - 7,
        u64::MAX - 6,
        u64::MAX,
    ];
    let mut tried = 0;
    for address in kernel.into_iter().chain(wrong) {
        let found = (
            user::copy_in::<u64>(address),
            user::copy_out(address, &0u64),
        );
        ensure!(
            found == (Err(Error::BadAddress), Err(Error::BadAddress)),
            "address {address:#x}: reading gives {:x?}, writing {:?}",
            found.0,
            found.1
        );
        tried += 2;
    }
    // Not to be written, or not all of it.
    for address in [END, END + 1, END + PAGE - 8, END - 7, END - 1] {
        let found = (
            user::copy_in::<u64>(address),
            user::copy_out(address, &0u64),
        );
        ensure!(
            found.0.is_ok() && found.1 == Err(Error::BadAddress),
            "address {address:#x}: reading gives {:x?}, writing {:?}",
            found.0,
            found.1
        );
        tried += 2;
    }
    for address in [AT, AT + 1, AT + 7, AT + PAGE - 4, AT + PAGE, END - 8] {
        let value = SECRET_VALUE ^ address;
        user::copy_out(address, &value)?;
        let found = user::copy_in(address);
        ensure!(
            found == Ok(value),
            "address {address:#x}: {found:x?} was read where {value:#x} was written"
        );
        tried += 2;
    }
    Ok(tried)
}

/// Each length at each alignment, and not a byte more.
fn lengths() -> Result<u64, Failure> {
    const MOST: usize = 3 * BYTES + 1;
    const AROUND: u8 = 0xee;
    let mut tried = 0;
    for start in 0..BYTES {
        for len in 0..=MOST {
            // Over the border of the two pages.
            let base = AT + PAGE - 2 * BYTES as u64;
            let mut expected = [AROUND; MOST + 2 * BYTES];
            user::copy_out_bytes(base, &expected)?;
            let mut data = [0; MOST];
            for (at, byte) in data[..len].iter_mut().enumerate() {
                *byte = (start * 31 + at * 7 + len) as u8;
            }
            user::copy_out_bytes(base + start as u64, &data[..len])?;
            expected[start..start + len].copy_from_slice(&data[..len]);
            let mut found = [0; MOST + 2 * BYTES];
            user::copy_in_bytes(base, &mut found)?;
            ensure!(
                found == expected,
                "{len} bytes written at {start} past a word are not there, or more are"
            );
            let mut back = [AROUND; MOST + 1];
            user::copy_in_bytes(base + start as u64, &mut back[..len])?;
            ensure!(
                back[..len] == data[..len] && back[len..].iter().all(|byte| *byte == AROUND),
                "{len} bytes read at {start} past a word are others, or more"
            );
            tried += 4;
        }
    }
    // No bytes are nowhere.
    for address in [0, AT, USER_END, KERNEL_BASE, u64::MAX] {
        user::copy_in_bytes(address, &mut [])?;
        user::copy_out_bytes(address, &[])?;
        tried += 2;
    }
    let mut long = [0; 64];
    for address in [u64::MAX - 63, u64::MAX - 20, USER_END - 63, END + PAGE - 63] {
        ensure!(
            user::copy_in_bytes(address, &mut long) == Err(Error::BadAddress),
            "64 bytes were read at {address:#x}"
        );
        tried += 1;
    }
    Ok(tried)
}
