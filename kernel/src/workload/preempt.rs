//! Preemption itself: threads that never ask are switched away from, on every way there is, and
//! nothing else moves.
//!
//! Four parts, one after another:
//!
//! 1. **Turns.** More spinners than CPUs, pinned and free, none of which yields; sleepers of a higher
//!    level among them. Every spinner must get on, every CPU must preempt on the way out of its timer
//!    interrupt, and where the clock is exact, equals get equal time within a quantum and sleepers
//!    wake on time.
//! 2. **Sections.** A lock of class `Preempt` is held until a tick has asked for a switch: the switch
//!    must wait for the unlock, and come with it.
//! 3. **Wake-ups.** A thread wakes a higher one on its CPU in each state it can be in: plainly, with
//!    interrupts held (no exit path will look: a self-SGI must), with preemption off, both ways
//!    nested, and from an interrupt handler. In each, the sleeper must run at the first instruction
//!    where it may and not before, by exactly one preemption, on the path that is due.
//! 4. **Generations.** Many short threads are made and joined, and leave no memory behind.

mod wakes;

use super::support::{
    HIGH, LOW, ensure, expect_context, expect_eq, here, join_all, left_since, nothing_lost,
    on_each_cpu, ordinary_path, spawn_on, unleaked_bytes,
};
use super::{Failure, Task};
use crate::smp::{self, QUANTUM};
use crate::thread::{self, JoinHandle, Spec};
use crate::{clock, say};
use abi::path::Path;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use boot::args::Params;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use cpu::counters::Counter;
use cpu::lock::{Lock, Preempt};
use cpu::mask::Context;
use sched::CpuSet;

/// The most spinners there can be.
const MAX_SPINNERS: usize = 256;
/// How late a sleeper may run on one exact CPU: an interrupt, a switch, and the return.
const LATE: Duration = Duration::from_micros(50);
/// How long a tick is waited for before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the workload. Parameters: `time` of part 1, `threads` pinned to each CPU, `free` ones,
/// `sections` and `wakes` for each CPU, `generations` of threads.
///
/// # Errors
/// A sentence about what did not happen, or should not have.
pub(super) fn run(_: &Task, mut params: Params<'_>) -> Result<String, Failure> {
    let cpus = smp::all().count() as u64;
    let time = params.duration("time", Duration::from_millis(200))?;
    let pinned = params.count("threads", 3)?;
    let free = params.count("free", cpus)?;
    let sections = params.count("sections", 4)?;
    let wakes = params.count("wakes", 200)?;
    let generations = params.count("generations", 40)?;
    params.finish()?;
    ensure!(
        pinned >= 2,
        "threads={pinned}: two or more are needed to preempt one"
    );
    ensure!(
        pinned * cpus + free <= MAX_SPINNERS as u64,
        "threads={pinned}, free={free}: more than {MAX_SPINNERS} in all"
    );

    let preempted = take_turns(time, pinned, free)?;
    hold_sections(sections)?;
    wakes::run(wakes)?;
    come_and_go(generations)?;
    nothing_lost()?;
    Ok(format!(
        "preempt on {}: {preempted} turns ended, {} sections, {} wake-ups, {} threads",
        smp::up(),
        sections * cpus,
        wakes * wakes::WAYS.len() as u64 * cpus,
        generations * BATCH as u64,
    ))
}

// Part 1: turns.

static STOP: AtomicBool = AtomicBool::new(false);
static PROGRESS: [AtomicU64; MAX_SPINNERS] = [const { AtomicU64::new(0) }; MAX_SPINNERS];
static SLEPT: AtomicU64 = AtomicU64::new(0);
static WORST_LATE_TICKS: AtomicU64 = AtomicU64::new(0);

fn spin(index: usize) {
    while !STOP.load(Relaxed) {
        PROGRESS[index].fetch_add(1, Relaxed);
        expect_context(Context::Process);
    }
}

/// Not a divisor of the quantum, so that wake-ups fall everywhere in it.
const NAP: Duration = Duration::from_micros(730);

fn nap(_: usize) {
    while !STOP.load(Relaxed) {
        let due = clock::now() + clock::ticks(NAP);
        thread::sleep_until(due);
        let woke = clock::now();
        expect_context(Context::Process);
        assert!(woke >= due, "a sleeper woke {} ticks early", due - woke);
        WORST_LATE_TICKS.fetch_max(woke - due, Relaxed);
        SLEPT.fetch_add(1, Relaxed);
    }
}

/// Gives how many preemptions there were.
fn take_turns(time: Duration, pinned: u64, free: u64) -> Result<u64, Failure> {
    STOP.store(false, Relaxed);
    SLEPT.store(0, Relaxed);
    WORST_LATE_TICKS.store(0, Relaxed);
    let path = ordinary_path();
    let before: Vec<u64> = smp::all()
        .map(|cpu| cpu.percpu().counters.preemptions(path))
        .collect();
    let mut spinners: Vec<JoinHandle> = Vec::new();
    let mut sleepers: Vec<JoinHandle> = Vec::new();
    for cpu in smp::all() {
        sleepers.push(spawn_on(cpu, "sleeper", HIGH, nap, cpu.index())?);
        for _ in 0..pinned {
            let index = spinners.len();
            PROGRESS[index].store(0, Relaxed);
            spinners.push(spawn_on(cpu, "spinner", LOW, spin, index)?);
        }
    }
    for _ in 0..free {
        let index = spinners.len();
        PROGRESS[index].store(0, Relaxed);
        spinners.push(thread::spawn(&Spec {
            name: "spinner",
            level: LOW,
            allowed: CpuSet::ALL,
            entry: spin,
            argument: index,
        })?);
    }
    thread::sleep(time);
    // A busy host may not have let every CPU run meanwhile.
    let patience = clock::now() + clock::ticks(PATIENCE);
    let all_ran = || {
        let count = spinners.len();
        let progress = PROGRESS[..count].iter().all(|spun| spun.load(Relaxed) > 0);
        let preempted = smp::all()
            .zip(&before)
            .all(|(cpu, before)| cpu.percpu().counters.preemptions(path) > *before);
        progress && preempted
    };
    while !clock::is_exact() && !all_ran() && clock::now() < patience {
        thread::sleep(time);
    }
    let ran_ticks: Vec<u64> = spinners
        .iter()
        .map(|spinner| spinner.thread().ran_ticks.load(Relaxed))
        .collect();
    STOP.store(true, Relaxed);
    let count = spinners.len();
    join_all(spinners);
    join_all(sleepers);

    let mut all = 0;
    for (cpu, before) in smp::all().zip(before) {
        let preempted = cpu.percpu().counters.preemptions(path) - before;
        ensure!(
            preempted > 0,
            "CPU {} never preempted on the way out of an interrupt ({} path)",
            cpu.index(),
            path.name()
        );
        all += preempted;
    }
    for (index, progress) in PROGRESS[..count].iter().enumerate() {
        ensure!(
            progress.load(Relaxed) > 0,
            "spinner {index} of {count} never ran"
        );
    }
    ensure!(SLEPT.load(Relaxed) > 0, "no sleeper woke");
    judge_times(&ran_ticks)?;
    Ok(all)
}

/// Times mean something on one exact CPU; elsewhere they are only told.
fn judge_times(ran_ticks: &[u64]) -> Result<(), Failure> {
    let (least, most) = ran_ticks.iter().fold((u64::MAX, 0), |(least, most), &ran| {
        (least.min(ran), most.max(ran))
    });
    let late = WORST_LATE_TICKS.load(Relaxed);
    say!(
        "  turns: {} spinners ran {} to {} us each, sleepers {} times, {} us late at worst",
        ran_ticks.len(),
        clock::micros(least),
        clock::micros(most),
        SLEPT.load(Relaxed),
        clock::micros(late)
    );
    if clock::is_exact() && smp::all().count() == 1 {
        let quantum = clock::ticks(QUANTUM) + clock::ticks(LATE);
        ensure!(
            most - least <= quantum,
            "equal threads ran from {} to {} us: more than a quantum apart",
            clock::micros(least),
            clock::micros(most)
        );
        ensure!(
            late <= clock::ticks(LATE),
            "a sleeper was {} ns late",
            clock::nanos(late)
        );
    }
    Ok(())
}

// Part 2: sections.

/// Who is in the section, and how many were.
static SECTION: Lock<(u32, u64), Preempt> = Lock::new((0, 0));
static SECTIONS: AtomicU64 = AtomicU64::new(0);

fn section(_: usize) {
    let me = thread::current().core.id();
    let percpu = here().percpu();
    for _ in 0..SECTIONS.load(Relaxed) {
        let mut inside = SECTION.lock();
        inside.0 = me;
        let switches = percpu.counters.of(Counter::Switches);
        let patience = clock::now() + clock::ticks(PATIENCE);
        while !thread::current().core.preempt.peek().1 {
            assert!(
                clock::now() < patience,
                "no tick asked for a switch in a section"
            );
        }
        expect_eq!(
            percpu.counters.of(Counter::Switches),
            switches,
            "a thread with preemption off was switched away from"
        );
        expect_eq!(inside.0, me, "two threads were in one section");
        inside.1 += 1;
        let before = percpu.counters.preemptions(Path::Thread);
        drop(inside);
        assert!(
            percpu.counters.preemptions(Path::Thread) > before,
            "the unlock did not make the switch that was asked for in the section"
        );
    }
}

fn hold_sections(sections: u64) -> Result<(), Failure> {
    STOP.store(false, Relaxed);
    SECTIONS.store(sections, Relaxed);
    SECTION.lock().1 = 0;
    let mut rivals: Vec<JoinHandle> = Vec::new();
    for cpu in smp::all() {
        rivals.push(spawn_on(cpu, "rival", LOW, spin, cpu.index())?);
    }
    on_each_cpu("section", LOW, section)?;
    STOP.store(true, Relaxed);
    join_all(rivals);
    let (held, due) = (SECTION.lock().1, sections * smp::all().count() as u64);
    ensure!(held == due, "{held} sections were held, not {due}");
    Ok(())
}

// Part 4: generations.

/// How many threads there are at once.
const BATCH: usize = 16;
static LIVED: AtomicU32 = AtomicU32::new(0);

fn live(_: usize) {
    expect_context(Context::Process);
    LIVED.fetch_add(1, Relaxed);
}

fn batch() -> Result<(), Failure> {
    let mut threads = Vec::with_capacity(BATCH);
    for number in 0..BATCH {
        threads.push(thread::spawn(&Spec {
            name: "short",
            // Some before and some after the one that makes them gives up its CPU.
            level: if number % 2 == 0 { LOW } else { HIGH },
            allowed: CpuSet::ALL,
            entry: live,
            argument: number,
        })?);
    }
    join_all(threads);
    Ok(())
}

fn come_and_go(generations: u64) -> Result<(), Failure> {
    LIVED.store(0, Relaxed);
    // The first generation makes the heap grow.
    batch()?;
    let before = unleaked_bytes();
    for _ in 0..generations {
        batch()?;
    }
    let left = left_since(before);
    ensure!(
        left == 0,
        "{generations} generations of threads left {left} bytes behind"
    );
    let due = (generations + 1) * BATCH as u64;
    let lived = u64::from(LIVED.load(Relaxed));
    ensure!(lived == due, "{lived} of {due} short threads ran");
    Ok(())
}
