//! Idle CPUs sleep, and nothing that should wake them is lost.
//!
//! Two mistakes are old. A wait with PMR off does not end for an ordinary interrupt: the CPU sleeps
//! past its tick until something else comes. And a wake-up that falls between the last look at
//! need_resched and the wait is slept over. Neither fails; both hang. So this workload has a
//! **watchdog**: the free timer's NMI, which ends any wait and is taken with PMR off, too. It looks at
//! the GIC whether an ordinary interrupt is pending for this CPU while it idles. If one was at several
//! looks in a row, it was the looks that ended the waits, and it says so and stops.
//!
//! 1. **Sleep.** All CPUs idle for a while: there must be no more waits than interrupts.
//! 2. **Ticks around the entry to idle.** A thread sleeps until *now* plus k, for each k in a range
//!    that begins before the idle loop is entered and ends behind its wait. On an exact clock that
//!    puts the tick on every instruction in between, and the wake-up must be on time.
//! 3. **NMIs around the entry to idle.** The same with the NMI, whose handler sends the ordinary
//!    interrupt whose handler wakes the thread: it lands where ordinary ones cannot, with PMR off on
//!    the way to the wait.
//! 4. **Other CPUs.** A thread wakes one on an idle CPU, and is woken by it.

use super::rain::Rain;
use super::support::{LOW, ThreadSlot, ensure, here, nothing_lost, on_each_cpu, spawn_on};
use super::{Failure, Task};
use crate::irq::{self, Interrupt, Sgi, To};
use crate::smp::{self, Cpu};
use crate::{clock, say, thread};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use boot::args::Params;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use core::time::Duration;
use cpu::counters::Counter;
use cpu::hw::gic;
use cpu::machine::Group;
use cpu::percpu::MAX_CPUS;
use drivers::timer::Ticks;

/// How late a wake-up may be on one exact CPU.
const LATE: Duration = Duration::from_micros(50);

/// Runs the workload. Parameters: `time` of part 1, `sweep` the largest k, in ticks, `rounds` of
/// part 4, `watchdog` its period.
///
/// # Errors
/// A sentence about what did not happen, or should not have.
pub(super) fn run(_: &Task, mut params: Params<'_>) -> Result<String, Failure> {
    let time = params.duration("time", Duration::from_millis(50))?;
    let sweep = params.count("sweep", 1500)?;
    let rounds = params.count("rounds", 100)?;
    let watchdog = params.duration("watchdog", Duration::from_millis(5))?;
    params.finish()?;
    ensure!(
        !watchdog.is_zero(),
        "watchdog=0: a hang would only be a hang"
    );
    ensure!(sweep > 0, "sweep=0: nothing would be tested");
    SWEEP.store(sweep, Relaxed);
    for cell in [&WORST_LATE_TICKS, &SLEPT, &AWAKE, &SHOTS] {
        cell.store(0, Relaxed);
    }
    irq::set_handler(Sgi::Call.intid(), on_call, 0)?;
    let rain = Rain::begin(watchdog, look)?;
    let waits = sleep(time)?;
    on_each_cpu("tick-sweep", LOW, sweep_ticks)?;
    judge_sweep("tick", sweep)?;
    SLEPT.store(0, Relaxed);
    AWAKE.store(0, Relaxed);
    on_each_cpu("nmi-sweep", LOW, sweep_nmis)?;
    judge_sweep("NMI", sweep)?;
    let shots = SHOTS.load(Relaxed);
    ensure!(shots > 0, "no NMI was aimed at the entry to idle");
    let woken = wake_others(rounds)?;
    let looks = rain.drops();
    drop(rain);
    irq::clear_handler(Sgi::Call.intid())?;
    nothing_lost()?;
    ensure!(looks > 0, "the watchdog never looked");
    let late = WORST_LATE_TICKS.load(Relaxed);
    if clock::is_exact() && smp::all().count() == 1 {
        ensure!(
            late <= clock::ticks(LATE),
            "a wake-up from idle was {} ns late",
            clock::nanos(late)
        );
    }
    let cpus = smp::all().count();
    Ok(format!(
        "idle on {}: {waits} waits in {} ms, {} ticks and {shots} NMIs at its door, {woken} \
         remote wake-ups, {looks} looks",
        smp::up(),
        time.as_millis(),
        (sweep + 1) * cpus as u64,
    ))
}

// The watchdog.

/// At so many looks in a row an interrupt must be pending on an idle CPU, if the clock is exact: one
/// look may fall between the interrupt and its being taken.
const STRIKES: u32 = 4;
/// The same, if it is not. A host that has no time for a CPU makes tick and watchdog come together when
/// it has; but then the CPU sleeps well most of the times, and not only when it was looked at.
const STRIKES_FREE: u32 = 300;
static STRUCK: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];

/// Looks whether this CPU sleeps over an interrupt. Then fires the shot that part 3 has loaded.
fn look(interrupt: &Interrupt<'_>) {
    let cpu = interrupt.cpu;
    let index = cpu.index();
    let group = match irq::setup().groups.ordinary {
        drivers::gicv3::Group::Zero => Group::Zero,
        drivers::gicv3::Group::One => Group::One,
    };
    let pending = gic::highest_pending(group);
    let is_idle = core::ptr::eq(thread::current(), cpu.idle);
    if is_idle && gic::is_interrupt(pending) {
        let strikes = STRUCK[index].fetch_add(1, Relaxed) + 1;
        let enough = if clock::is_exact() && smp::all().count() == 1 {
            STRIKES
        } else {
            STRIKES_FREE
        };
        if strikes >= enough {
            panic!(
                "CPU {index} sleeps in idle over pending interrupts: {pending} is, at look {strikes} \
                 of the watchdog in a row"
            );
        }
    } else {
        STRUCK[index].store(0, Relaxed);
    }
    if LOADED[index].swap(false, Relaxed) {
        irq::send(Sgi::Call, To::Cpu(cpu.percpu()));
    }
}

// Part 1: sleep.

fn waits_and_interrupts(cpu: &Cpu) -> (u64, u64) {
    let counters = &cpu.percpu().counters;
    (
        counters.of(Counter::Waits),
        counters.of(Counter::Acknowledged),
    )
}

/// Gives how often a CPU began to wait.
fn sleep(time: Duration) -> Result<u64, Failure> {
    let before: Vec<(u64, u64)> = smp::all().map(waits_and_interrupts).collect();
    thread::sleep(time);
    let mut all = 0;
    for (cpu, before) in smp::all().zip(before) {
        let after = waits_and_interrupts(cpu);
        let (waits, interrupts) = (after.0 - before.0, after.1 - before.1);
        // One when the last thread blocks, one after each interrupt.
        ensure!(
            waits <= interrupts + 1,
            "CPU {} did not sleep: {waits} waits, {interrupts} interrupts",
            cpu.index()
        );
        all += waits;
    }
    ensure!(all > 0, "no CPU ever waited");
    Ok(all)
}

// Parts 2 and 3: around the entry to idle.

static SWEEP: AtomicU64 = AtomicU64::new(0);
static WORST_LATE_TICKS: AtomicU64 = AtomicU64::new(0);
/// Sleeps that got to the wait, and those that did not.
static SLEPT: AtomicU64 = AtomicU64::new(0);
static AWAKE: AtomicU64 = AtomicU64::new(0);

/// Counts a sleep that ended, and how late.
fn woke(cpu: &Cpu, waits_before: u64, due: u64) {
    let late = clock::now().saturating_sub(due);
    WORST_LATE_TICKS.fetch_max(late, Relaxed);
    let slept = cpu.percpu().counters.of(Counter::Waits) != waits_before;
    let counter = if slept { &SLEPT } else { &AWAKE };
    counter.fetch_add(1, Relaxed);
}

fn sweep_ticks(_: usize) {
    let cpu = here();
    for k in 0..=SWEEP.load(Relaxed) {
        let waits = cpu.percpu().counters.of(Counter::Waits);
        let due = clock::now() + k;
        thread::sleep_until(due);
        assert!(clock::now() >= due, "a sleeper woke early");
        woke(cpu, waits, due);
    }
}

fn judge_sweep(what: &str, sweep: u64) -> Result<(), Failure> {
    let (slept, awake) = (SLEPT.load(Relaxed), AWAKE.load(Relaxed));
    say!(
        "  {what} sweep: {slept} waits entered, {awake} not, {} ns late at worst",
        clock::nanos(WORST_LATE_TICKS.load(Relaxed))
    );
    if clock::is_exact() && smp::all().count() == 1 {
        ensure!(
            slept > 0 && awake > 0,
            "sweep={sweep}: the {what} never fell on both sides of the wait"
        );
    }
    Ok(())
}

static LOADED: [AtomicBool; MAX_CPUS] = [const { AtomicBool::new(false) }; MAX_CPUS];
static FIRED: [AtomicBool; MAX_CPUS] = [const { AtomicBool::new(false) }; MAX_CPUS];
static SWEEPERS: [ThreadSlot; MAX_CPUS] = [const { ThreadSlot::new() }; MAX_CPUS];
static SHOTS: AtomicU64 = AtomicU64::new(0);

fn on_call(interrupt: &Interrupt<'_>) {
    let cpu = interrupt.cpu.index();
    FIRED[cpu].store(true, Release);
    if let Some(sweeper) = SWEEPERS[cpu].get() {
        thread::wake(sweeper);
    }
}

fn sweep_nmis(index: usize) {
    let (cpu, timer) = (here(), clock::free_timer());
    let Some(timer) = timer else { return };
    let me = thread::TABLE.get(thread::current().id());
    SWEEPERS[index].set(Some(me));
    for k in 0..=SWEEP.load(Relaxed) {
        let waits = cpu.percpu().counters.of(Counter::Waits);
        FIRED[index].store(false, Relaxed);
        LOADED[index].store(true, Relaxed);
        let due = clock::now() + k;
        // The watchdog's next look comes then; it arms itself anew.
        timer.arm_at(Ticks(timer.now().0 + k));
        thread::wait_until(|| FIRED[index].load(Acquire));
        woke(cpu, waits, due);
        SHOTS.fetch_add(1, Relaxed);
    }
    SWEEPERS[index].set(None);
}

// Part 4: other CPUs.

/// Long enough for a CPU to go idle.
const REST: Duration = Duration::from_micros(100);
static ASKED: AtomicU64 = AtomicU64::new(0);
static ANSWERED: AtomicU64 = AtomicU64::new(0);
static ROUNDS: AtomicU64 = AtomicU64::new(0);
static ASKER: ThreadSlot = ThreadSlot::new();
static ANSWERER: ThreadSlot = ThreadSlot::new();

fn ask(_: usize) {
    thread::wait_until(|| ANSWERER.get().is_some());
    for round in 1..=ROUNDS.load(Relaxed) {
        thread::sleep(REST);
        ASKED.store(round, Release);
        if let Some(answerer) = ANSWERER.get() {
            thread::wake(answerer);
        }
        thread::wait_until(|| ANSWERED.load(Acquire) == round);
    }
}

fn answer(_: usize) {
    for round in 1..=ROUNDS.load(Relaxed) {
        thread::wait_until(|| ASKED.load(Acquire) == round);
        ANSWERED.store(round, Release);
        if let Some(asker) = ASKER.get() {
            thread::wake(asker);
        }
    }
}

/// Has each CPU wake the next one, which is idle. Gives how often.
fn wake_others(rounds: u64) -> Result<u64, Failure> {
    let cpus = smp::all().count();
    if cpus < 2 {
        return Ok(0);
    }
    ROUNDS.store(rounds, Relaxed);
    for cpu in smp::all() {
        let Some(next) = smp::get((cpu.index() + 1) % cpus) else {
            continue;
        };
        ASKED.store(0, Relaxed);
        ANSWERED.store(0, Relaxed);
        let waits = next.percpu().counters.of(Counter::Waits);
        let asker = spawn_on(cpu, "asker", LOW, ask, 0)?;
        ASKER.set(Some(asker.waker()));
        let answerer = spawn_on(next, "answerer", LOW, answer, 0)?;
        ANSWERER.set(Some(answerer.waker()));
        thread::wake(asker.waker());
        // Both live until both are over: the last wake-up may still be on its way.
        while !(asker.is_done() && answerer.is_done()) {
            thread::sleep(REST);
        }
        ASKER.set(None);
        ANSWERER.set(None);
        asker.join();
        answerer.join();
        let waits = next.percpu().counters.of(Counter::Waits) - waits;
        ensure!(
            rounds == 0 || waits > 0,
            "CPU {} was never idle when it was woken",
            next.index()
        );
    }
    Ok(2 * rounds * cpus as u64)
}
