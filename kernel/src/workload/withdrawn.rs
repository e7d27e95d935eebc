//! The withdrawn NMI: taken, and gone before it is acknowledged.
//!
//! Code that holds ordinary interrupts is interrupted by an NMI. Before the vector gets to the
//! acknowledge, somebody disables or clears its source. What the acknowledge then gives must not be
//! an ordinary interrupt that happens to be pending: it would run in the middle of code that holds
//! them. With PMR left *off* it cannot be; the answer is a special number, which is counted, never
//! ended, and returned from. Linux had to learn both halves.
//!
//! On one CPU nothing can run between the exception and the acknowledge to withdraw the NMI. But what
//! a withdrawn NMI looks like to the kernel is known exactly: a frame with the masks of `NoIrq`, DAIF
//! all set, PMR off, an ordinary interrupt pending and no NMI. The first part makes that state by hand
//! and calls the real entry code, both vectors' bodies, on each CPU: deterministic. The second part,
//! with two CPUs or more, lets one raise and withdraw the NMI of another as fast as it can: what comes
//! of it is up to chance, and only told, but each NMI is handled once or not at all.

use super::support::{
    HIGH, LOW, ensure, expect_context, expect_eq, here, nothing_lost, on_each_cpu, spawn_on,
};
use super::{Failure, Task};
use crate::entries::Petrel;
use crate::irq::{self, Interrupt, Sgi, Spi, To};
use crate::{clock, control, smp};
use alloc::format;
use alloc::string::String;
use boot::args::Params;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use cpu::context::Cx;
use cpu::counters::Counter;
use cpu::guard::IrqGuard;
use cpu::hw::machine::PmrCpu;
use cpu::mask::{Context, Mechanism};
use cpu::percpu::MAX_CPUS;
use cpu::priority::PMR_OFF;
use cpu::write_sysreg;
use drivers::gicv3::{Class, IntId, Line, Trigger};
use entry::frame::Frame;
use entry::interrupt;

/// `SPSR_EL1.M` of kernel code: EL1 with its own stack pointer (DDI 0487, C5.2.19).
const EL1H: u64 = 0b0101;

static ROUNDS: AtomicU64 = AtomicU64::new(0);
static HANDLED: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

/// Runs the workload. Parameters: `rounds` by hand for each CPU, `time` of the race.
///
/// # Errors
/// A sentence about what did not happen, or should not have.
pub(super) fn run(_: &Task, mut params: Params<'_>) -> Result<String, Failure> {
    let rounds = params.count("rounds", 200)?;
    let time = params.duration("time", Duration::from_millis(200))?;
    params.finish()?;
    ensure!(
        irq::has_nmis(),
        "mask=daif has no NMIs, so none can be withdrawn"
    );
    ensure!(rounds > 0, "rounds=0: nothing would be tested");
    ROUNDS.store(rounds, Relaxed);
    for handled in &HANDLED {
        handled.store(0, Relaxed);
    }
    irq::set_handler(Sgi::Test.intid(), on_ordinary, 0)?;
    on_each_cpu("withdrawn", LOW, by_hand)?;
    irq::clear_handler(Sgi::Test.intid())?;
    let handled: u64 = HANDLED.iter().map(|count| count.load(Relaxed)).sum();
    let cpus = smp::all().count() as u64;
    ensure!(
        handled == 2 * rounds * cpus,
        "{handled} ordinary interrupts were handled later, not {}",
        2 * rounds * cpus
    );
    let raced = match smp::get(1) {
        Some(other) if cpus > 1 => race(other, time)?,
        _ => String::from("no second CPU to race with"),
    };
    nothing_lost()?;
    Ok(format!(
        "withdrawn on {}: {} by hand; {raced}",
        smp::up(),
        2 * rounds * cpus
    ))
}

// Part 1: by hand.

fn on_ordinary(interrupt: &Interrupt<'_>) {
    HANDLED[interrupt.cpu.index()].fetch_add(1, Relaxed);
}

/// The bodies of the two vectors that interrupts come by.
#[derive(Clone, Copy, Debug)]
enum Vector {
    Irq,
    Fiq,
}

fn by_hand(cpu: usize) {
    let percpu = here().percpu();
    let (counters, handled) = (&percpu.counters, &HANDLED[cpu]);
    for _ in 0..ROUNDS.load(Relaxed) {
        for vector in [Vector::Irq, Vector::Fiq] {
            let before = (counters.of(Counter::Special), handled.load(Relaxed));
            let held = IrqGuard::new();
            irq::send(Sgi::Test, To::Cpu(percpu));
            let acknowledged = counters.of(Counter::Acknowledged);
            come_in(vector);
            expect_context(Context::NoIrq);
            expect_eq!(
                counters.of(Counter::Special) - before.0,
                1,
                "the acknowledge of a withdrawn NMI gave no special number ({vector:?})"
            );
            expect_eq!(
                (counters.of(Counter::Acknowledged), handled.load(Relaxed)),
                (acknowledged, before.1),
                "something was acknowledged in place of a withdrawn NMI ({vector:?})"
            );
            drop(held);
            expect_eq!(
                handled.load(Relaxed) - before.1,
                1,
                "the ordinary interrupt was not handled once, later ({vector:?})"
            );
        }
    }
}

/// Does what a vector does for an NMI that interrupted this code, in `NoIrq`, and was withdrawn.
#[inline(never)]
fn come_in(vector: Vector) {
    let masks = Context::NoIrq.state(Mechanism::Pmr);
    let mut frame = Frame {
        elr: come_in as *const () as u64,
        spsr: u64::from(masks.daif()) | EL1H,
        pmr: u64::from(masks.pmr()),
        when: clock::now(),
        ..Frame::default()
    };
    let saved = frame.clone();
    // SAFETY: masks everything, as the hardware does at a vector.
    unsafe { core::arch::asm!("msr daifset, #0xf", options(nostack)) };
    // SAFETY: this is exactly `Entry`, from `NoIrq`: DAIF all set, PMR off.
    let cx = unsafe { Cx::assume() };
    match vector {
        Vector::Irq => interrupt::irq::<PmrCpu, Petrel>(&mut frame, cx).leave(),
        Vector::Fiq => interrupt::fiq::<PmrCpu, Petrel>(&mut frame, cx).leave(),
    }
    // SAFETY: the vector's way back: PMR from the frame, then DAIF as before.
    unsafe {
        write_sysreg!("icc_pmr_el1", frame.pmr);
        core::arch::asm!("msr daifclr, #0xf", options(nostack));
    }
    expect_eq!(frame.pmr, u64::from(PMR_OFF), "PMR comes back changed");
    assert!(frame == saved, "the frame of a withdrawn NMI was changed");
}

// Part 2: the race.

static STOP: AtomicBool = AtomicBool::new(false);
static RAISED: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// The last shared interrupt: no device of the machine has it.
fn spare() -> Result<(IntId, Line), Failure> {
    let lines = control::spis();
    let intid = IntId::from_raw(lines.intids().end - 1)
        .ok_or_else(|| Failure::new(format_args!("there is no spare shared interrupt")))?;
    Ok((intid, lines.line(intid)?))
}

fn on_spare(_: &Interrupt<'_>) {
    TAKEN.fetch_add(1, Relaxed);
}

/// The victim: holds ordinary interrupts most of the time, with one pending.
fn suffer(_: usize) {
    let percpu = here().percpu();
    while !STOP.load(Relaxed) {
        let _held = IrqGuard::new();
        irq::send(Sgi::Test, To::Cpu(percpu));
        for _ in 0..200 {
            core::hint::spin_loop();
        }
        expect_context(Context::NoIrq);
    }
}

/// Raises and withdraws until the time is over.
fn raise(until: usize) {
    let Ok((_, line)) = spare() else { return };
    while clock::now() < until as u64 {
        line.set_pending();
        // Sometimes too soon to be taken, sometimes too late to be withdrawn.
        for _ in 0..RAISED.fetch_add(1, Relaxed) % 4096 {
            core::hint::spin_loop();
        }
        line.clear_pending();
        smp::spin();
    }
    STOP.store(true, Relaxed);
}

fn race(victim: &'static smp::Cpu, time: Duration) -> Result<String, Failure> {
    let (intid, line) = spare()?;
    let line = Spi::take(line).ok_or("somebody has the spare shared interrupt")?;
    STOP.store(false, Relaxed);
    RAISED.store(0, Relaxed);
    TAKEN.store(0, Relaxed);
    control::configure_spi(intid, Class::Nmi, Trigger::Edge, victim)?;
    irq::set_handler(intid, on_spare, 0)?;
    irq::set_handler(Sgi::Test.intid(), on_ordinary, 0)?;
    let special = victim.percpu().counters.of(Counter::Special);
    line.enable();
    let Some(raiser) = smp::get(0) else {
        return Err(Failure::new(format_args!("there is no CPU 0")));
    };
    let suffering = spawn_on(victim, "victim", LOW, suffer, 0)?;
    let until = clock::now() + clock::ticks(time);
    let raising = spawn_on(raiser, "raiser", HIGH, raise, until as usize)?;
    raising.join();
    suffering.join();
    line.disable();
    irq::clear_handler(intid)?;
    irq::clear_handler(Sgi::Test.intid())?;
    let special = victim.percpu().counters.of(Counter::Special) - special;
    let (raised, taken) = (RAISED.load(Relaxed), TAKEN.load(Relaxed));
    ensure!(raised > 0, "the race never began");
    ensure!(
        taken <= raised,
        "{taken} NMIs were handled, and {raised} raised"
    );
    Ok(format!(
        "of {raised} raised and withdrawn {taken} were handled, {special} gone when acknowledged"
    ))
}
