//! Is everything charged, and given back?

use super::{AT, READ, READ_WRITE, numbered, quota, word};
use crate::clock;
use crate::mm::space::{MOST_REGIONS, Space};
use crate::mm::{frames, heap};
use crate::object::Memory;
use crate::workload::Failure;
use crate::workload::support::ensure;
use abi::error::Error;
use abi::memory::{MemoryKind, PAGE, USER_END};
use alloc::vec::Vec;
use cpu::guard::NmiGuard;

/// How far apart two pages need a table each, and two.
const STRIDES: [u64; 2] = [2 << 20, 1 << 30];

/// Fails if something is free, or is paid for too long.
pub(super) fn check() -> Result<(), Failure> {
    for stride in STRIDES {
        tables(stride)?;
    }
    regions()?;
    too_much()?;
    dma()?;
    zeroed()?;
    scattered()
}

/// Maps until the quota has no more for tables; unmaps; all of it comes back.
fn tables(stride: u64) -> Result<(), Failure> {
    let quota = quota(60 * PAGE)?;
    let memory = numbered(1, 7, &quota)?;
    let space = Space::new(&quota)?;
    let mut mapped = 0;
    loop {
        let before = quota.used();
        let address = AT + mapped * stride;
        match space.map(memory.clone(), 0, PAGE, address, READ) {
            Ok(_) => mapped += 1,
            Err(error) => {
                ensure!(
                    error == Error::NoMemory && quota.used() == before,
                    "at the end of the quota: {error:?}, {} bytes used and {before} before",
                    quota.used()
                );
                break;
            }
        }
        ensure!(quota.used() <= quota.limit(), "more was used than there is");
    }
    ensure!(mapped > 10, "only {mapped} pages could be mapped");
    ensure!(
        quota.limit() - quota.used() < 4 * PAGE,
        "{} bytes were left, and nothing could be mapped",
        quota.limit() - quota.used()
    );
    let full = quota.used();
    for page in 0..mapped {
        let found = word(&space, AT + page * stride);
        ensure!(found == Ok(7), "page {page} shows {found:x?}");
        space.unmap(AT + page * stride, PAGE)?;
    }
    // What is left is the root, the memory, and the list of regions.
    let tables = mapped * if stride == STRIDES[1] { 2 } else { 1 };
    ensure!(
        full - quota.used() >= tables * PAGE,
        "{mapped} pages were unmapped, and their tables are still paid for"
    );
    drop(memory);
    drop(space);
    ensure!(quota.used() == 0, "{} bytes are still used", quota.used());
    Ok(())
}

/// There is a most of regions, also for what would cut one in two.
fn regions() -> Result<(), Failure> {
    let quota = quota(4 << 20)?;
    let memory = numbered(3, 7, &quota)?;
    let space = Space::new(&quota)?;
    space.map(memory.clone(), 0, 3 * PAGE, AT - 16 * PAGE, READ)?;
    let more = MOST_REGIONS as u64 - 1;
    for page in 0..more {
        space.map(memory.clone(), 0, PAGE, AT + page * 2 * PAGE, READ)?;
    }
    let before = quota.used();
    let found = [
        space.map(memory.clone(), 0, PAGE, 0, READ).err(),
        space.unmap(AT - 15 * PAGE, PAGE).err(),
    ];
    ensure!(
        found == [Some(Error::TooMany); 2] && quota.used() == before,
        "one region too many gives {found:?}"
    );
    let middle = word(&space, AT - 15 * PAGE);
    ensure!(
        middle == Ok(8),
        "what could not be unmapped shows {middle:x?}"
    );
    for page in 0..more {
        space.unmap(AT + page * 2 * PAGE, PAGE)?;
    }
    space.unmap(AT - 15 * PAGE, PAGE)?;
    Ok(())
}

/// Requests that cannot be met end soon and take nothing.
fn too_much() -> Result<(), Failure> {
    let quota = quota(u64::MAX)?;
    let free = frames::usage().0;
    for kind in [MemoryKind::Normal, MemoryKind::Dma] {
        for bytes in [free + PAGE, USER_END, 1 << 47, 0u64.wrapping_sub(PAGE)] {
            let bytes = bytes.next_multiple_of(PAGE);
            let found = Memory::create(kind, bytes, &quota).err();
            ensure!(
                matches!(found, Some(Error::NoMemory | Error::BadArgument)),
                "{kind:?} memory of {bytes:#x} bytes gives {found:?}"
            );
        }
        for bytes in [0, 1, PAGE + 1] {
            let found = Memory::create(kind, bytes, &quota).err();
            ensure!(
                found == Some(Error::BadArgument),
                "{kind:?} memory of {bytes:#x} bytes gives {found:?}"
            );
        }
    }
    ensure!(quota.used() == 0, "{} bytes are still used", quota.used());
    let small = super::quota(PAGE)?;
    let found = Memory::create(MemoryKind::Normal, PAGE, &small).err();
    ensure!(
        found == Some(Error::NoMemory) && small.used() == 0,
        "a page and its book-keeping fit into a quota of a page: {found:?}"
    );
    Ok(())
}

/// Memory for devices is contiguous and has an address; other memory has none to tell.
fn dma() -> Result<(), Failure> {
    const PAGES: u64 = 5;
    let quota = quota(1 << 20)?;
    let normal = numbered(1, 0, &quota)?;
    ensure!(
        normal.physical(0).is_none(),
        "ordinary memory tells where it is"
    );
    let memory = Memory::create(MemoryKind::Dma, PAGES * PAGE, &quota)?;
    let base = memory.physical(0);
    for offset in [1, PAGE, PAGES * PAGE - 1] {
        ensure!(
            memory.physical(offset) == base.map(|base| base + offset),
            "DMA memory is not contiguous at {offset:#x}"
        );
    }
    ensure!(
        memory.physical(PAGES * PAGE).is_none() && memory.bytes() == PAGES * PAGE,
        "DMA memory has bytes that nobody asked for"
    );
    Ok(())
}

/// Nobody finds what another has left.
fn zeroed() -> Result<(), Failure> {
    const PAGES: u64 = 16;
    let quota = quota(1 << 20)?;
    for kind in [MemoryKind::Normal, MemoryKind::Dma] {
        let first = Memory::create(kind, PAGES * PAGE, &quota)?;
        for page in 0..PAGES {
            first.write(page * PAGE, &[0xa5; PAGE as usize])?;
        }
        drop(first);
        let second = Memory::create(kind, PAGES * PAGE, &quota)?;
        let space = Space::new(&quota)?;
        space.map(second, 0, PAGES * PAGE, AT, READ_WRITE)?;
        for word_at in (AT..AT + PAGES * PAGE).step_by(8) {
            let found = word(&space, word_at);
            ensure!(
                found == Ok(0),
                "new {kind:?} memory holds {found:x?} at {:#x}",
                word_at - AT
            );
        }
    }
    Ok(())
}

/// However scattered memory is, taking it and giving it back holds interrupts for so many instructions and
/// no more. Only where instructions can be counted.
fn scattered() -> Result<(), Failure> {
    const PIECES: usize = 4096;
    const MOST_TICKS: u64 = 1000;
    let mut frames = Vec::new();
    frames.try_reserve_exact(PIECES)?;
    let mut objects = Vec::new();
    objects.try_reserve_exact(PIECES)?;
    let mut worst = 0;
    let mut timed = |work: &mut dyn FnMut()| {
        let alone = NmiGuard::new();
        let began = clock::now();
        work();
        worst = worst.max(clock::now() - began);
        drop(alone);
    };
    for _ in 0..PIECES {
        timed(&mut || frames.extend(frames::allocate(PAGE)));
        timed(&mut || objects.push(heap::try_box([0u64; 8]).ok()));
    }
    ensure!(
        frames.len() == PIECES && objects.iter().all(Option::is_some),
        "there is no memory to scatter"
    );
    // Every other one first, so that nothing can be joined.
    for first in [0, 1] {
        for frame in frames.iter().skip(first).step_by(2) {
            // SAFETY: allocated above, and used by nobody.
            timed(&mut || unsafe { frames::free(*frame, PAGE) });
        }
    }
    for first in [0, 1] {
        for object in objects.iter_mut().skip(first).step_by(2) {
            timed(&mut || *object = None);
        }
    }
    ensure!(
        !clock::is_exact() || worst <= MOST_TICKS,
        "taking or giving back one piece of {PIECES} took {worst} instructions"
    );
    Ok(())
}
