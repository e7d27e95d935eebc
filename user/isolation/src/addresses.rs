//! Can a process read, write or execute what is not its own, or not mapped for that?

use crate::victim::{CODE, DATA, Fp, Outcome, READ_ONLY, READ_ONLY_WORD, READ_WRITE, Victim, give};
use crate::{Wrong, ensure};
use abi::message::{Access, Fault, FaultKind};
use core::sync::atomic::{AtomicU64, Ordering};
use rt::object::Registers;
use rt::object::{MemoryKind, PAGE};
use rt::{Memory, Process, abi};

/// `ldr x1, [x0]`, `str x1, [x0]`, `br x0`.
const INSTRUCTIONS: [u32; 3] = [0xf940_0001, 0xf900_0001, 0xd61f_0000];
const ACCESSES: [Access; 3] = [Access::Read, Access::Write, Access::Execute];

/// Something of this process's that the victim must not reach.
static SECRET: AtomicU64 = AtomicU64::new(SECRET_WORD);
const SECRET_WORD: u64 = 0x5ec4_e75e_c4e7;
/// Where another process has something.
const ELSEWHERE: usize = 0xa00_0000;

/// How much was tried.
pub(crate) fn check() -> Result<u64, Wrong> {
    let other = Process::create("other", 1 << 20)?;
    let elsewhere = give(&other, &SECRET_WORD.to_le_bytes(), ELSEWHERE, READ_WRITE)?;
    let in_both = give(&other, &SECRET_WORD.to_le_bytes(), READ_ONLY, READ_WRITE)?;
    let mut victim = Victim::new(&INSTRUCTIONS, Fp::None)?;
    let mut tried = nothing(&mut victim)?;
    tried += own(&mut victim)?;
    tried += comes_and_goes(&mut victim)?;
    for memory in [elsewhere, in_both] {
        let mapping = memory.map(READ_WRITE)?;
        let mut word = [0; 8];
        mapping.read(0, &mut word);
        ensure!(
            u64::from_le_bytes(word) == SECRET_WORD,
            "a process has written into another"
        );
    }
    ensure!(
        SECRET.load(Ordering::Relaxed) == SECRET_WORD,
        "a process has written into this one"
    );
    Ok(tried)
}

/// What no process has.
fn nothing(victim: &mut Victim) -> Result<u64, Wrong> {
    // The kernel's half: the ends, all RAM, the image, and what else it has mapped
    // (`kernel/src/mm/mod.rs`).
    const KERNEL: u64 = 0xffff_ffc0_0000_0000;
    const LINEAR: u64 = 0xffff_ff80_0000_0000;
    const RAM: u64 = 0x4000_0000;
    const GIB: u64 = 1 << 30;
    let addresses = [
        LINEAR,
        LINEAR + RAM,
        LINEAR + RAM + (64 << 20),
        KERNEL,
        KERNEL + 0x1000,
        KERNEL + 0x10_0000,
        KERNEL + GIB,
        KERNEL + 64 * GIB,
        KERNEL + 64 * GIB + 0x7000,
        KERNEL + 128 * GIB,
        KERNEL + 192 * GIB,
        u64::MAX - 7,
        // Nobody's.
        0,
        8,
        abi::memory::USER_START - 8,
        abi::memory::USER_START,
        abi::memory::USER_END - 8,
        abi::memory::USER_END,
        1 << 47,
        LINEAR - 8,
        // No bits of an address are a tag.
        DATA as u64 | 1 << 56,
        DATA as u64 | 0xff << 56,
        DATA as u64 | 1 << 40,
        // Beside its own.
        DATA as u64 - 8,
        DATA as u64 + PAGE,
        // This process's, and another's.
        SECRET.as_ptr() as u64,
        check as *const () as u64,
        (&raw const victim) as u64,
        ELSEWHERE as u64,
    ];
    let mut tried = 0;
    for address in addresses {
        for (which, access) in ACCESSES.into_iter().enumerate() {
            let fault = refused(victim, which, address)?;
            let nothing = FaultKind::NotMapped as u64;
            let mapped = FaultKind::NotPermitted as u64;
            // Where the kernel has something, a CPU without FEAT_E0PD says so.
            let right = fault.kind == nothing || address >= LINEAR && fault.kind == mapped;
            ensure!(
                right,
                "{access:?} at {address:#x} gives a fault of kind {}",
                fault.kind
            );
            tried += 1;
        }
    }
    Ok(tried)
}

/// What it has, for what it has it.
fn own(victim: &mut Victim) -> Result<u64, Wrong> {
    let cases = [
        // Address, and what of reading, writing and executing is permitted. What follows the mark in a
        // slot is the mark again, so executing shows as one more fault.
        (DATA, [true, true, false]),
        (READ_ONLY, [true, false, false]),
        (CODE, [true, false, true]),
    ];
    let mut tried = 0;
    for (address, permitted) in cases {
        for (which, permitted) in permitted.into_iter().enumerate() {
            tried += 1;
            if !permitted {
                let fault = refused(victim, which, address as u64)?;
                ensure!(
                    fault.kind == FaultKind::NotPermitted as u64,
                    "{:?} at {address:#x} gives a fault of kind {}",
                    ACCESSES[which],
                    fault.kind
                );
                continue;
            }
            let outcome = access(victim, which, address as u64)?;
            match (ACCESSES[which], outcome) {
                (Access::Read, Outcome::Executed(registers)) => {
                    let expected = match address {
                        READ_ONLY => READ_ONLY_WORD,
                        CODE => u64::from(INSTRUCTIONS[0]) | 0x15 << 32,
                        _ => continue,
                    };
                    ensure!(
                        registers.x[1] == expected,
                        "{address:#x} holds {:#x}, not {expected:#x}",
                        registers.x[1]
                    );
                }
                (Access::Write, Outcome::Executed(_)) => {
                    let mut word = [0; 8];
                    victim.data.read(0, &mut word);
                    ensure!(
                        u64::from_le_bytes(word) == SECRET_WORD,
                        "what a process wrote is not there"
                    );
                }
                // It goes to the first slot, which reads its own code; then comes the mark.
                (Access::Execute, Outcome::Refused(fault)) => ensure!(
                    fault.kind == FaultKind::Undefined as u64 && fault.pc == CODE as u64 + 4,
                    "its own code cannot be executed: a fault of kind {} at {:#x}",
                    fault.kind,
                    fault.pc
                ),
                (access, _) => ensure!(false, "{access:?} at {address:#x} is refused"),
            }
        }
    }
    Ok(tried)
}

/// What is mapped is there at once, and what is unmapped is gone at once.
fn comes_and_goes(victim: &mut Victim) -> Result<u64, Wrong> {
    const ROUNDS: u64 = 20;
    const AT: u64 = 0xb00_0000;
    for round in 0..ROUNDS {
        let memory = Memory::create(PAGE as usize, MemoryKind::Normal)?;
        memory.map(READ_WRITE)?.write(0, &round.to_le_bytes());
        victim.map(&memory, AT as usize, READ_WRITE)?;
        match access(victim, 0, AT)? {
            Outcome::Executed(registers) => ensure!(
                registers.x[1] == round,
                "new memory holds {:#x}, not {round:#x}",
                registers.x[1]
            ),
            Outcome::Refused(fault) => {
                ensure!(
                    false,
                    "what was mapped gives a fault of kind {}",
                    fault.kind
                );
            }
        }
        victim.unmap(AT as usize, PAGE as usize)?;
        for which in 0..ACCESSES.len() {
            refused(victim, which, AT)?;
        }
    }
    Ok(ROUNDS * (1 + ACCESSES.len() as u64))
}

/// Fails unless the access faults there, at that address.
fn refused(victim: &mut Victim, which: usize, address: u64) -> Result<Fault, Wrong> {
    let access_kind = ACCESSES[which];
    match access(victim, which, address)? {
        Outcome::Executed(registers) => Err(Wrong(alloc::format!(
            "{access_kind:?} at {address:#x} was done (x1 is {:#x})",
            registers.x[1]
        ))),
        Outcome::Refused(fault) => {
            ensure!(
                fault.address == address && fault.access == access_kind as u64,
                "{access_kind:?} at {address:#x} gives a fault of kind {} at {:#x}, access {}",
                fault.kind,
                fault.address,
                fault.access
            );
            Ok(fault)
        }
    }
}

fn access(victim: &mut Victim, which: usize, address: u64) -> Result<Outcome, Wrong> {
    let mut registers = Registers::default();
    registers.x[0] = address;
    registers.x[1] = SECRET_WORD;
    Ok(victim.execute(which, &registers)?)
}
