//! One thread's life in the storm: it does what its habit says and checks itself all the time.
//!
//! What a thread checks: registers and stack come through every computation (`registers`), its masks are
//! exactly those of the section it is in, no path is entered and not left, its preempt count is 0,
//! pages keep what was written, sleeps are long enough. The first thing that is not so stops the
//! machine, with the path that led there.

use super::crew::{self, CHILDREN, DEEPEST_STACK, Habit, ROUNDS};
use super::station::{Crew, Station, Storm};
use super::{registers, sources, storm};
use crate::irq::{self, Interrupt, Sgi, To};
use crate::mm::{lazy, stacks};
use crate::workload::random::Random;
use crate::workload::support::expect_context;
use crate::{clock, fault, smp, thread};
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use cpu::guard::{IrqGuard, PreemptGuard};
use cpu::mask::Context;
use entry::ExitLooks;

/// How often all threads rest, and for how long.
const PHASE: Duration = Duration::from_millis(40);
const REST: Duration = Duration::from_millis(2);

/// One thread's own things.
struct Life {
    storm: &'static Storm,
    habit: Habit,
    number: usize,
    cpu: usize,
    random: Random,
}

/// The first function of each thread.
pub(super) fn live(argument: usize) {
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
        match crew::spawn(Habit::Child, self.cpu, 0) {
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
pub(super) fn on_fault(exit: Option<&ExitLooks<'_>>) {
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
pub(super) fn on_late_call(interrupt: &Interrupt<'_>) {
    storm().at(interrupt.cpu).calls.fetch_add(1, Relaxed);
}
