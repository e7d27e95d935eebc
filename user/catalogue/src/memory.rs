//! Address spaces and what is mapped in them.

use alloc::vec::Vec;

use rt::abi::memory::{USER_END, USER_START};
use rt::abi::message::{Access, FaultKind};
use rt::object::{MemoryKind, PAGE, Registers, unmap};
use rt::{Error, Memory, Process, Rights};

use crate::case::{Case, Outcome, World, equal, hold};
use crate::probe::{BRANCH, LOAD, Place, Probe, READ_WRITE, STORE, is_fault};

pub(crate) const CASES: &[Case] = &[
    ("sel4test VSPACE0000", vspace0000),
    ("sel4test VSPACE0001", vspace0001),
    ("sel4test VSPACE0005", vspace0005),
    ("sel4test VSPACE0006", vspace0006),
    ("sel4test FRAMEEXPORTS0001", frameexports0001),
    ("sel4test FRAMEXN0001", framexn0001),
    ("sel4test FRAMEXN0002", framexn0002),
    ("sel4test FRAMEDIPC0003", framedipc0003),
    ("sel4test PT0001", pt0001),
    ("sel4test PT0002", pt0002),
];

const BYTES: usize = PAGE as usize;
/// Where cases map what must be at a certain place.
const PLACE: usize = 0x33_0000_0000;

fn at(address: u64) -> Registers {
    let mut registers = Registers::default();
    registers.x[0] = address;
    registers
}

/// A page that begins with a word, at an address of a process.
fn page(process: &Process, address: usize, word: u64, rights: Rights) -> Result<Memory, Error> {
    let memory = Memory::create(BYTES, MemoryKind::Normal)?;
    memory.map(READ_WRITE)?.write(0, &word.to_le_bytes());
    // SAFETY: the address is the cases' own.
    unsafe { memory.map_into(process, rights, address, 0, BYTES) }?;
    Ok(memory)
}

/// The same address means something else in each process.
fn vspace0000(_: &World) -> Outcome {
    let probes = [
        Probe::new(Place::Elsewhere, &[LOAD])?,
        Probe::new(Place::Elsewhere, &[LOAD])?,
        Probe::new(Place::Here, &[LOAD])?,
    ];
    for (word, probe) in (1..).zip(&probes) {
        page(probe.process(), PLACE, word, Rights::READ)?;
    }
    for _ in 0..3 {
        for (word, probe) in (1..).zip(&probes) {
            let found = probe.completes(at(PLACE as u64))?.x[1];
            equal!(found, word, "what process {word} reads");
        }
    }
    // SAFETY: only the probe has used it.
    unsafe { unmap(Process::own(), PLACE, BYTES) }?;
    Ok(())
}

/// In a process that has ended nothing can be mapped or unmapped, and what it had mapped lives on elsewhere.
fn vspace0001(_: &World) -> Outcome {
    let process = Process::create("ended", 128 << 10)?;
    let memory = page(&process, PLACE, 9, READ_WRITE)?;
    process.kill(0)?;
    process.wait()?;
    // SAFETY: it is another process.
    let (unmapped, mapped) = unsafe {
        (
            unmap(&process, PLACE, BYTES),
            memory.map_into(&process, READ_WRITE, PLACE, 0, BYTES),
        )
    };
    equal!(unmapped, Err(Error::Gone), "unmapped after its end");
    equal!(mapped, Err(Error::Gone), "mapped after its end");
    let mut word = [0; 8];
    memory.map(Rights::READ)?.read(0, &mut word);
    equal!(u64::from_le_bytes(word), 9, "what the memory holds");
    Ok(())
}

/// Where something is mapped nothing else can be, whole or in part; what was there stays.
fn vspace0005(_: &World) -> Outcome {
    let first = page(Process::own(), PLACE + BYTES, 1, Rights::READ)?;
    let second = Memory::create(2 * BYTES, MemoryKind::Normal)?;
    for (address, bytes) in [
        (PLACE + BYTES, BYTES),
        (PLACE, 2 * BYTES),
        (PLACE + BYTES, 2 * BYTES),
    ] {
        // SAFETY: refused, or only this case looks there.
        let mapped = unsafe { second.map_into(Process::own(), READ_WRITE, address, 0, bytes) };
        equal!(mapped, Err(Error::Busy), "{bytes} bytes at {address:#x}");
    }
    drop(first);
    // SAFETY: as above.
    unsafe { unmap(Process::own(), PLACE + BYTES, BYTES) }?;
    Ok(())
}

/// More processes than some CPUs have address space identifiers, one after the other and many at once: each
/// finds what is its own.
fn vspace0006(_: &World) -> Outcome {
    const AT_ONCE: u64 = 12;
    const ROUNDS: u64 = 6;
    let mut number = 0;
    for _ in 0..ROUNDS {
        let mut probes = Vec::new();
        for _ in 0..AT_ONCE {
            let probe = Probe::new(Place::Elsewhere, &[LOAD])?;
            number += 1;
            probe.page.write(0, &u64::to_le_bytes(number));
            probes.push((number, probe));
        }
        for (number, probe) in &probes {
            let found = probe.completes(at(probe.data))?.x[1];
            equal!(found, *number, "what process {number} reads");
        }
    }
    Ok(())
}

/// Memory of any size can be used to its last byte, begins as zeroes, and each page is apart.
fn frameexports0001(_: &World) -> Outcome {
    for pages in [1, 2, 3, 17, 64, 513] {
        let memory = Memory::create(pages * BYTES, MemoryKind::Normal)?;
        let mapping = memory.map(READ_WRITE)?;
        let mut word = [0; 8];
        for page in 0..pages {
            for offset in [0, BYTES - 8] {
                mapping.read(page * BYTES + offset, &mut word);
                equal!(word, [0; 8], "page {page} of {pages}, new");
                mapping.write(page * BYTES + offset, &(page as u64 + 1).to_le_bytes());
            }
        }
        for page in 0..pages {
            mapping.read(page * BYTES + BYTES - 8, &mut word);
            equal!(
                u64::from_le_bytes(word),
                page as u64 + 1,
                "page {page} of {pages}"
            );
        }
    }
    Ok(())
}

/// A page that is mapped to be read, or to be written, cannot be executed; both at once cannot be had.
fn framexn0001(_: &World) -> Outcome {
    for rights in [Rights::READ, READ_WRITE] {
        let probe = Probe::new(Place::Elsewhere, &[BRANCH])?;
        page(
            probe.process(),
            PLACE,
            u64::from(crate::probe::MARK),
            rights,
        )?;
        let stop = probe.run(at(PLACE as u64))?;
        let place = PLACE as u64;
        is_fault(
            &stop,
            FaultKind::NotPermitted,
            Access::Execute,
            place,
            place,
        )?;
    }
    let memory = Memory::create(BYTES, MemoryKind::Normal)?;
    let both = memory.map(READ_WRITE.with(Rights::EXECUTE)).err();
    equal!(
        both,
        Some(Error::WriteAndExecute),
        "written and executed at once"
    );
    Ok(())
}

/// The same of memory that is large: no part of it can be executed, and all of it can where that was asked.
fn framexn0002(_: &World) -> Outcome {
    const LARGE: usize = 2 << 20;
    let probe = Probe::new(Place::Elsewhere, &[BRANCH])?;
    let memory = Memory::create(LARGE, MemoryKind::Normal)?;
    let mark = crate::probe::MARK.to_le_bytes();
    for offset in [0, LARGE / 2, LARGE - 4] {
        memory.map(READ_WRITE)?.write(offset, &mark);
    }
    for (rights, kind) in [
        (Rights::READ, FaultKind::NotPermitted),
        (Rights::READ.with(Rights::EXECUTE), FaultKind::Undefined),
    ] {
        // SAFETY: it is another process.
        unsafe { memory.map_into(probe.process(), rights, PLACE, 0, LARGE) }?;
        for offset in [0, LARGE / 2, LARGE - 4] {
            let target = (PLACE + offset) as u64;
            let stop = probe.run(at(target))?;
            let (access, address) = match kind {
                FaultKind::Undefined => (Access::None, 0),
                _ => (Access::Execute, target),
            };
            is_fault(&stop, kind, access, address, target)?;
        }
        // SAFETY: as above.
        unsafe { unmap(probe.process(), PLACE, LARGE) }?;
    }
    Ok(())
}

/// What is mapped stays, with its content, when the last handle of the memory goes; unmapped, it is gone.
fn framedipc0003(_: &World) -> Outcome {
    let probe = Probe::new(Place::Elsewhere, &[LOAD])?;
    drop(page(probe.process(), PLACE, 77, Rights::READ)?);
    let place = PLACE as u64;
    equal!(
        probe.completes(at(place))?.x[1],
        77,
        "what is read without a handle"
    );
    // SAFETY: it is another process.
    unsafe { unmap(probe.process(), PLACE, BYTES) }?;
    let stop = probe.run(at(place))?;
    is_fault(&stop, FaultKind::NotMapped, Access::Read, place, probe.code)
}

/// Mappings far apart work, to the lowest and the highest page; outside, askew or nowhere they are refused.
fn pt0001(_: &World) -> Outcome {
    let probe = Probe::new(Place::Elsewhere, &[STORE])?;
    let memory = Memory::create(BYTES, MemoryKind::Normal)?;
    let here = memory.map(Rights::READ)?;
    let (low, high) = (USER_START as usize, USER_END as usize);
    let good = [
        low,
        0x20_0000 - BYTES,
        0x20_0000,
        1 << 30,
        1 << 37,
        high - BYTES,
    ];
    for (value, address) in (1..).zip(good) {
        // SAFETY: it is another process.
        unsafe { memory.map_into(probe.process(), READ_WRITE, address, 0, BYTES) }?;
        let mut registers = at(address as u64);
        registers.x[1] = value;
        probe.completes(registers)?;
        let mut word = [0; 8];
        here.read(0, &mut word);
        equal!(
            u64::from_le_bytes(word),
            value,
            "what was written at {address:#x}"
        );
    }
    for address in [
        low - BYTES,
        high,
        PLACE + 8,
        1 << 47,
        usize::MAX - BYTES + 1,
    ] {
        // SAFETY: as above.
        let mapped = unsafe { memory.map_into(probe.process(), READ_WRITE, address, 0, BYTES) };
        hold!(
            matches!(mapped, Err(Error::BadArgument | Error::BadAddress)),
            "mapped at {address:#x}: {mapped:x?}"
        );
    }
    // SAFETY: as above.
    let unmapped = unsafe { unmap(probe.process(), PLACE, BYTES) };
    equal!(
        unmapped,
        Err(Error::BadAddress),
        "unmapped what is not mapped"
    );
    Ok(())
}

/// An address that is used again for other memory shows that memory, at once and every time.
fn pt0002(_: &World) -> Outcome {
    let probe = Probe::new(Place::Elsewhere, &[LOAD])?;
    for word in 1..=50 {
        page(probe.process(), PLACE, word, Rights::READ)?;
        equal!(
            probe.completes(at(PLACE as u64))?.x[1],
            word,
            "what is read in round {word}"
        );
        // SAFETY: it is another process.
        unsafe { unmap(probe.process(), PLACE, BYTES) }?;
    }
    Ok(())
}
