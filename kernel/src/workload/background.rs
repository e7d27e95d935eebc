//! `rain=on`: NMIs over user space, from before its first instruction until the verdict.
//!
//! Whatever runs at EL0 can so be run under a storm as well, unchanged. The rain counts what it hit, on each
//! CPU, at EL0 and in the kernel; a verdict under a rain that fell nowhere would prove nothing, and is a failure.
//! With `mask=daif` there are no NMIs, and it rains ordinary interrupts.

use super::Failure;
use super::rain::Rain;
use crate::irq::Interrupt;
use crate::{say, smp};
use core::fmt;
use core::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use core::time::Duration;
use cpu::counters::Counter;
use cpu::percpu::MAX_CPUS;

/// Between two drops on a CPU.
const PERIOD: Duration = Duration::from_micros(100);

/// How many drops in a row may find a program at work while another thread is to run: the interrupt that says
/// so may be on its way, on a host that is busy for long.
const PATIENCE: u64 = 200;

/// Where an exception came from, in SPSR: 0 is EL0.
const EL_AND_SP: u64 = 0b1111;

static BEGUN: AtomicBool = AtomicBool::new(false);
static FALLEN: [Fallen; MAX_CPUS] = [const { Fallen::nothing() }; MAX_CPUS];

/// Drops on one CPU, by what they hit.
struct Fallen {
    on_el0: AtomicU64,
    on_the_kernel: AtomicU64,
    /// How many NMI exits have seen need_resched on this CPU, as of the last drop.
    saw_resched: AtomicU64,
    /// How many drops in a row hit this CPU while another thread should have run.
    overdue: AtomicU64,
}

impl Fallen {
    const fn nothing() -> Self {
        Self {
            on_el0: AtomicU64::new(0),
            on_the_kernel: AtomicU64::new(0),
            saw_resched: AtomicU64::new(0),
            overdue: AtomicU64::new(0),
        }
    }
}

/// Has it rain on all CPUs from now on. Once. `Process`.
///
/// # Errors
/// Out of memory; no free timer.
pub(crate) fn begin() -> Result<(), Failure> {
    let rain = Rain::begin(PERIOD, look)?;
    // Nothing ends it but the end of the machine.
    core::mem::forget(rain);
    BEGUN.store(true, Release);
    Ok(())
}

/// Whether it rains.
pub(crate) fn is_raining() -> bool {
    BEGUN.load(Acquire)
}

/// Counts a drop, and looks whether a program is in the way of others: ordinary interrupts are open at EL0,
/// so nothing that wants the CPU waits there for long.
fn look(interrupt: &Interrupt<'_>) {
    let fallen = &FALLEN[interrupt.cpu.index()];
    let frame = interrupt.frame;
    if frame.spsr & EL_AND_SP == 0 && !frame.is_el0() {
        panic!(
            "a program runs with PMR {:#x}, SPSR {:#x}: it holds ordinary interrupts off",
            frame.pmr, frame.spsr
        );
    }
    let saw = interrupt.cpu.percpu().counters.of(Counter::NmiSawResched);
    if saw != fallen.saw_resched.swap(saw, Relaxed) {
        if fallen.overdue.fetch_add(1, Relaxed) > PATIENCE {
            panic!(
                "a program runs on, although another thread is to run: {PATIENCE} NMIs have seen it"
            );
        }
    } else {
        fallen.overdue.store(0, Relaxed);
    }
    let hit = match interrupt.frame.is_el0() {
        true => &fallen.on_el0,
        false => &fallen.on_the_kernel,
    };
    hit.fetch_add(1, Relaxed);
}

/// Says what fell, if it was to rain. On any CPU, in any context.
///
/// # Errors
/// A CPU on which nothing fell: the run was too short to prove anything.
pub(crate) fn report() -> Result<(), Dry> {
    if !BEGUN.load(Acquire) {
        return Ok(());
    }
    let (mut on_el0, mut on_the_kernel) = (0, 0);
    let mut dry = None;
    for cpu in smp::all() {
        let fallen = &FALLEN[cpu.index()];
        let here = [&fallen.on_el0, &fallen.on_the_kernel].map(|count| count.load(Relaxed));
        if here == [0, 0] {
            dry = dry.or(Some(cpu.index()));
        }
        on_el0 += here[0];
        on_the_kernel += here[1];
    }
    say!(
        "rain on {}: {on_el0} hit EL0, {on_the_kernel} the kernel",
        smp::up()
    );
    match dry {
        Some(cpu) => Err(Dry { cpu }),
        None => Ok(()),
    }
}

/// It did not rain on a CPU.
pub(crate) struct Dry {
    cpu: usize,
}

impl fmt::Display for Dry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "vacuous: rain=on, but it rained nothing on CPU {}",
            self.cpu
        )
    }
}
