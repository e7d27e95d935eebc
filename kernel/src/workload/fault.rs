//! Faults that preempt: the workload that finds the bug of Linux v6.18.
//!
//! There, a fault's exit switched threads with everything masked, and the next thread inherited the
//! masks. It takes a fault *whose handler wakes somebody*: otherwise the next tick preempts first, and
//! the bug hides. So each CPU has a thread that faults in a loop, and a partner of a higher level that
//! the fault handler wakes; the partner, after each wait, compares the CPU's masks with those of a
//! thread. It asks the hardware, not the kernel's own books.
//!
//! The kinds of faults take turns, and for each it is known which exit must preempt, so the sums are
//! exact: on the way out of the fault itself from `Process`; nowhere before the last guard is gone
//! where one is held; on the way out of the interrupt where an ordinary handler faults. All the while
//! NMIs rain, and some are sent at the worst moment: with the wake-up made and the preemption due.

use super::rain::Rain;
use super::support::{
    HIGH, LOW, ThreadSlot, ensure, expect_context, expect_eq, here, left_since, nothing_lost,
    on_each_cpu, ordinary_path, preemptions, spawn_on, total, unleaked_bytes,
};
use super::{Failure, Task};
use crate::fault::{self, SERVED};
use crate::irq::{self, Interrupt, Sgi, To};
use crate::mm::lazy;
use crate::{smp, thread};
use abi::path::Path;
use alloc::format;
use alloc::string::String;
use boot::args::Params;
use core::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use core::time::Duration;
use cpu::counters::Counter;
use cpu::guard::{IrqGuard, PreemptGuard};
use cpu::mask::Context;
use cpu::percpu::MAX_CPUS;
use entry::ExitLooks;

/// Where the fault is taken, and what its handler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// From `Process`: the fault's exit preempts.
    Plain,
    /// The same, and an NMI comes between the wake-up and the exit.
    NmiInHandler,
    /// The same, but an ordinary interrupt comes there: its exit preempts, and the fault's has
    /// nothing left to do.
    InterruptInHandler,
    /// Nobody is woken: nobody is preempted.
    WakesNobody,
    /// The handler itself sleeps, and goes on with the masks it had.
    HandlerSleeps,
    /// With preemption off: the guard's end preempts.
    Guarded,
    /// With interrupts held: the self-SGI's exit preempts.
    Held,
    /// In an ordinary interrupt handler: that interrupt's exit preempts.
    InInterrupt,
}

const KINDS: [Kind; 8] = [
    Kind::Plain,
    Kind::NmiInHandler,
    Kind::InterruptInHandler,
    Kind::WakesNobody,
    Kind::HandlerSleeps,
    Kind::Guarded,
    Kind::Held,
    Kind::InInterrupt,
];
/// No kind: a fault now is not this workload's.
const NONE: u8 = u8::MAX;

impl Kind {
    /// Whether the partner is woken.
    fn wakes(self) -> bool {
        !matches!(self, Self::WakesNobody | Self::HandlerSleeps)
    }

    /// Whether the fault's own exit is to preempt, if nothing else interrupts.
    fn preempts_on_exit(self) -> bool {
        matches!(self, Self::Plain | Self::NmiInHandler)
    }
}

/// How long a handler that sleeps does so.
const HANDLER_SLEEPS: Duration = Duration::from_micros(20);
/// Pages of the lazy region that a CPU faults on.
const PAGES: usize = 16;

const OVER: u64 = u64::MAX;
static ROUNDS: AtomicU64 = AtomicU64::new(0);
static KIND: [AtomicU8; MAX_CPUS] = [const { AtomicU8::new(NONE) }; MAX_CPUS];
static PARTNERS: [ThreadSlot; MAX_CPUS] = [const { ThreadSlot::new() }; MAX_CPUS];
/// Wake-ups asked for, and those that the partner has seen.
static ASKED: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];
static SEEN: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];
/// Fault exits that had to preempt, and those where an interrupt came first and did.
static DUE: AtomicU64 = AtomicU64::new(0);
static FORESTALLED: AtomicU64 = AtomicU64::new(0);
/// NMIs sent with a preemption due.
static NMIS_SENT: AtomicU64 = AtomicU64::new(0);

/// Runs the workload. Parameters: `rounds` of all kinds for each CPU, `nmi` the period of the rain
/// (0 for none).
///
/// # Errors
/// A sentence about what did not happen, or should not have.
pub(super) fn run(_: &Task, mut params: Params<'_>) -> Result<String, Failure> {
    let rounds = params.count("rounds", 250)?;
    let nmi = params.duration("nmi", Duration::from_micros(50))?;
    params.finish()?;
    ensure!(
        (1..=1_000_000).contains(&rounds),
        "rounds={rounds}: from 1 to 1000000"
    );
    ROUNDS.store(rounds, Relaxed);
    for counter in [&DUE, &FORESTALLED, &NMIS_SENT] {
        counter.store(0, Relaxed);
    }
    irq::set_handler(Sgi::Call.intid(), on_call, 0)?;
    irq::set_handler(Sgi::TestNmi.intid(), |_| {}, 0)?;
    let rain = match nmi {
        Duration::ZERO => None,
        period => Some(Rain::begin(period, |_| {})?),
    };
    fault::observe(Some(on_fault));
    // Once for the page tables, which stay.
    ROUNDS.store(PAGES as u64, Relaxed);
    on_each_cpu("faulter", LOW, fault_in_turns)?;
    ROUNDS.store(rounds, Relaxed);
    let before = Sums::now();
    let free_bytes = unleaked_bytes();
    on_each_cpu("faulter", LOW, fault_in_turns)?;
    let since = before.since();
    let left = left_since(free_bytes);
    fault::observe(None);
    let drops = rain.as_ref().map_or(0, Rain::drops);
    drop(rain);
    irq::clear_handler(Sgi::Call.intid())?;
    irq::clear_handler(Sgi::TestNmi.intid())?;

    nothing_lost()?;
    ensure!(left == 0, "faults on pages left {left} bytes behind");
    ensure!(nmi.is_zero() || drops > 0, "it never rained");
    since.judge(rounds * smp::all().count() as u64)?;
    Ok(format!(
        "fault on {}: {} aborts, {} undefined instructions, {} preempted on exit, {drops} {}",
        smp::up(),
        since.served[0],
        since.served[1],
        since.preempted,
        if irq::has_nmis() {
            "NMIs"
        } else {
            "interrupts (no NMIs: mask=daif)"
        }
    ))
}

/// What is counted over all CPUs.
struct Sums {
    preempted: u64,
    served: [u64; 2],
    due: u64,
    forestalled: u64,
    nmis_sent: u64,
    nmis_saw_resched: u64,
    exits: u64,
}

impl Sums {
    fn now() -> Self {
        Self {
            preempted: preemptions(Path::Fault),
            served: [0, 1].map(|kind: usize| SERVED[kind].load(Relaxed)),
            due: DUE.load(Relaxed),
            forestalled: FORESTALLED.load(Relaxed),
            nmis_sent: NMIS_SENT.load(Relaxed),
            nmis_saw_resched: total(Counter::NmiSawResched),
            exits: total(Counter::FaultExits),
        }
    }

    fn since(&self) -> Self {
        let now = Self::now();
        Self {
            preempted: now.preempted - self.preempted,
            served: [0, 1].map(|kind: usize| now.served[kind] - self.served[kind]),
            due: now.due - self.due,
            forestalled: now.forestalled - self.forestalled,
            nmis_sent: now.nmis_sent - self.nmis_sent,
            nmis_saw_resched: now.nmis_saw_resched - self.nmis_saw_resched,
            exits: now.exits - self.exits,
        }
    }

    /// After `rounds` of all kinds, summed over all CPUs.
    fn judge(&self, rounds: u64) -> Result<(), Failure> {
        let of_each = rounds;
        let all: u64 = self.served.iter().sum();
        ensure!(
            all == of_each * KINDS.len() as u64,
            "{all} faults were served, not {}",
            of_each * KINDS.len() as u64
        );
        ensure!(
            self.served[0] > 0 && self.served[1] > 0,
            "{} data aborts and {} undefined instructions: both are needed",
            self.served[0],
            self.served[1]
        );
        // Kinds `Held` and `InInterrupt` return to `NoIrq`.
        ensure!(
            self.exits == of_each * 6,
            "{} faults returned to Process, not {}",
            self.exits,
            of_each * 6
        );
        ensure!(
            self.due == of_each * 2,
            "{} fault exits were to preempt, not {}",
            self.due,
            of_each * 2
        );
        ensure!(
            self.preempted > 0 && self.preempted + self.forestalled == self.due,
            "of {} fault exits that were to preempt, {} did, and interrupts did for {}",
            self.due,
            self.preempted,
            self.forestalled
        );
        ensure!(
            !irq::has_nmis() || self.nmis_saw_resched >= self.nmis_sent && self.nmis_sent > 0,
            "of {} NMIs sent with a preemption due, {} saw one",
            self.nmis_sent,
            self.nmis_saw_resched
        );
        Ok(())
    }
}

/// The partner: sees each wake-up once, with the masks of a thread.
fn partner(cpu: usize) {
    let (asked, seen) = (&ASKED[cpu], &SEEN[cpu]);
    loop {
        thread::wait_until(|| asked.load(Acquire) != seen.load(Relaxed));
        expect_context(Context::Process);
        if asked.load(Relaxed) == OVER {
            return;
        }
        seen.store(asked.load(Relaxed), Release);
    }
}

/// Called at the end of each fault.
fn on_fault(exit: Option<&ExitLooks<'_>>) {
    // Only threads that stay on their CPU fault.
    let cpu = here();
    let index = cpu.index();
    let Some(&kind) = KINDS.get(usize::from(KIND[index].load(Relaxed))) else {
        return;
    };
    if let Kind::HandlerSleeps = kind {
        thread::sleep(HANDLER_SLEEPS);
        expect_context(Context::Process);
        return;
    }
    let (true, Some(partner)) = (kind.wakes(), PARTNERS[index].get()) else {
        return;
    };
    ASKED[index].fetch_add(1, Release);
    match exit {
        Some(exit) => {
            expect_context(Context::Process);
            thread::wake_on_exit(partner, exit);
        }
        None => {
            expect_context(Context::NoIrq);
            thread::wake(partner);
        }
    }
    match kind {
        // An interrupt may have come first; the NMI sees what is left.
        Kind::NmiInHandler if irq::has_nmis() && thread::current().core.preempt.peek().1 => {
            NMIS_SENT.fetch_add(1, Relaxed);
            irq::send(Sgi::TestNmi, To::Cpu(cpu.percpu()));
        }
        Kind::InterruptInHandler => irq::send(Sgi::Call, To::Cpu(cpu.percpu())),
        _ => {}
    }
}

/// The ordinary handler: faults if that is its turn.
fn on_call(interrupt: &Interrupt<'_>) {
    let index = interrupt.cpu.index();
    if KIND[index].load(Relaxed) == Kind::InInterrupt as u8 {
        expect_context(Context::NoIrq);
        take_fault(index);
        expect_context(Context::NoIrq);
    }
}

/// Data aborts and undefined instructions take turns.
fn take_fault(cpu: usize) {
    let round = TURN[cpu].fetch_add(1, Relaxed) as usize;
    // Twice as slow as the kinds: each kind gets both.
    if (round / KINDS.len()).is_multiple_of(2) {
        let page = (cpu * PAGES + round % PAGES) as u64;
        let address = lazy::address(page) as *mut u64;
        // SAFETY: the fault handler maps the page; it is this CPU's.
        unsafe { address.write_volatile(round as u64) };
        // SAFETY: as above.
        let found = unsafe { address.read_volatile() };
        expect_eq!(found, round as u64, "a page that appeared lost a store");
        lazy::release(page);
    } else {
        // SAFETY: `fault::UNDEFINED`, which the fault handler skips.
        unsafe {
            core::arch::asm!("udf #{word}", word = const fault::UNDEFINED,
                options(nomem, nostack, preserves_flags));
        }
    }
}

static TURN: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

/// Takes one fault of that kind, with the guards it is about. The partner must not have run before the
/// last of them is gone.
fn take(kind: Kind, cpu: usize) {
    let asleep = SEEN[cpu].load(Relaxed);
    let still = || {
        let seen = SEEN[cpu].load(Relaxed);
        expect_eq!(seen, asleep, "the woken thread ran too early ({kind:?})");
    };
    match kind {
        Kind::Guarded => {
            let _guarded = PreemptGuard::new();
            take_fault(cpu);
            still();
        }
        Kind::Held => {
            let _held = IrqGuard::new();
            take_fault(cpu);
            expect_context(Context::NoIrq);
            still();
        }
        Kind::InInterrupt => irq::send(Sgi::Call, To::Cpu(here().percpu())),
        _ => take_fault(cpu),
    }
}

fn fault_in_turns(cpu: usize) {
    for cell in [&ASKED[cpu], &SEEN[cpu], &TURN[cpu]] {
        cell.store(0, Relaxed);
    }
    let handle = match spawn_on(here(), "partner", HIGH, partner, cpu) {
        Ok(handle) => handle,
        Err(error) => panic!("{error}"),
    };
    PARTNERS[cpu].set(Some(handle.waker()));
    let counters = &here().percpu().counters;
    for round in 0..ROUNDS.load(Relaxed) * KINDS.len() as u64 {
        let kind = KINDS[round as usize % KINDS.len()];
        let of_fault = counters.preemptions(Path::Fault);
        let of_others = counters.preemptions(ordinary_path());
        KIND[cpu].store(kind as u8, Relaxed);
        take(kind, cpu);
        KIND[cpu].store(NONE, Relaxed);
        expect_context(Context::Process);
        expect_eq!(
            SEEN[cpu].load(Acquire),
            ASKED[cpu].load(Relaxed),
            "the thread that a fault woke did not run ({kind:?})"
        );
        let of_fault = counters.preemptions(Path::Fault) - of_fault;
        let of_others = counters.preemptions(ordinary_path()) - of_others;
        if kind.preempts_on_exit() {
            DUE.fetch_add(1, Relaxed);
            // An interrupt may have come after the wake-up and before the exit.
            let forestalled = of_fault == 0 && of_others > 0;
            assert!(
                of_fault == 1 || forestalled,
                "a fault's exit preempted {of_fault} times, not once ({kind:?})"
            );
            FORESTALLED.fetch_add(u64::from(forestalled), Relaxed);
        } else {
            expect_eq!(of_fault, 0, "a fault's exit preempted ({kind:?})");
        }
    }
    ASKED[cpu].store(OVER, Release);
    if let Some(partner) = PARTNERS[cpu].get() {
        thread::wake(partner);
    }
    PARTNERS[cpu].set(None);
    handle.join();
}
