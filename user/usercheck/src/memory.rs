//! The heap, and memory that is mapped.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use rt::object::{MemoryKind, PAGE};
use rt::{Error, Memory, Rights};

use crate::{Outcome, failed, hold};

/// How much the heap grows to at least.
const HEAP_BYTES: usize = 4 << 20;

pub(crate) fn check() -> Outcome {
    heap()?;
    mapped()?;
    given_back()?;
    Ok(alloc::format!(
        "{} MiB of heap, memory mapped twice",
        HEAP_BYTES >> 20
    ))
}

/// Blocks of many sizes keep what was written to them, while others come and go.
fn heap() -> Result<(), String> {
    let mut blocks = BTreeMap::new();
    let mut total = 0;
    let mut size = 1_usize;
    while total < HEAP_BYTES {
        let fill = (size % 251) as u8;
        let block: Vec<u8> = alloc::vec![fill; size];
        total += size;
        blocks.insert(size, block);
        if blocks.len() > 3 && size.is_multiple_of(3) {
            let first = blocks.pop_first();
            total -= first.map_or(0, |(size, _)| size);
        }
        size = size * 5 / 4 + 7;
        if size > 400_000 {
            size %= 997;
        }
    }
    for (size, block) in &blocks {
        let fill = (size % 251) as u8;
        hold!(
            block.len() == *size,
            "a block of {size} has {}",
            block.len()
        );
        hold!(
            block.iter().all(|byte| *byte == fill),
            "a block of {size} was overwritten"
        );
    }
    let mut huge: Vec<u8> = Vec::new();
    let refused = huge.try_reserve_exact(1 << 40).is_err();
    hold!(refused, "a TiB of heap was given");
    Ok(())
}

/// What is written through one mapping is read through another, and no longer when that is gone.
fn mapped() -> Result<(), String> {
    let memory = Memory::create(3 * PAGE as usize, MemoryKind::Normal).map_err(failed("memory"))?;
    let both = Rights::READ.with(Rights::WRITE);
    let first = memory.map(both).map_err(failed("mapping"))?;
    let second = memory.map(Rights::READ).map_err(failed("mapping again"))?;
    let mut bytes = [1; 16];
    hold!(
        second.read(5000, &mut bytes) == 16 && bytes == [0; 16],
        "it was not zeroed"
    );
    first.write(5000, b"petrel");
    second.read(5000, &mut bytes);
    hold!(bytes.starts_with(b"petrel"), "two mappings differ");
    hold!(
        first.read(3 * PAGE as usize - 4, &mut bytes) == 4,
        "a read beyond the end"
    );
    let executable = memory.map(both.with(Rights::EXECUTE)).err();
    hold!(
        executable == Some(Error::WriteAndExecute),
        "writable and executable: {executable:?}"
    );
    let readable = memory
        .duplicate(Rights::READ.with(Rights::INSPECT))
        .map_err(failed("duplicate"))?;
    hold!(
        readable.map(both).err() == Some(Error::NoRight),
        "a right that the handle lacks"
    );
    hold!(
        memory.physical(0) == Ok(0),
        "ordinary memory tells its physical address"
    );
    let nothing = Memory::create(0, MemoryKind::Normal).err();
    hold!(
        nothing == Some(Error::BadArgument),
        "memory of nothing: {nothing:?}"
    );
    let all = Memory::create(1 << 40, MemoryKind::Normal).err();
    hold!(all == Some(Error::NoMemory), "a TiB of memory: {all:?}");
    Ok(())
}

/// What was given up can be had again at once, however often, though the kernel frees it later.
fn given_back() -> Result<(), String> {
    // In all more than the process may have.
    for _ in 0..256 {
        drop(Memory::create(2 << 20, MemoryKind::Normal).map_err(failed("memory once more"))?);
    }
    Ok(())
}
