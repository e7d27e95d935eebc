//! What may land where: NMIs inside sections that hold ordinary interrupts, and nothing at all inside
//! those that hold NMIs too.
//!
//! A pseudo-NMI that DAIF keeps out of an [`IrqGuard`] is none, and one that lands inside an
//! [`NmiGuard`] finds data half written. So a thread on each CPU goes through sections of both kinds,
//! and in each sends itself one ordinary interrupt and one NMI. Each handler looks twice at where it
//! landed: at the masks in the frame, which the hardware saved, and at what the thread says it is
//! inside of. The counts are exact: every interrupt sent lands once, at the first instruction where it
//! may. In the meantime the free timer's NMIs land wherever they fall.

use super::rain::Rain;
use super::support::{LOW, ensure, expect_context, expect_eq, here, nothing_lost, on_each_cpu};
use super::{Failure, Task};
use crate::irq::{self, Interrupt, Sgi, To};
use crate::{clock, smp};
use alloc::format;
use alloc::string::String;
use boot::args::Params;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use cpu::guard::{IrqGuard, NmiGuard};
use cpu::mask::Context;
use cpu::percpu::MAX_CPUS;

/// What a thread is inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Section {
    Open,
    NoIrq,
    NoNmi,
}

const SECTIONS: [Section; 3] = [Section::Open, Section::NoIrq, Section::NoNmi];

/// Where interrupts of one class landed on one CPU, by the section they interrupted.
struct Landed([AtomicU64; SECTIONS.len()]);

impl Landed {
    const fn nowhere() -> Self {
        Self([const { AtomicU64::new(0) }; SECTIONS.len()])
    }

    fn all(&self) -> u64 {
        self.0.iter().map(|count| count.load(Relaxed)).sum()
    }

    fn count(&self, section: Section) {
        self.0[section as usize].fetch_add(1, Relaxed);
    }
}

static INSIDE: [AtomicU8; MAX_CPUS] = [const { AtomicU8::new(0) }; MAX_CPUS];
static ORDINARY: [Landed; MAX_CPUS] = [const { Landed::nowhere() }; MAX_CPUS];
static NMIS: [Landed; MAX_CPUS] = [const { Landed::nowhere() }; MAX_CPUS];
static RAINED: [Landed; MAX_CPUS] = [const { Landed::nowhere() }; MAX_CPUS];
static ROUNDS: AtomicU64 = AtomicU64::new(0);

/// Runs the workload. Parameters: `rounds` for each CPU, `nmi` the period of the rain.
///
/// # Errors
/// A sentence about what did not happen, or should not have.
pub(super) fn run(_: &Task, mut params: Params<'_>) -> Result<String, Failure> {
    let rounds = params.count("rounds", 1000)?;
    let nmi = params.duration("nmi", Duration::from_micros(20))?;
    params.finish()?;
    ensure!(rounds > 0, "rounds=0: nothing would be tested");
    ensure!(!nmi.is_zero(), "nmi=0: it would never rain");
    ROUNDS.store(rounds, Relaxed);
    for landed in [&ORDINARY, &NMIS, &RAINED].into_iter().flatten() {
        for count in &landed.0 {
            count.store(0, Relaxed);
        }
    }
    irq::set_handler(Sgi::Test.intid(), on_ordinary, 0)?;
    irq::set_handler(Sgi::TestNmi.intid(), on_nmi, 0)?;
    let rain = Rain::begin(nmi, |interrupt| land(&RAINED, interrupt))?;
    on_each_cpu("masked", LOW, go_through)?;
    let drops = rain.drops();
    drop(rain);
    irq::clear_handler(Sgi::Test.intid())?;
    irq::clear_handler(Sgi::TestNmi.intid())?;
    nothing_lost()?;
    judge(rounds, drops)
}

fn judge(rounds: u64, drops: u64) -> Result<String, Failure> {
    let cpus = smp::all().count() as u64;
    let sum = |all: &[Landed], section: Section| -> u64 {
        all.iter()
            .map(|landed| landed.0[section as usize].load(Relaxed))
            .sum()
    };
    for section in [Section::NoIrq, Section::NoNmi] {
        let inside = sum(&ORDINARY, section);
        ensure!(
            inside == 0,
            "{inside} ordinary interrupts landed inside {section:?} sections"
        );
    }
    let inside = sum(&NMIS, Section::NoNmi) + sum(&RAINED, Section::NoNmi);
    ensure!(inside == 0, "{inside} NMIs landed inside NoNmi sections");
    let due = rounds * cpus;
    let (ordinary, open) = (sum(&ORDINARY, Section::Open), sum(&NMIS, Section::Open));
    ensure!(
        ordinary == 3 * due,
        "{ordinary} ordinary interrupts landed, not {}",
        3 * due
    );
    let held = sum(&NMIS, Section::NoIrq);
    if !irq::has_nmis() {
        ensure!(
            open == 3 * due && held == 0,
            "without NMIs, {open} landed outside and {held} inside NoIrq sections"
        );
        return Ok(format!(
            "masked on {}: {} ordinary interrupts, none inside a section; mask=daif has no NMIs",
            smp::up(),
            6 * due
        ));
    }
    ensure!(
        held == due && open == 2 * due,
        "{held} NMIs landed inside NoIrq sections, not {due}; {open} outside, not {}",
        2 * due
    );
    let rained = sum(&RAINED, Section::NoIrq);
    // Where the host gives time, its timer may miss; the thread's own NMIs do not.
    ensure!(
        rained > 0 || !clock::is_exact(),
        "of {drops} timer NMIs none landed inside a NoIrq section"
    );
    Ok(format!(
        "masked on {}: {held} own and {rained} of {drops} timer NMIs inside NoIrq sections, \
         none inside NoNmi",
        smp::up(),
    ))
}

/// Counts an interrupt where it landed. The masks that the hardware saved and what the thread says
/// must agree.
fn land(landed: &[Landed; MAX_CPUS], interrupt: &Interrupt<'_>) {
    let cpu = interrupt.cpu.index();
    let says = INSIDE[cpu].load(Relaxed);
    let section = SECTIONS[usize::from(says) % SECTIONS.len()];
    let mechanism = irq::setup().mechanism;
    match Context::of(mechanism, interrupt.frame.masks()) {
        // Between the guard and what the thread says of it, either.
        Some(Context::Process) if section == Section::Open => {}
        Some(Context::NoIrq) if section != Section::NoNmi => {}
        context => panic!(
            "interrupt {} landed in {context:?} ({}), in a section that is {section:?}",
            interrupt.intid,
            interrupt.frame.masks()
        ),
    }
    landed[cpu].count(section);
}

fn on_ordinary(interrupt: &Interrupt<'_>) {
    land(&ORDINARY, interrupt);
}

fn on_nmi(interrupt: &Interrupt<'_>) {
    land(&NMIS, interrupt);
}

/// Says what this thread is inside of, for as long as it lives.
struct Saying(&'static AtomicU8);

impl Saying {
    fn inside(cpu: usize, section: Section) -> Self {
        INSIDE[cpu].store(section as u8, Relaxed);
        Self(&INSIDE[cpu])
    }
}

impl Drop for Saying {
    fn drop(&mut self) {
        self.0.store(Section::Open as u8, Relaxed);
    }
}

/// Sends this CPU one of each class. Gives how many of each have landed before.
fn send_both(cpu: usize) -> (u64, u64) {
    let before = (ORDINARY[cpu].all(), NMIS[cpu].all());
    let me = To::Cpu(here().percpu());
    irq::send(Sgi::Test, me);
    irq::send(Sgi::TestNmi, me);
    before
}

/// Stops unless so many more have landed than `before`.
#[track_caller]
fn expect_landed(cpu: usize, before: (u64, u64), ordinary: u64, nmis: u64) {
    let now = (ORDINARY[cpu].all(), NMIS[cpu].all());
    let landed = (now.0 - before.0, now.1 - before.1);
    expect_eq!(
        landed,
        (ordinary, nmis),
        "ordinary interrupts and NMIs that landed"
    );
}

fn go_through(cpu: usize) {
    let inside_no_irq = u64::from(irq::has_nmis());
    for round in 0..ROUNDS.load(Relaxed) {
        let before = send_both(cpu);
        expect_landed(cpu, before, 1, 1);

        let held = IrqGuard::new();
        let saying = Saying::inside(cpu, Section::NoIrq);
        let before = send_both(cpu);
        linger(round);
        expect_landed(cpu, before, 0, inside_no_irq);
        expect_context(Context::NoIrq);
        drop(saying);
        drop(held);
        expect_landed(cpu, before, 1, 1);

        let held = NmiGuard::new();
        let saying = Saying::inside(cpu, Section::NoNmi);
        let before = send_both(cpu);
        linger(round);
        expect_landed(cpu, before, 0, 0);
        expect_context(Context::NoNmi);
        drop(saying);
        drop(held);
        expect_landed(cpu, before, 1, 1);
        expect_context(Context::Process);
    }
}

/// Long enough to be hit, and not always the same.
fn linger(round: u64) {
    for _ in 0..100 + round % 64 {
        core::hint::spin_loop();
    }
}
