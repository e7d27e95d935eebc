//! Wake-ups in each state that a thread can be in: the third part of `preempt`.

use super::super::Failure;
use super::super::support::{
    HIGH, LOW, ThreadSlot, ensure, expect_context, expect_eq, here, on_each_cpu, ordinary_path,
    preemptions, spawn_on, total,
};
use crate::irq::{self, Interrupt, Sgi, To};
use crate::object::reclaim;
use crate::{smp, thread};
use abi::path::Path;
use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use cpu::counters::Counter;
use cpu::guard::{IrqGuard, PreemptGuard};
use cpu::mask::Context;
use cpu::percpu::MAX_CPUS;

/// How a thread is woken, and by which way out the waker is then preempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In `Process`.
    Plain,
    /// With interrupts held.
    Held,
    /// With preemption off.
    Guarded,
    /// With interrupts held; preemption is off for a while inside.
    GuardedInHeld,
    /// With preemption off; interrupts are held for a while inside.
    HeldInGuarded,
    /// By the handler of an interrupt.
    Handler,
}

/// All of them.
pub(super) const WAYS: [Way; 6] = [
    Way::Plain,
    Way::Held,
    Way::Guarded,
    Way::GuardedInHeld,
    Way::HeldInGuarded,
    Way::Handler,
];

impl Way {
    /// Self-SGIs that it takes.
    fn self_sgis(self) -> u64 {
        u64::from(matches!(self, Self::Held | Self::GuardedInHeld))
    }

    /// Where the preemption is made if nothing else interrupts.
    fn path(self) -> Path {
        match self {
            Self::Plain | Self::Guarded | Self::HeldInGuarded => Path::Thread,
            Self::Held | Self::GuardedInHeld | Self::Handler => ordinary_path(),
        }
    }
}

const OVER: u64 = u64::MAX;
static WAKES: AtomicU64 = AtomicU64::new(0);
static ASKED: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];
static RAN: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];
static WAITERS: [ThreadSlot; MAX_CPUS] = [const { ThreadSlot::new() }; MAX_CPUS];

/// Runs once for each time it is asked to.
fn wait(cpu: usize) {
    let (asked, ran) = (&ASKED[cpu], &RAN[cpu]);
    loop {
        thread::wait_until(|| asked.load(Acquire) != ran.load(Relaxed));
        expect_context(Context::Process);
        if asked.load(Relaxed) == OVER {
            return;
        }
        ran.store(asked.load(Relaxed), Release);
    }
}

fn wake_waiter(cpu: usize) {
    if let Some(waiter) = WAITERS[cpu].get() {
        thread::wake(waiter);
    }
}

fn on_call(interrupt: &Interrupt<'_>) {
    let cpu = interrupt.cpu.index();
    let ran = RAN[cpu].load(Relaxed);
    wake_waiter(cpu);
    expect_eq!(
        RAN[cpu].load(Relaxed),
        ran,
        "a thread ran inside an interrupt handler"
    );
}

/// Wakes the waiter of this CPU in that way. It must not run before the last guard is gone.
fn wake_by(way: Way, cpu: usize) {
    let asleep = RAN[cpu].load(Relaxed);
    let still = || {
        let ran = RAN[cpu].load(Relaxed);
        expect_eq!(ran, asleep, "the woken thread ran too early ({way:?})");
    };
    match way {
        Way::Plain => wake_waiter(cpu),
        Way::Held => {
            let _held = IrqGuard::new();
            wake_waiter(cpu);
            still();
        }
        Way::Guarded => {
            let _guarded = PreemptGuard::new();
            wake_waiter(cpu);
            still();
        }
        Way::GuardedInHeld => {
            let _held = IrqGuard::new();
            let guarded = PreemptGuard::new();
            wake_waiter(cpu);
            still();
            drop(guarded);
            still();
        }
        Way::HeldInGuarded => {
            let _guarded = PreemptGuard::new();
            let held = IrqGuard::new();
            wake_waiter(cpu);
            still();
            drop(held);
            still();
        }
        Way::Handler => irq::send(Sgi::Call, To::Cpu(here().percpu())),
    }
}

fn wake_all_ways(cpu: usize) {
    ASKED[cpu].store(0, Relaxed);
    RAN[cpu].store(0, Relaxed);
    let waiter = match spawn_on(here(), "waiter", HIGH, wait, cpu) {
        Ok(waiter) => waiter,
        Err(error) => panic!("{error}"),
    };
    WAITERS[cpu].set(Some(waiter.waker()));
    let counters = &here().percpu().counters;
    let seen = |path: Path| {
        let sgis = counters.of(Counter::SelfSgis);
        let ways_out = [Path::Thread, Path::Irq, Path::Fiq];
        let all: u64 = ways_out.map(|path| counters.preemptions(path)).iter().sum();
        (sgis, all, counters.preemptions(path))
    };
    for round in 1..=WAKES.load(Relaxed) * WAYS.len() as u64 {
        let way = WAYS[round as usize % WAYS.len()];
        let (sgis, all, expected) = seen(way.path());
        ASKED[cpu].store(round, Release);
        wake_by(way, cpu);
        expect_eq!(
            RAN[cpu].load(Acquire),
            round,
            "the woken thread did not run at once ({way:?})"
        );
        let (sgis_after, all_after, expected_after) = seen(way.path());
        expect_eq!(
            sgis_after - sgis,
            way.self_sgis(),
            "wrong number of self-SGIs ({way:?})"
        );
        // Another CPU's interrupt may have come just before the place meant, and have done it; or for
        // the sake of the thread that waits for us all.
        let alone = smp::all().count() == 1;
        let preempted = all_after - all;
        assert!(
            preempted == 1 || !alone && preempted > 0,
            "a wake-up took {preempted} preemptions, not one ({way:?})"
        );
        if alone {
            expect_eq!(
                expected_after - expected,
                1,
                "the preemption was not made on the {} path ({way:?})",
                way.path().name()
            );
        }
    }
    ASKED[cpu].store(OVER, Release);
    wake_waiter(cpu);
    WAITERS[cpu].set(None);
    waiter.join();
}

/// Runs the part, each way so many times on each CPU.
///
/// # Errors
/// A way that nothing took.
pub(super) fn run(wakes: u64) -> Result<(), Failure> {
    WAKES.store(wakes, Relaxed);
    // The threads that ran before have ended; who frees them would preempt, too.
    reclaim::settle();
    irq::set_handler(Sgi::Call.intid(), on_call, 0)?;
    let (sgis, unlocked) = (total(Counter::SelfSgis), preemptions(Path::Thread));
    on_each_cpu("waker", LOW, wake_all_ways)?;
    irq::clear_handler(Sgi::Call.intid())?;
    ensure!(
        total(Counter::SelfSgis) > sgis,
        "no wake-up with interrupts held raised a self-SGI"
    );
    ensure!(
        preemptions(Path::Thread) > unlocked,
        "no wake-up or preempt_enable preempted on the spot"
    );
    Ok(())
}
