//! Is what must be refused refused, by name, and has a refusal changed nothing?

use super::{AT, READ, READ_EXECUTE, READ_WRITE, inside, kernel_load, numbered, quota, word};
use crate::mm::space::Space;
use crate::mm::{phys_to_virt, user, virt_to_phys};
use crate::object::quota::{Charge, Quota};
use crate::object::{Memory, Ref};
use crate::workload::Failure;
use crate::workload::support::ensure;
use abi::error::Error;
use abi::handle::Rights;
use abi::memory::{PAGE, USER_END, USER_START};

/// How long the memory that is mapped here is.
const PAGES: u64 = 4;
const BYTES: u64 = PAGES * PAGE;
/// What its pages are numbered from.
const VALUE: u64 = 0x1000;

/// What was refused.
pub(super) fn check() -> Result<u64, Failure> {
    let quota = quota(1 << 20)?;
    let space = Space::new(&quota)?;
    let memory = numbered(PAGES, VALUE, &quota)?;
    let mut refused = arguments(&space, &memory, &quota)?;
    refused += overlaps(&space, &memory, &quota)?;
    refused += parts(&space, &memory, &quota)?;
    choices(&space, &memory)?;
    refused += rights(&space, &memory, &quota)?;
    refused += shortage(&memory)?;
    drop(space);
    drop(memory);
    ensure!(
        quota.used() == 0,
        "a space that is gone still costs {} bytes",
        quota.used()
    );
    Ok(refused)
}

/// A mapping that runs out of tables half way leaves nothing of its first half: the memory behind it may go
/// at once, and be somebody else's.
fn shortage(memory: &Ref<Memory>) -> Result<u64, Failure> {
    /// What one table of pages spans.
    const SPAN: u64 = 512 * PAGE;
    let quota = quota(1 << 20)?;
    let space = Space::new(&quota)?;
    // The table that the first half is to be in.
    space.map(memory.clone(), 0, PAGE, AT, READ)?;
    let rest = Charge::new(&quota, quota.limit() - quota.used())?;
    let address = AT + SPAN - PAGES / 2 * PAGE;
    let refused = refuses(
        Error::NoMemory,
        &quota,
        "no table for the second half",
        || space.map(memory.clone(), 0, BYTES, address, READ_WRITE),
    )?;
    for page in 0..PAGES {
        is_empty(&space, address + page * PAGE)?;
    }
    drop(rest);
    space.map(memory.clone(), 0, BYTES, address, READ_WRITE)?;
    shows(&space, address, 0)?;
    Ok(refused)
}

/// Fails unless the call gave `expected` and no table or region is left of it.
fn refuses<T>(
    expected: Error,
    quota: &Quota,
    what: &str,
    call: impl FnOnce() -> Result<T, Error>,
) -> Result<u64, Failure> {
    let before = quota.used();
    let found = call().err();
    ensure!(
        found == Some(expected),
        "{what}: {found:?}, not {expected:?}"
    );
    let after = quota.used();
    ensure!(
        after == before,
        "{what}: it was refused, and costs {} bytes",
        after.abs_diff(before)
    );
    Ok(1)
}

/// Fails unless page `page` of the memory is at `address`.
fn shows(space: &Space, address: u64, page: u64) -> Result<(), Failure> {
    let found = word(space, address);
    ensure!(
        found == Ok(VALUE + page),
        "address {address:#x} shows {found:x?}, not page {page}"
    );
    Ok(())
}

/// Fails if anything is at `address`.
fn is_empty(space: &Space, address: u64) -> Result<(), Failure> {
    let found = word(space, address);
    ensure!(
        found == Err(Error::BadAddress),
        "address {address:#x} shows {found:x?}, and nothing is mapped there"
    );
    Ok(())
}

fn arguments(space: &Space, memory: &Ref<Memory>, quota: &Quota) -> Result<u64, Failure> {
    const WRITE_EXECUTE: Rights = Rights::WRITE.with(Rights::EXECUTE);
    // One mapping, so that the list of regions has room: a refusal does not grow it either.
    space.map(memory.clone(), 0, PAGE, AT, READ)?;
    space.unmap(AT, PAGE)?;
    let cases = [
        (
            0,
            BYTES,
            AT,
            READ.with(WRITE_EXECUTE),
            Error::WriteAndExecute,
        ),
        (0, BYTES, AT, WRITE_EXECUTE, Error::WriteAndExecute),
        (0, BYTES, AT, Rights::NONE, Error::BadArgument),
        (0, BYTES, AT, Rights::WRITE, Error::BadArgument),
        (0, BYTES, AT, Rights::EXECUTE, Error::BadArgument),
        (0, BYTES, AT, READ.with(Rights::SEND), Error::BadArgument),
        (0, 0, AT, READ, Error::BadArgument),
        (0, 100, AT, READ, Error::BadArgument),
        (8, PAGE, AT, READ, Error::BadArgument),
        (0, PAGE, AT + 8, READ, Error::BadArgument),
        (PAGE, BYTES, AT, READ, Error::BadArgument),
        (BYTES, PAGE, AT, READ, Error::BadArgument),
        (0, BYTES + PAGE, AT, READ, Error::BadArgument),
        (0u64.wrapping_sub(PAGE), PAGE, AT, READ, Error::BadArgument),
        (PAGE, 0u64.wrapping_sub(PAGE), AT, READ, Error::BadArgument),
        (0, PAGE, USER_START - PAGE, READ, Error::BadAddress),
        (0, PAGE, USER_END, READ, Error::BadAddress),
        (0, BYTES, USER_END - PAGE, READ, Error::BadAddress),
        (0, PAGE, boot::arch::KERNEL_BASE, READ, Error::BadAddress),
        (0, BYTES, 0u64.wrapping_sub(PAGE), READ, Error::BadAddress),
    ];
    let mut refused = 0;
    for (offset, bytes, address, rights, expected) in cases {
        let what = alloc::format!("map {bytes:#x} at {address:#x} from {offset:#x}, {rights:?}");
        refused += refuses(expected, quota, &what, || {
            space.map(memory.clone(), offset, bytes, address, rights)
        })?;
    }
    // The lowest and the highest page there are.
    for address in [USER_START, USER_END - PAGE] {
        space.map(memory.clone(), PAGE, PAGE, address, READ)?;
        shows(space, address, 1)?;
        space.unmap(address, PAGE)?;
        is_empty(space, address)?;
    }
    Ok(refused)
}

fn overlaps(space: &Space, memory: &Ref<Memory>, quota: &Quota) -> Result<u64, Failure> {
    space.map(memory.clone(), 0, 2 * PAGE, AT, READ)?;
    let mut refused = 0;
    for (address, pages) in [
        (AT, 2),
        (AT, 1),
        (AT + PAGE, 3),
        (AT - PAGE, 2),
        (AT - PAGE, 4),
    ] {
        refused += refuses(Error::Busy, quota, "map over a mapping", || {
            space.map(memory.clone(), 0, pages * PAGE, address, READ)
        })?;
    }
    shows(space, AT, 0)?;
    // Beside it is not over it.
    space.map(memory.clone(), 3 * PAGE, PAGE, AT - PAGE, READ)?;
    space.map(memory.clone(), 2 * PAGE, PAGE, AT + 2 * PAGE, READ)?;
    for (address, page) in [(AT - PAGE, 3), (AT, 0), (AT + PAGE, 1), (AT + 2 * PAGE, 2)] {
        shows(space, address, page)?;
    }
    // Three regions at once.
    space.unmap(AT - PAGE, 4 * PAGE)?;
    for page in 0..4 {
        is_empty(space, AT - PAGE + page * PAGE)?;
    }
    Ok(refused)
}

fn parts(space: &Space, memory: &Ref<Memory>, quota: &Quota) -> Result<u64, Failure> {
    space.map(memory.clone(), 0, BYTES, AT, READ)?;
    let mut refused = 0;
    let cases = [
        (AT, BYTES + PAGE, Error::BadAddress),
        (AT - PAGE, 2 * PAGE, Error::BadAddress),
        (AT + BYTES, PAGE, Error::BadAddress),
        (boot::arch::KERNEL_BASE, PAGE, Error::BadAddress),
        (0u64.wrapping_sub(PAGE), 2 * PAGE, Error::BadAddress),
        (AT, 0, Error::BadArgument),
        (AT, 8, Error::BadArgument),
        (AT + 8, PAGE, Error::BadArgument),
    ];
    for (address, bytes, expected) in cases {
        refused += refuses(expected, quota, "unmap", || space.unmap(address, bytes))?;
    }
    for page in 0..PAGES {
        shows(space, AT + page * PAGE, page)?;
    }
    // A hole in the middle: what is left on both sides shows what it did.
    space.unmap(AT + PAGE, PAGE)?;
    is_empty(space, AT + PAGE)?;
    for page in [0, 2, 3] {
        shows(space, AT + page * PAGE, page)?;
    }
    refused += refuses(Error::BadAddress, quota, "unmap over a hole", || {
        space.unmap(AT, BYTES)
    })?;
    space.map(memory.clone(), 0, PAGE, AT + PAGE, READ)?;
    shows(space, AT + PAGE, 0)?;
    space.unmap(AT, BYTES)?;
    for page in 0..PAGES {
        is_empty(space, AT + page * PAGE)?;
    }
    Ok(refused)
}

/// Places that the kernel chooses do not touch, and are used again.
fn choices(space: &Space, memory: &Ref<Memory>) -> Result<(), Failure> {
    let first = space.map(memory.clone(), 0, BYTES, 0, READ)?;
    let second = space.map(memory.clone(), 0, BYTES, 0, READ)?;
    let third = space.map(memory.clone(), PAGE, PAGE, 0, READ)?;
    ensure!(
        first + BYTES < second && second + BYTES < third,
        "places that touch were chosen: {first:#x}, {second:#x}, {third:#x}"
    );
    shows(space, second + PAGE, 1)?;
    shows(space, third, 1)?;
    space.unmap(second, BYTES)?;
    let again = space.map(memory.clone(), 0, BYTES, 0, READ)?;
    ensure!(
        again == second,
        "{second:#x} was free, and {again:#x} was chosen"
    );
    for (address, bytes) in [(first, BYTES), (again, BYTES), (third, PAGE)] {
        space.unmap(address, bytes)?;
    }
    Ok(())
}

/// What each mapping lets EL0 do, and the kernel.
fn rights(space: &Space, memory: &Ref<Memory>, quota: &Quota) -> Result<u64, Failure> {
    for (rights, may_write) in [(READ, false), (READ_WRITE, true), (READ_EXECUTE, false)] {
        space.map(memory.clone(), 0, PAGE, AT, rights)?;
        let (read, written, seen) = inside(space, || {
            let read = user::copy_in::<u64>(AT);
            let written = user::copy_out(AT + 8, &VALUE);
            (read, written, kernel_load(AT))
        });
        let expected = if may_write {
            Ok(())
        } else {
            Err(Error::BadAddress)
        };
        ensure!(
            read == Ok(VALUE) && written == expected,
            "mapped with {rights:?}: reading gives {read:x?}, writing {written:?}"
        );
        let expected = (!boot::arch::has_pan()).then_some(VALUE);
        ensure!(
            seen == expected,
            "a load of the kernel's in a process gives {seen:x?}, not {expected:x?}"
        );
        space.unmap(AT, PAGE)?;
    }
    // Never written, so never mapped to be.
    let text = boot::arch::rodata().start;
    let fixed = Memory::fixed(virt_to_phys(text), PAGE)?;
    let mut refused = 0;
    for rights in [READ_WRITE, READ_EXECUTE] {
        refused += refuses(Error::BadArgument, quota, "map the init image", || {
            space.map(fixed.clone(), 0, PAGE, AT, rights)
        })?;
    }
    space.map(fixed.clone(), 0, PAGE, AT, READ)?;
    // SAFETY: the image's own read-only data.
    let expected = unsafe { (phys_to_virt(virt_to_phys(text)) as *const u64).read() };
    let found = word(space, AT);
    ensure!(
        found == Ok(expected),
        "fixed memory shows {found:x?}, not {expected:#x}"
    );
    space.unmap(AT, PAGE)?;
    Ok(refused)
}
