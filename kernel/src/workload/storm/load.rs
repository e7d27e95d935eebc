//! What the storm beats upon: threads of every habit, each checking itself all the time.
//!
//! On each CPU two equal spinners (their run times are compared), a sleeper, a yielder, one that faults
//! and the partner that each fault wakes, one that masks in every way there is, and one that makes
//! and joins threads. Now and then all rest for a moment, so that CPUs idle and NMIs land there.

use super::station::{Crew, Station, Storm};
use super::{registers, sources, storm};
use crate::irq::{self, Interrupt, Sgi, To};
use crate::mm::{lazy, stacks};
use crate::thread::{self, JoinHandle, Spec};
use crate::workload::Failure;
use crate::workload::random::Random;
use crate::workload::support::expect_context;
use crate::{clock, fault, smp};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use cpu::guard::{IrqGuard, PreemptGuard};
use cpu::mask::Context;
use entry::ExitLooks;
use sched::{CpuId, CpuSet, Level};

/// How often all threads rest, and for how long.
const PHASE: Duration = Duration::from_millis(40);
const REST: Duration = Duration::from_millis(2);

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// Computes, and is equal to the other one of its CPU.
    Spin,
    /// Sleeps for short times.
    Sleep,
    /// Computes a little and yields.
    Yield,
    /// Faults.
    Fault,
    /// Waits to be woken by faults, calls and masked sections.
    Partner,
    /// Holds preemption, ordinary interrupts and NMIs off; calls other CPUs; raises storm interrupts.
    Mask,
    /// Makes threads and joins them.
    Make,
    /// Is made, checks itself, and ends.
    Child,
}

/// What runs on each CPU.
const CREW: [Habit; 8] = [
    Habit::Partner,
    Habit::Spin,
    Habit::Spin,
    Habit::Sleep,
    Habit::Yield,
    Habit::Fault,
    Habit::Mask,
    Habit::Make,
];

impl Habit {
    const ALL: [Self; 8] = [
        Self::Spin,
        Self::Sleep,
        Self::Yield,
        Self::Fault,
        Self::Partner,
        Self::Mask,
        Self::Make,
        Self::Child,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Spin => "spinner",
            Self::Sleep => "sleeper",
            Self::Yield => "yielder",
            Self::Fault => "faulter",
            Self::Partner => "partner",
            Self::Mask => "masker",
            Self::Make => "maker",
            Self::Child => "child",
        }
    }

    fn level(self) -> Level {
        let number = match self {
            Self::Partner => 20,
            Self::Sleep => 16,
            _ => 8,
        };
        Level::new(number).unwrap_or(Level::LOWEST)
    }

    /// Whether it stays on its CPU.
    const fn is_pinned(self) -> bool {
        matches!(self, Self::Spin | Self::Fault | Self::Partner)
    }
}

/// Rounds that threads did, each checked.
pub(super) static ROUNDS: AtomicU64 = AtomicU64::new(0);
/// Threads made and joined by the makers.
pub(super) static CHILDREN: AtomicU64 = AtomicU64::new(0);
/// The deepest use of a thread's stack, in bytes.
pub(super) static DEEPEST_STACK: AtomicU64 = AtomicU64::new(0);

/// A thread of the crew.
pub(super) struct Member {
    pub(super) habit: Habit,
    pub(super) cpu: usize,
    pub(super) handle: JoinHandle,
}

/// How many threads there are for each CPU.
pub(super) const fn crew_size() -> usize {
    CREW.len()
}

/// Starts all threads.
///
/// # Errors
/// What kept one from being made.
pub(super) fn start(storm: &Storm) -> Result<Vec<Member>, Failure> {
    for counter in [&ROUNDS, &CHILDREN, &DEEPEST_STACK] {
        counter.store(0, Relaxed);
    }
    fault::observe(Some(on_fault));
    storm.muster(Crew::All);
    let mut members = Vec::new();
    for cpu in 0..storm.stations.len() {
        for (number, habit) in CREW.into_iter().enumerate() {
            let handle = spawn(habit, cpu, number)?;
            members.push(Member { habit, cpu, handle });
        }
    }
    Ok(members)
}

fn spawn(habit: Habit, cpu: usize, number: usize) -> Result<JoinHandle, thread::SpawnError> {
    let allowed = match CpuId::new(cpu) {
        Some(id) if habit.is_pinned() => CpuSet::only(id),
        _ => CpuSet::ALL,
    };
    thread::spawn(&Spec {
        name: habit.name(),
        level: habit.level(),
        allowed,
        entry: live,
        argument: habit as usize | number << 8 | cpu << 16,
    })
}

/// Has all threads end, and joins them: those that wake others first. Gives the spread of the run
/// times of equal spinners, in ticks: the largest difference on any CPU.
///
/// # Errors
/// Out of memory.
pub(super) fn stop(storm: &Storm, members: Vec<Member>) -> Result<u64, Failure> {
    storm.muster(Crew::Partners);
    let spread = spinner_spread(storm, &members);
    let (partners, others): (Vec<_>, Vec<_>) = members
        .into_iter()
        .partition(|member| member.habit == Habit::Partner);
    for member in others {
        member.handle.join();
    }
    fault::observe(None);
    // Waits until no handler runs any more that could wake a partner.
    irq::set_handler(Sgi::Call.intid(), on_late_call, 0)?;
    storm.muster(Crew::Nobody);
    for station in &storm.stations {
        station.partner.set(None);
    }
    for member in partners {
        thread::wake(member.handle.waker());
        member.handle.join();
    }
    Ok(spread)
}

fn spinner_spread(storm: &Storm, members: &[Member]) -> u64 {
    let spinners = members.iter().filter(|member| member.habit == Habit::Spin);
    for spinner in spinners.clone() {
        while !spinner.handle.is_done() {
            thread::sleep(Duration::from_micros(100));
        }
    }
    let on = |cpu| {
        let own = spinners.clone().filter(move |member| member.cpu == cpu);
        own.map(|member| member.handle.thread().ran_ticks.load(Relaxed))
    };
    let spread = |cpu| on(cpu).max().unwrap_or(0) - on(cpu).min().unwrap_or(0);
    (0..storm.stations.len()).map(spread).max().unwrap_or(0)
}

/// One thread's own things.
struct Life {
    storm: &'static Storm,
    habit: Habit,
    number: usize,
    cpu: usize,
    random: Random,
}

/// The first function of each thread.
fn live(argument: usize) {
    let storm = storm();
    let (number, cpu) = (argument >> 8 & 0xff, argument >> 16);
    let stream = 1000 + (cpu * 256 + number) as u64;
    let life = Life {
        storm,
        habit: Habit::ALL[argument & 0xff],
        number,
        cpu,
        random: Random::new(storm.seed.load(Relaxed), stream),
    };
    match life.habit {
        Habit::Child => life.compute(200),
        Habit::Partner => life.wait_for_letters(),
        _ => {
            while storm.works(Crew::All) {
                life.rest();
                life.round();
                life.check_own_state();
            }
        }
    }
    ROUNDS.fetch_add(1, Relaxed);
    if life.habit != Habit::Child {
        let stack = thread::current().core.stack();
        DEEPEST_STACK.fetch_max(stacks::high_water(&stack), Relaxed);
    }
}

impl Life {
    /// Stops everything if something is not right: the report shows the path that led there.
    fn check(&self, right: bool, what: &str) {
        if !right {
            panic!(
                "storm: {what} ({} {} of CPU {})",
                self.habit.name(),
                self.number,
                self.cpu
            );
        }
    }

    /// In a thread's own code everything is open, and whatever came in between has left no trace.
    fn check_own_state(&self) {
        expect_context(Context::Process);
        let core = &thread::current().core;
        self.check(core.path.peek() == 0, "a path was entered and not left");
        self.check(core.preempt.peek().0 == 0, "the preempt count is not 0");
    }

    /// Rests until the next phase when all do.
    fn rest(&self) {
        let (phase, rest) = (clock::ticks(PHASE), clock::ticks(REST));
        let began = self.storm.began.load(Relaxed);
        let since = clock::now().saturating_sub(began);
        if since % phase < phase - rest {
            return;
        }
        let next = since / phase + 1;
        // Of two spinners each is the first in turn.
        let offset = match self.habit {
            Habit::Spin => (next + self.number as u64) % 2,
            _ => self.random.below(rest / 4),
        };
        thread::sleep_until(began + next * phase + offset);
    }

    /// Registers and memory must come through whatever happens meanwhile.
    fn compute(&self, turns: u64) {
        let seed = self.random.next();
        let kept = [seed, !seed];
        core::hint::black_box(&kept);
        self.check(registers::survive(seed, turns), "a register has changed");
        core::hint::black_box(&kept);
        let same = kept[0] == seed && kept[1] == !seed;
        self.check(same, "the stack has changed");
    }

    fn round(&self) {
        let random = self.random.next();
        match self.habit {
            Habit::Spin => self.compute(1000 + random % 1000),
            Habit::Yield => {
                self.compute(50 + random % 200);
                thread::yield_now();
            }
            Habit::Sleep => self.sleep(),
            Habit::Fault => self.fault(random),
            Habit::Mask => self.mask(random),
            Habit::Make => self.make(),
            Habit::Partner | Habit::Child => {}
        }
        ROUNDS.fetch_add(1, Relaxed);
    }

    fn sleep(&self) {
        let span = self.random.within(20_000..400_000);
        let deadline = clock::now() + clock::ticks(Duration::from_nanos(span));
        thread::sleep_until(deadline);
        self.check(clock::now() >= deadline, "a sleep was too short");
        self.compute(100);
    }

    /// Touches a page that is not there, or executes what is undefined.
    fn fault(&self, random: u64) {
        self.compute(100 + random % 500);
        if random & 1 << 32 == 0 {
            undefined();
            return;
        }
        let pages = lazy::PAGES / self.storm.stations.len() as u64;
        let page = self.cpu as u64 * pages + (random >> 33) % pages;
        self.check(touch(page, random), "a page has changed");
        lazy::release(page);
    }

    fn mask(&self, random: u64) {
        let storm = self.storm;
        let turns = 50 + (random >> 8) % 400;
        match random % 8 {
            0..=2 => {
                let irqs = IrqGuard::new();
                let station = storm.at(smp::this(&irqs));
                if random & 1 << 32 == 0
                    && let Some(partner) = station.poke()
                {
                    thread::wake(partner);
                }
                self.compute(turns);
                expect_context(Context::NoIrq);
            }
            3 | 4 => {
                let pinned = PreemptGuard::new();
                let station = storm.at(smp::this(&pinned));
                if let Some(partner) = station.poke() {
                    thread::wake(partner);
                }
                self.compute(turns);
            }
            5 => sources::with_nmis_held(storm, || self.compute(20)),
            6 => {
                if let Some(cpu) = sources::any_cpu(storm, random >> 40) {
                    irq::send(Sgi::Call, To::Cpu(cpu.percpu()));
                }
                self.compute(turns);
            }
            _ => {
                sources::raise(storm, random >> 40);
                self.compute(turns);
            }
        }
    }

    fn make(&self) {
        match spawn(Habit::Child, self.cpu, 0) {
            Ok(child) => {
                child.join();
                CHILDREN.fetch_add(1, Relaxed);
            }
            Err(error) => panic!("storm: {error}"),
        }
        let span = self.random.within(50_000..200_000);
        thread::sleep(Duration::from_nanos(span));
    }

    fn wait_for_letters(&self) {
        let station: &Station = &self.storm.stations[self.cpu];
        station.enlist();
        let mut over = false;
        while !over {
            let stop = core::cell::Cell::new(false);
            thread::wait_until(|| {
                stop.set(!self.storm.works(Crew::Partners));
                station.take_letter() || stop.get()
            });
            over = stop.get();
            self.check_own_state();
            self.compute(20);
            ROUNDS.fetch_add(1, Relaxed);
        }
    }
}

/// Writes `value` to a page of the lazily mapped region, which faults if it is not there; whether
/// it reads back. The caller is the only user of the page.
pub(super) fn touch(page: u64, value: u64) -> bool {
    let place = lazy::address(page) as *mut u64;
    // SAFETY: the fault handler maps the page, and it is the caller's alone.
    unsafe {
        place.write_volatile(value);
        place.add(511).write_volatile(!value);
        place.read_volatile() == value && place.add(511).read_volatile() == !value
    }
}

/// Executes an undefined instruction that the fault handler skips.
fn undefined() {
    // SAFETY: the fault handler knows it and goes on behind it.
    unsafe { core::arch::asm!("udf #{}", const fault::UNDEFINED) };
}

/// At the end of each fault: wakes the partner of this CPU.
fn on_fault(exit: Option<&ExitLooks<'_>>) {
    let irqs = IrqGuard::new();
    let Some(partner) = storm().at(smp::this(&irqs)).poke() else {
        return;
    };
    match exit {
        Some(looks) => thread::wake_on_exit(partner, looks),
        // In an interrupt handler: its exit will look.
        None => thread::wake(partner),
    }
}

/// An ordinary call from another CPU: computes, faults, wakes, raises.
pub(super) fn on_call(interrupt: &Interrupt<'_>) {
    let storm = storm();
    sources::check_ordinary(storm, interrupt);
    let station = storm.at(interrupt.cpu);
    let calls = station.calls.fetch_add(1, Relaxed);
    let random = station.random.next();
    if !registers::survive(random, 100 + random % 300) {
        panic!("storm: a register has changed in an interrupt handler");
    }
    match calls % 4 {
        0 => undefined(),
        1 => {
            if let Some(partner) = station.poke() {
                thread::wake(partner);
            }
        }
        2 => sources::raise(storm, random >> 32),
        _ => {}
    }
}

/// A call that was still on its way at the end.
fn on_late_call(interrupt: &Interrupt<'_>) {
    storm().at(interrupt.cpu).calls.fetch_add(1, Relaxed);
}
