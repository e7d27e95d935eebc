//! What two CPUs do to each other. None of it says anything on one.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rt::abi::message::{Access, FaultKind};
use rt::object::{MemoryKind, PAGE, Registers, unmap};
use rt::thread::{Builder, who_am_i};
use rt::time::Deadline;
use rt::{Endpoint, Memory, Message, Notification, Rights, start};

use crate::case::{Case, Outcome, World, equal, joined, message};
use crate::fpu::compute;
use crate::probe::{LOAD, Place, Probe, READ_WRITE, is_fault};

pub(crate) const CASES: &[Case] = &[
    ("sel4test MULTICORE0001", multicore0001),
    ("sel4test MULTICORE0002", multicore0002),
    ("sel4test MULTICORE0003", multicore0003),
    ("sel4test MULTICORE0004", multicore0004),
    ("sel4test MULTICORE0005", multicore0005),
    ("sel4test SCHED0022", sched0022),
    ("sel4test FPU0002", fpu0002),
    ("sel4test IPC0028", ipc0028),
];

/// The first thread keeps to CPU 0 while this lives.
struct OnFirst(());

impl OnFirst {
    fn new() -> Result<Self, rt::Error> {
        start::first_thread().set_cpus(1)?;
        Ok(Self(()))
    }
}

impl Drop for OnFirst {
    fn drop(&mut self) {
        let _ = start::first_thread().set_cpus(0);
    }
}

/// On that CPU alone.
fn on(cpu: u32) -> Builder {
    Builder::new().cpus(1 << cpu)
}

/// Waits until the count has changed.
fn until_it_counts(count: &AtomicU64) {
    let before = count.load(Ordering::Relaxed);
    while count.load(Ordering::Relaxed) == before {
        core::hint::spin_loop();
    }
}

/// A thread that runs on another CPU does nothing once its suspension is back, and goes on when resumed.
fn multicore0001(_: &World) -> Outcome {
    let _here = OnFirst::new()?;
    let (count, ends) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let (counted, end) = (count.clone(), ends.clone());
    let counter = on(1).spawn(move || {
        while !end.load(Ordering::Relaxed) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    })?;
    for _ in 0..30 {
        until_it_counts(&count);
        counter.thread().suspend()?;
        let stopped = count.load(Ordering::Relaxed);
        for _ in 0..200 {
            core::hint::spin_loop();
        }
        equal!(
            count.load(Ordering::Relaxed),
            stopped,
            "the count of a suspended thread"
        );
        counter.thread().resume()?;
    }
    ends.store(true, Ordering::Relaxed);
    joined(counter)
}

/// Threads run on each CPU that they are put on, and on no other.
fn multicore0002(world: &World) -> Outcome {
    for cpu in 0..world.cpus {
        let found = joined(on(cpu).spawn(|| {
            [who_am_i().2, {
                rt::thread::yield_now();
                who_am_i().2
            }]
        })?)?;
        equal!(found, [u64::from(cpu); 2], "the CPU");
    }
    Ok(())
}

/// What is unmapped on one CPU is gone on another that has just used it.
fn multicore0003(_: &World) -> Outcome {
    const PLACE: u64 = 0x34_0000_0000;
    let _here = OnFirst::new()?;
    let probe = Probe::new(Place::Elsewhere, &[LOAD])?;
    probe.thread.set_cpus(1 << 1)?;
    let mut registers = Registers::default();
    registers.x[0] = PLACE;
    for word in 1..=30_u64 {
        let memory = Memory::create(PAGE as usize, MemoryKind::Normal)?;
        memory.map(READ_WRITE)?.write(0, &word.to_le_bytes());
        // SAFETY: it is another process.
        unsafe {
            memory.map_into(
                probe.process(),
                Rights::READ,
                PLACE as usize,
                0,
                PAGE as usize,
            )
        }?;
        equal!(
            probe.completes(registers)?.x[1],
            word,
            "what is read in round {word}"
        );
        // SAFETY: as above.
        unsafe { unmap(probe.process(), PLACE as usize, PAGE as usize) }?;
        let stop = probe.run(registers)?;
        is_fault(&stop, FaultKind::NotMapped, Access::Read, PLACE, probe.code)?;
    }
    Ok(())
}

/// While one CPU changes its process's mappings without end, threads on all others get on with calls.
fn multicore0004(world: &World) -> Outcome {
    const CALLS: u64 = 300;
    let ends = Arc::new(AtomicBool::new(false));
    let end = ends.clone();
    let mapper = on(0).spawn(move || -> Outcome {
        let memory = Memory::create(4 * PAGE as usize, MemoryKind::Normal)?;
        while !end.load(Ordering::Relaxed) {
            drop(memory.map(READ_WRITE)?);
        }
        Ok(())
    })?;
    let mut others = Vec::new();
    for cpu in 1..world.cpus {
        others.push(on(cpu).spawn(move || -> Outcome {
            let notification = Notification::create()?;
            for bits in 1..=CALLS {
                notification.signal(bits)?;
                equal!(notification.poll()?, bits, "the bits on CPU {cpu}");
            }
            Ok(())
        })?);
    }
    let found: Vec<Outcome> = others
        .into_iter()
        .map(|other| joined(other).and_then(|outcome| outcome))
        .collect();
    ends.store(true, Ordering::Relaxed);
    joined(mapper)??;
    found.into_iter().collect()
}

/// A thread that runs on another CPU can be ended, and has when its end is told.
fn multicore0005(world: &World) -> Outcome {
    let _here = OnFirst::new()?;
    for cpu in 1..world.cpus {
        for _ in 0..5 {
            let count = Arc::new(AtomicU64::new(0));
            let counted = count.clone();
            let counter = on(cpu).spawn(move || {
                loop {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            })?;
            until_it_counts(&count);
            counter.thread().kill(0)?;
            counter.thread().wait()?;
            let stopped = count.load(Ordering::Relaxed);
            for _ in 0..200 {
                core::hint::spin_loop();
            }
            equal!(
                count.load(Ordering::Relaxed),
                stopped,
                "the count after its end"
            );
        }
    }
    Ok(())
}

/// A thread that is put on another CPU while it runs goes there.
fn sched0022(world: &World) -> Outcome {
    let (seen, ends) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let (cpu, end) = (seen.clone(), ends.clone());
    let wanderer = on(0).spawn(move || {
        while !end.load(Ordering::Relaxed) {
            cpu.store(who_am_i().2, Ordering::Relaxed);
        }
    })?;
    for round in 0..3 * world.cpus {
        let there = (round + 1) % world.cpus;
        wanderer.thread().set_cpus(1 << there)?;
        while seen.load(Ordering::Relaxed) != u64::from(there) {
            rt::thread::yield_now();
        }
    }
    ends.store(true, Ordering::Relaxed);
    joined(wanderer)
}

/// A thread that computes with FP gets the right result though it is moved from CPU to CPU meanwhile.
fn fpu0002(world: &World) -> Outcome {
    const STEPS: u32 = 1500;
    const THREADS: u64 = 3;
    let expected: Vec<u64> = (0..THREADS).map(|seed| compute(seed, STEPS)).collect();
    let done = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    for seed in 0..THREADS {
        let done = done.clone();
        threads.push(rt::thread::spawn(move || {
            let found = compute(seed, STEPS);
            done.fetch_add(1, Ordering::Relaxed);
            found
        })?);
    }
    let mut turn = 0;
    while done.load(Ordering::Relaxed) < THREADS {
        for thread in &threads {
            turn += 1;
            // One that has ended is moved no more.
            let _ = thread.thread().set_cpus(1 << (turn % world.cpus));
        }
        // Moved without a pause they would do nothing but move.
        rt::time::sleep(rt::time::Duration::from_micros(500));
    }
    for (thread, expected) in threads.into_iter().zip(expected) {
        equal!(joined(thread)?, expected, "the bits of the result");
    }
    Ok(())
}

/// A client on each CPU calls a server on the first, and each gets its own replies.
fn ipc0028(world: &World) -> Outcome {
    const CALLS: u64 = 50;
    let endpoint = Endpoint::create()?;
    let mut clients = Vec::new();
    for cpu in 0..world.cpus {
        let to = endpoint.sender(u64::from(cpu) + 1)?;
        clients.push(on(cpu).spawn(move || -> Outcome {
            for round in 0..CALLS {
                let reply = to.call(Message::new(0).word(round))?;
                equal!(reply.words(), [u64::from(cpu) + 1, !round], "the reply");
            }
            Ok(())
        })?);
    }
    let calls = CALLS * u64::from(world.cpus);
    let mut incoming = endpoint.receive(Deadline::FOREVER)?;
    for call in 1..=calls {
        let (called, badge) = message(incoming)?;
        let reply = Message::new(0).word(badge).word(!called.word_at(0));
        if call == calls {
            rt::object::reply_to_caller(reply)?;
            break;
        }
        incoming = endpoint.reply_receive(reply, Deadline::FOREVER)?;
    }
    clients.into_iter().try_for_each(|client| joined(client)?)
}
