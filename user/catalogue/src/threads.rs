//! Threads: how they are made, and that their registers are their own.

use core::arch::asm;

use rt::abi::message::FaultKind;
use rt::abi::syscall::Call;
use rt::object::{Object, Owned, Registers, ThreadStart};
use rt::{Error, Notification, Process, Rights, Thread};

use crate::case::{Case, Outcome, World, equal, hold, joined};
use crate::probe::{MARK, Place, Probe, SVC};

pub(crate) const CASES: &[Case] = &[
    ("sel4test TRIVIAL0001", trivial0001),
    ("sel4test TRIVIAL0002", trivial0002),
    ("sel4test THREADS0004", threads0004),
    ("sel4test THREADS0005", threads0005),
    ("sel4test TLS0001", tls0001),
    ("sel4test TLS0002", tls0002),
    ("sel4test TLS0006", tls0006),
    ("sel4test REGRESSIONS0001", regressions0001),
    ("sel4test REGRESSIONS0002", regressions0002),
    ("sel4test REGRESSIONS0003", regressions0003),
    ("sel4test UNKNOWN_SYSCALL_001", unknown_syscall_001),
];

/// `nop`.
const NOP: u32 = 0xd503_201f;
/// `ldxr x1, [x0]`.
const LOAD_EXCLUSIVE: u32 = 0xc85f_7c01;
/// `stxr w2, x1, [x0]`.
const STORE_EXCLUSIVE: u32 = 0xc802_7c01;
/// `mrs x1, tpidr_el0`.
const READ_TLS: u32 = 0xd53b_d041;
/// N, Z, C, V.
const FLAGS: u64 = 0xf << 28;

/// The heap gives memory that holds what is written, each block apart from the others.
fn trivial0001(_: &World) -> Outcome {
    let blocks: alloc::vec::Vec<_> = (1..100_usize)
        .map(|n| (n, alloc::vec![n as u8; n * 37]))
        .collect();
    for (n, block) in blocks {
        hold!(
            block.len() == n * 37 && block.iter().all(|byte| *byte == n as u8),
            "block {n} holds something else"
        );
    }
    Ok(())
}

/// What was given back is given out again: the second time costs the process nothing.
fn trivial0002(_: &World) -> Outcome {
    let once = || {
        drop(alloc::vec![1_u8; 600 << 10]);
        Process::own().report().map(|report| report.used)
    };
    let first = once()?;
    let second = once()?;
    // What was unmapped may still be charged for a moment.
    hold!(
        second <= first,
        "the process is charged {second} after the second time, {first} after the first"
    );
    Ok(())
}

/// A thread that makes no sense is not made: bad entry, stack, priority, flags, CPUs, or process.
fn threads0004(_: &World) -> Outcome {
    let good = ThreadStart {
        entry: 0x40_0000,
        stack: 0x50_0000,
        priority: 1,
        ..ThreadStart::default()
    };
    let bad = [
        (
            "an odd entry",
            ThreadStart {
                entry: 0x40_0002,
                ..good
            },
        ),
        (
            "an entry of the kernel's",
            ThreadStart {
                entry: 1 << 63,
                ..good
            },
        ),
        (
            "an odd stack",
            ThreadStart {
                stack: 0x50_0008,
                ..good
            },
        ),
        (
            "a stack of the kernel's",
            ThreadStart {
                stack: 1 << 63,
                ..good
            },
        ),
        (
            "a high priority",
            ThreadStart {
                priority: 31,
                ..good
            },
        ),
        (
            "no priority",
            ThreadStart {
                priority: 32,
                ..good
            },
        ),
        ("unknown flags", ThreadStart { flags: 2, ..good }),
        (
            "CPUs that there are not",
            ThreadStart {
                cpus: [0, 1 << 63],
                ..good
            },
        ),
    ];
    for (what, start) in bad {
        // SAFETY: it is not resumed.
        let made = unsafe { Thread::create(Process::own(), &start) }.err();
        equal!(made, Some(Error::BadArgument), "a thread with {what}");
    }
    let none = Process::assume(Owned::new(rt::abi::handle::Handle::NONE));
    // SAFETY: as above.
    let made = unsafe { Thread::create(&none, &good) }.err();
    equal!(made, Some(Error::BadHandle), "a thread of no process");
    let other = Process::assume(Notification::create()?.into());
    // SAFETY: as above.
    let made = unsafe { Thread::create(&other, &good) }.err();
    equal!(made, Some(Error::WrongKind), "a thread of a notification");
    Ok(())
}

/// A thread needs a process that lives, and the right to manage it.
fn threads0005(_: &World) -> Outcome {
    let start = ThreadStart {
        entry: 0x40_0000,
        ..ThreadStart::default()
    };
    let process = Process::create("short", 64 << 10)?;
    let look = process.duplicate(Rights::INSPECT)?;
    // SAFETY: it is not resumed, and not this process's.
    let made = unsafe { Thread::create(&look, &start) }.err();
    equal!(
        made,
        Some(Error::NoRight),
        "a thread of a process that may be looked at"
    );
    process.kill(0)?;
    process.wait()?;
    // SAFETY: as above.
    let made = unsafe { Thread::create(&process, &start) }.err();
    equal!(
        made,
        Some(Error::Gone),
        "a thread of a process that has ended"
    );
    Ok(())
}

fn tls() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, tpidr_el0", out(reg) value, options(nomem, nostack)) };
    value
}

fn set_tls(value: u64) {
    // SAFETY: a thread's own register; the callers put back what they found.
    unsafe { asm!("msr tpidr_el0, {}", in(reg) value, options(nomem, nostack)) };
}

/// A thread's own thread pointer holds what it writes, whatever calls it makes.
fn tls0001(_: &World) -> Outcome {
    let before = tls();
    for value in [1, 0xdead_beef_0000, u64::MAX] {
        set_tls(value);
        rt::thread::yield_now();
        let found = tls();
        set_tls(before);
        equal!(found, value, "the thread pointer after a call");
    }
    Ok(())
}

/// Threads that are switched back and forth each keep their own thread pointer.
fn tls0002(_: &World) -> Outcome {
    let mut threads = alloc::vec::Vec::new();
    for number in 1..=6_u64 {
        threads.push(rt::thread::spawn(move || -> Outcome {
            let before = tls();
            for round in 0..200 {
                set_tls(number << 32 | round);
                rt::thread::yield_now();
                let found = tls();
                set_tls(before);
                equal!(found, number << 32 | round, "the thread pointer");
            }
            Ok(())
        })?);
    }
    threads.into_iter().try_for_each(|thread| joined(thread)?)
}

/// Threads that were given different thread pointers from outside read each its own.
fn tls0006(_: &World) -> Outcome {
    let probes = [
        Probe::new(Place::Here, &[READ_TLS])?,
        Probe::new(Place::Here, &[READ_TLS])?,
        Probe::new(Place::Elsewhere, &[READ_TLS])?,
    ];
    for round in 0..3 {
        for (number, probe) in (1_u64..).zip(&probes) {
            let tls = number << 40 | round;
            let after = probe.completes(Registers {
                tls,
                ..Registers::default()
            })?;
            equal!(
                (after.x[1], after.tls),
                (tls, tls),
                "the thread pointer of {number}"
            );
        }
    }
    Ok(())
}

/// Registers that are written from outside are what the thread has, all of them, and nothing more: not
/// the level it runs at, nor what masks interrupts.
fn regressions0001(_: &World) -> Outcome {
    let probe = Probe::new(Place::Elsewhere, &[NOP])?;
    for round in 0..16_u64 {
        let wanted = Registers {
            x: core::array::from_fn(|at| ((at as u64 + 1) * 0x0101_0101_0101) ^ (round << 56)),
            sp: 0x1234_5670 + 16 * round,
            pc: probe.code,
            pstate: round << 28,
            tls: 0x7000 + round,
        };
        let found = probe.run_exactly(wanted)?.registers;
        let expected = Registers {
            pc: probe.mark(),
            pstate: found.pstate & !FLAGS | wanted.pstate,
            ..wanted
        };
        equal!(found, expected, "the registers in round {round}");
    }
    // EL1h, all masks set, single step.
    let absurd = Registers {
        pstate: 0x2003c5,
        ..Registers::default()
    };
    let found = probe.completes(absurd)?;
    equal!(
        found.pstate & 0x2003df,
        0,
        "level, masks and step of PSTATE"
    );
    let running = rt::start::first_thread().registers().err();
    equal!(
        running,
        Some(Error::WrongState),
        "the registers of a thread that runs"
    );
    Ok(())
}

/// An exclusive load and the store that belongs to it do not come together when something ran in between.
fn regressions0002(_: &World) -> Outcome {
    let probe = Probe::new(Place::Elsewhere, &[LOAD_EXCLUSIVE, MARK, STORE_EXCLUSIVE])?;
    probe.page.write(0, &5_u64.to_le_bytes());
    let mut registers = Registers::default();
    registers.x[0] = probe.data;
    let stop = probe.run(registers)?;
    equal!(stop.fault.pc, probe.code + 4, "where it stops in between");
    let mut between = stop.registers;
    equal!(between.x[1], 5, "what was loaded");
    between.x[1] = 6;
    between.pc += 4;
    let after = probe.run_exactly(between)?;
    equal!(
        after.registers.x[2],
        1,
        "the status of the store (1: it failed)"
    );
    let mut word = [0; 8];
    probe.page.read(0, &mut word);
    equal!(u64::from_le_bytes(word), 5, "what is in memory");
    Ok(())
}

/// A thread that is sent to addresses of the kernel, or to ones that no address can be, faults at EL0.
fn regressions0003(_: &World) -> Outcome {
    let probe = Probe::new(Place::Elsewhere, &[NOP])?;
    for pc in [
        0xffff_ffc0_0000_0000,
        0xffff_ff80_4000_0000,
        1 << 48,
        1 << 63,
    ] {
        let registers = Registers {
            pc,
            sp: u64::MAX - 15,
            ..Registers::default()
        };
        let stop = probe.run_exactly(registers)?;
        let kind = FaultKind::from_number(stop.fault.kind);
        hold!(
            matches!(kind, Some(FaultKind::NotMapped | FaultKind::NotPermitted)),
            "at {pc:#x}: expected a fault of an address, found {kind:?}"
        );
        equal!(stop.fault.pc, pc, "where it faults");
    }
    probe.completes(Registers::default())?;
    Ok(())
}

/// A number that no system call has gives an error, and changes nothing else.
fn unknown_syscall_001(_: &World) -> Outcome {
    let probe = Probe::new(Place::Elsewhere, &[SVC])?;
    for number in [7, 15, 79, 1 << 32 | Call::Yield as u64, u64::MAX] {
        let mut before = Registers {
            x: core::array::from_fn(|at| at as u64 + 100),
            ..Registers::default()
        };
        before.x[8] = number;
        let after = probe.completes(before)?;
        equal!(
            after.x[0],
            Error::NoSuchCall as u64,
            "the status of call {number:#x}"
        );
        equal!(after.x[1..], before.x[1..], "the other registers");
    }
    Ok(())
}
