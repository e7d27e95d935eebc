//! Where the storm comes from: each CPU's free timer, SGIs, and spare SPIs that nobody drives.
//!
//! | source | when |
//! |---|---|
//! | timer | again and again on each CPU, at now + a random period |
//! | SGI | to a random other CPU (alone: to itself), by threads and by the timer's handler |
//! | SPI | routed to a random CPU, pended by threads and by the timer's handler |
//!
//! Only the timer's handler raises more, so no NMI feeds itself without limit, and what it sets is
//! never earlier than now: a slow host thins the storm out instead of drowning in it.

use super::landing::{self, Landing};
use super::station::{Station, Storm};
use super::{life, storm};
use crate::irq::{self, Interrupt, Sgi, Spi, To};
use crate::smp::{self, Cpu};
use crate::workload::Failure;
use crate::{clock, control, start};
use abi::path;
use abi::trace::Event;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use cpu::guard::NmiGuard;
use drivers::gicv3::{Class, IntId, Line, Trigger};
use drivers::timer::Ticks;

/// How many SPIs are used for each CPU, as far as there are spare ones.
const SPIS_PER_CPU: usize = 2;
/// The most SPIs that are used.
const MAX_SPIS: usize = 16;
/// How long the last interrupts may take to come in at the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who raised a storm interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The CPU's free timer.
    Timer,
    /// A software-generated interrupt.
    Sgi,
    /// A shared interrupt.
    Spi,
}

impl Source {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Timer, Self::Sgi, Self::Spi];

    /// The name in the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Sgi => "SGI",
            Self::Spi => "SPI",
        }
    }
}

/// Spare shared interrupts that nobody has, disabled.
pub(super) fn spare_spis() -> Vec<Spi> {
    let lines = control::spis();
    let (implemented, _) = control::gic_facts();
    let wanted = (SPIS_PER_CPU * cpu::percpu::count()).min(MAX_SPIS);
    let spare = start::info().spare_spis(implemented).rev();
    let intids = spare.filter_map(|intid| IntId::from_raw(intid.number()));
    let lines = intids.filter_map(|intid| lines.line(intid).ok());
    lines.filter_map(Spi::take).take(wanted).collect()
}

/// Sets the handlers, routes the SPIs, and lets everything in that is still off.
///
/// # Errors
/// Out of memory; an SPI that cannot be configured.
pub(super) fn open(storm: &Storm) -> Result<(), Failure> {
    irq::set_handler(control::free_ppi(), on_timer, 0)?;
    irq::set_handler(Sgi::StormNmi.intid(), on_sgi, 0)?;
    irq::set_handler(Sgi::Call.intid(), life::on_call, 0)?;
    irq::set_handler(control::scheduler_ppi(), on_tick, 0)?;
    let cpus = storm.stations.len() as u64;
    for line in &storm.spis {
        irq::set_handler(line.interrupt(), on_spi, 0)?;
        let target = storm.stations[0].random.below(cpus) as usize;
        if let Some(cpu) = smp::get(target) {
            control::configure_spi(line.interrupt(), Class::Nmi, Trigger::Edge, cpu)?;
        }
        line.enable();
    }
    for cpu in smp::all() {
        if let Some(lines) = cpu.lines() {
            lines.line(control::free_ppi())?.enable();
        }
    }
    storm.raining.store(true, Relaxed);
    // The first SGI sets the timer of the CPU that takes it.
    for cpu in smp::all() {
        irq::send(Sgi::StormNmi, To::Cpu(cpu.percpu()));
    }
    Ok(())
}

/// Waits until no source is armed and nothing is pending; then takes the handlers away.
///
/// # Errors
/// A timer that does not go off, out of memory.
pub(super) fn close(storm: &Storm) -> Result<(), Failure> {
    storm.raining.store(false, Relaxed);
    let deadline = clock::now() + clock::ticks(PATIENCE);
    let armed = |station: &Station| station.due.load(Relaxed) != u64::MAX;
    let pending = |line: &Line| line.is_pending() || line.is_active();
    let own = |cpu: &Cpu, sgi: Sgi| {
        let line = cpu.lines().and_then(|lines| lines.line(sgi.intid()).ok());
        line.is_some_and(|line| pending(&line))
    };
    let called = |cpu: &Cpu| own(cpu, Sgi::StormNmi) || own(cpu, Sgi::Call);
    while storm.stations.iter().any(armed)
        || storm.spis.iter().any(|spi| pending(spi))
        || smp::all().any(called)
    {
        if clock::now() > deadline {
            return Err(Failure::new(format_args!(
                "the last interrupts did not come in within {} s",
                PATIENCE.as_secs()
            )));
        }
        crate::thread::sleep(Duration::from_micros(100));
    }
    for line in &storm.spis {
        line.disable();
    }
    control::spis().settle()?;
    for cpu in smp::all() {
        if let Some(lines) = cpu.lines() {
            lines.line(control::free_ppi())?.disable();
            lines.settle()?;
        }
    }
    irq::set_handler(control::scheduler_ppi(), clock::on_timer, 0)?;
    for line in &storm.spis {
        irq::clear_handler(line.interrupt())?;
    }
    for intid in [
        control::free_ppi(),
        Sgi::StormNmi.intid(),
        Sgi::Call.intid(),
    ] {
        irq::clear_handler(intid)?;
    }
    Ok(())
}

/// Raises one storm interrupt from a thread or an ordinary handler. Some are withdrawn at once: the
/// acknowledge on another CPU may then find nothing.
pub(super) fn raise(storm: &Storm, random: u64) {
    if random & 1 == 0 {
        send_sgi(storm, random >> 3);
    } else if let Some(line) = pend_spi(storm, random >> 3)
        && random & 6 == 0
    {
        line.clear_pending();
    }
}

#[inline]
fn send_sgi(storm: &Storm, random: u64) {
    let cpus = storm.stations.len() as u64;
    if let Some(cpu) = smp::get((random % cpus) as usize) {
        irq::send(Sgi::StormNmi, To::Cpu(cpu.percpu()));
    }
}

#[inline]
fn pend_spi(storm: &Storm, random: u64) -> Option<&Line> {
    let at = (random as usize).checked_rem(storm.spis.len())?;
    let line = &storm.spis[at];
    line.set_pending();
    Some(line)
}

fn on_timer(interrupt: &Interrupt<'_>) {
    let storm = storm();
    let station = storm.at(interrupt.cpu);
    let landing = arrive(storm, station, interrupt, Source::Timer);
    let due = station.due.load(Relaxed);
    let vector = interrupt.frame.when - storm.stamp_ticks;
    let late = vector.saturating_sub(due);
    if due <= station.held_until.load(Relaxed) {
        station.behind.record(late);
    } else if station.latency.record(late) {
        note_worst(station, interrupt, landing, due, late);
    }
    if !storm.rains() {
        storm.timer.disarm();
        station.due.store(u64::MAX, Relaxed);
        station.held(vector, clock::now());
        return;
    }
    let random = station.random.next();
    match random % 8 {
        0 => send_sgi(storm, random >> 3),
        1 => {
            pend_spi(storm, random >> 3);
        }
        _ => {}
    }
    arm(storm, station, vector);
}

/// Sets the timer to now + a random period, as the last thing.
#[inline]
fn arm(storm: &Storm, station: &Station, vector: u64) {
    let mean = storm.mean_ticks.load(Relaxed);
    let random = &station.random;
    // Mostly even; now and then at once, to land in what the last one interrupted.
    let period = match random.below(8) {
        0 => 128 + random.below(1024),
        _ => random.below(2 * mean),
    };
    let now = clock::now();
    station.due.store(now + period, Relaxed);
    storm.timer.arm_at(Ticks(now + period));
    station.held(vector, now);
}

fn on_sgi(interrupt: &Interrupt<'_>) {
    let storm = storm();
    let station = storm.at(interrupt.cpu);
    arrive(storm, station, interrupt, Source::Sgi);
    let vector = interrupt.frame.when - storm.stamp_ticks;
    if storm.rains() && station.due.load(Relaxed) == u64::MAX {
        arm(storm, station, vector);
    }
    station.held(vector, clock::now());
}

fn on_spi(interrupt: &Interrupt<'_>) {
    let storm = storm();
    let station = storm.at(interrupt.cpu);
    arrive(storm, station, interrupt, Source::Spi);
    let vector = interrupt.frame.when - storm.stamp_ticks;
    station.held(vector, clock::now());
}

/// Counts an arrival, by source and by place.
#[inline]
fn arrive(storm: &Storm, station: &Station, interrupt: &Interrupt<'_>, source: Source) -> Landing {
    station.arrivals[source as usize].fetch_add(1, Relaxed);
    let landing = landing::classify(&storm.map, interrupt);
    station.landings[landing as usize].fetch_add(1, Relaxed);
    let paths = smp::this_thread_core().path.peek();
    // A deeper stack of paths is a larger number, but for what is innermost.
    if paths > station.deepest.load(Relaxed) {
        station.deepest.store(paths, Relaxed);
    }
    landing
}

#[cold]
fn note_worst(station: &Station, interrupt: &Interrupt<'_>, landing: Landing, due: u64, late: u64) {
    let worst = &station.worst;
    worst.late_ticks.store(late, Relaxed);
    worst.elr.store(interrupt.frame.elr, Relaxed);
    worst.landing.store(landing as u32, Relaxed);
    // The last record is of this NMI's entry. If the one before is an exit, and not older than the
    // deadline minus the few instructions between the record and the mask, it was that exit that
    // held the NMI.
    let before = interrupt.cpu.percpu().trace.records().rev().nth(1);
    let left = before
        .filter(|record| Event::from_number(record.event) == Some(Event::Exit))
        .filter(|record| record.when + EXIT_TICKS > due)
        .and_then(|record| path::unwind(record.a).next())
        .map_or(0, |path| path as u32);
    worst.left.store(left, Relaxed);
}

/// Longer than a path takes from its trace record to its `eret`.
const EXIT_TICKS: u64 = 400;

/// The scheduler's timer, measured.
fn on_tick(interrupt: &Interrupt<'_>) {
    let storm = storm();
    check_ordinary(storm, interrupt);
    if let Some(due) = interrupt.cpu.clock.due() {
        let vector = interrupt.frame.when - storm.stamp_ticks;
        let late = vector.saturating_sub(due);
        storm.at(interrupt.cpu).ticks.record(late);
    }
    clock::on_timer(interrupt);
}

/// Stops everything if an ordinary interrupt came between a vector and `irqentry_enter`, or between
/// `irqentry_exit` and `eret`: there they are held. In its handler.
#[inline]
pub(super) fn check_ordinary(storm: &Storm, interrupt: &Interrupt<'_>) {
    let below = smp::this_thread_core().path.peek() >> 8;
    if below == 0 && storm.map.is_entry(interrupt.frame.elr) {
        panic!(
            "storm: interrupt {} came in an entry or exit window, at {:#x}",
            interrupt.intid, interrupt.frame.elr
        );
    }
}

/// A section with NMIs held, measured. `Process` or `NoIrq`.
pub(super) fn with_nmis_held(storm: &Storm, work: impl FnOnce()) {
    let guard = NmiGuard::new();
    let station = storm.at(smp::this(&guard));
    let from = clock::now();
    work();
    station.held(from, clock::now());
    drop(guard);
}

/// A random CPU.
pub(super) fn any_cpu(storm: &Storm, random: u64) -> Option<&'static Cpu> {
    smp::get((random % storm.stations.len() as u64) as usize)
}
