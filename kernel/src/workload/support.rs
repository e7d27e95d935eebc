//! What the workloads share: sums over CPUs, threads that stay on one CPU, the check of a thread's
//! own masks.
//!
//! A workload's threads do not return errors: what they see is wrong at that instant, so they panic,
//! and the report shows the path that led there. What only sums can tell, the workload's main thread
//! judges at the end and says in one sentence.

use super::Failure;
use crate::mm::{frames, heap, stacks};
use crate::object::reclaim;
use crate::smp::{self, Cpu};
use crate::thread::{self, JoinHandle, SpawnError, Spec, Thread};
use crate::{clock, irq};
use abi::path::Path;
use alloc::vec::Vec;
use core::sync::atomic::{
    AtomicPtr,
    Ordering::{Acquire, Release},
};
use core::time::Duration;
use cpu::counters::Counter;
use cpu::hw::switch::masks;
use cpu::mask::Context;
use drivers::gicv3::Group;
use sched::{CpuSet, Level};

/// Fails the workload with that sentence unless `$condition` holds.
macro_rules! ensure {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::workload::Failure::new(format_args!($($why)+)));
        }
    };
}
pub(in crate::workload) use ensure;

/// Stops unless both are equal. As `assert_eq!`, but what it says is one line: a verdict is.
macro_rules! expect_eq {
    ($found:expr, $expected:expr, $($what:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => {
                if found != expected {
                    panic!("{}: {found:?}, not {expected:?}", format_args!($($what)+));
                }
            }
        }
    };
}
pub(in crate::workload) use expect_eq;

/// How long a thread may take to go after it has said that it ended.
const GONE: Duration = Duration::from_millis(200);

/// The level of threads that a workload's busy work is done at.
pub(in crate::workload) const LOW: Level = level(4);
/// The level of threads that are to preempt those.
pub(in crate::workload) const HIGH: Level = level(12);

const fn level(number: u8) -> Level {
    match Level::new(number) {
        Some(level) => level,
        None => panic!("there are 32 levels"),
    }
}

/// `counter`, summed over all CPUs.
pub(in crate::workload) fn total(counter: Counter) -> u64 {
    smp::all()
        .map(|cpu| cpu.percpu().counters.of(counter))
        .sum()
}

/// Preemptions on the way out of `path`, summed over all CPUs.
pub(in crate::workload) fn preemptions(path: Path) -> u64 {
    smp::all()
        .map(|cpu| cpu.percpu().counters.preemptions(path))
        .sum()
}

/// The path that ordinary interrupts come by.
pub(in crate::workload) fn ordinary_path() -> Path {
    match irq::setup().groups.ordinary {
        Group::Zero => Path::Fiq,
        Group::One => Path::Irq,
    }
}

/// Bytes of RAM that are free, in the heap as well, or kept as stacks for the next thread: what a leak
/// makes less. What waits for its last readers is freed first. In a thread, in `Process`.
pub(in crate::workload) fn unleaked_bytes() -> u64 {
    reclaim::catch_up();
    let stacks = stacks::area();
    // Half of the area is guards.
    let stack_bytes = (stacks.end - stacks.start) / 2;
    frames::usage().0 + stack_bytes + heap::grown_bytes() - heap::used_bytes()
}

/// How many bytes more or less are free than `before`, when the threads that were joined are all gone.
pub(in crate::workload) fn left_since(before: u64) -> u64 {
    let deadline = clock::now() + clock::ticks(GONE);
    loop {
        let left = before.abs_diff(unleaked_bytes());
        if left == 0 || clock::now() > deadline {
            return left;
        }
        thread::sleep(GONE / 100);
    }
}

/// The state in which a machine must be after any workload: nothing lost, nothing unexpected.
///
/// # Errors
/// Says what was lost.
pub(in crate::workload) fn nothing_lost() -> Result<(), Failure> {
    let lost = total(Counter::PreemptionLost);
    ensure!(lost == 0, "{lost} eligible preemptions were not made");
    let unexpected = irq::unexpected_count();
    ensure!(
        unexpected == 0,
        "{unexpected} interrupts came that nobody handles"
    );
    Ok(())
}

/// Stops unless this code runs with exactly the masks of `context`.
#[inline(always)]
#[track_caller]
pub(in crate::workload) fn expect_context(context: Context) {
    let (found, expected) = (masks(), context.state(irq::setup().mechanism));
    if found != expected {
        panic!(
            "thread {} runs with masks {found}, not with those of {context:?}, {expected}",
            thread::current().name()
        );
    }
}

/// This CPU, for a thread that was spawned to stay on one.
pub(in crate::workload) fn here() -> &'static Cpu {
    match smp::try_this() {
        Some(cpu) => cpu,
        None => unreachable!("a thread runs on a CPU"),
    }
}

/// Makes a thread that stays on `cpu`.
///
/// # Errors
/// Those of [`thread::spawn`].
pub(in crate::workload) fn spawn_on(
    cpu: &'static Cpu,
    name: &str,
    level: Level,
    entry: fn(usize),
    argument: usize,
) -> Result<JoinHandle, SpawnError> {
    thread::spawn(&Spec {
        name,
        level,
        allowed: CpuSet::only(cpu.id()),
        entry,
        argument,
    })
}

/// Makes a thread on each CPU, which gets the CPU's number, and waits for their ends.
///
/// # Errors
/// Those of [`thread::spawn`]; the threads made until then go on.
pub(in crate::workload) fn on_each_cpu(
    name: &str,
    level: Level,
    entry: fn(usize),
) -> Result<(), SpawnError> {
    let mut threads = Vec::new();
    for cpu in smp::all() {
        threads.push(spawn_on(cpu, name, level, entry, cpu.index())?);
    }
    join_all(threads);
    Ok(())
}

/// Waits for the ends of all of them.
pub(in crate::workload) fn join_all(threads: Vec<JoinHandle>) {
    for thread in threads {
        thread.join();
    }
}

/// A place where handlers find a thread. Whoever sets it empties it before the thread is joined.
pub(in crate::workload) struct ThreadSlot(AtomicPtr<Thread>);

impl ThreadSlot {
    /// Nobody.
    pub(in crate::workload) const fn new() -> Self {
        Self(AtomicPtr::new(core::ptr::null_mut()))
    }

    /// Has `thread` found here from now on; `None`: nobody.
    pub(in crate::workload) fn set(&self, thread: Option<&'static Thread>) {
        let thread = thread.map_or(core::ptr::null_mut(), |thread| {
            core::ptr::from_ref(thread).cast_mut()
        });
        self.0.store(thread, Release);
    }

    /// Who is here.
    pub(in crate::workload) fn get(&self) -> Option<&'static Thread> {
        // SAFETY: `set` stored a `&'static Thread`, and is called again before that thread ends.
        unsafe { self.0.load(Acquire).as_ref() }
    }
}
