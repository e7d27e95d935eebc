//! What must hold after a storm. The first thing that does not is the verdict.

use super::crew::{CHILDREN, ROUNDS};
use super::landing::Landing;
use super::report::{Grouped, Report};
use super::{fair_ticks, sources::Source};
use crate::workload::Failure;
use crate::workload::support::ordinary_path;
use crate::{clock, irq};
use abi::path::Path;
use core::sync::atomic::Ordering::Relaxed;

/// How late an NMI may be where time is exact, in guest instructions from its deadline to the first
/// instruction of the vector, all windows included in which nothing holds NMIs on purpose.
const LATENCY_INSTRUCTIONS: u64 = 400;

/// How long NMIs may be held on purpose there: by a handler of the storm, or its `NmiGuard` sections.
const HELD_INSTRUCTIONS: u64 = 1_000;
/// How often in a row: a timer NMI may wait for whatever runs, then for one SGI, which has the lower
/// number; no handler of an SGI raises another.
const HELD_IN_A_ROW: u64 = 2;

/// Judges.
///
/// # Errors
/// The first thing that is wrong, as a sentence.
pub(super) fn judge(report: &Report) -> Result<(), Failure> {
    let sound = nothing_broke(report);
    sound.and_then(|()| nothing_was_missed(report))?;
    if clock::is_exact() && report.storm.stations.len() == 1 {
        times_are_right(report)?;
    }
    Ok(())
}

fn zero(count: u64, what: &str) -> Result<(), Failure> {
    match count {
        0 => Ok(()),
        _ => Err(Failure::new(format_args!("{count} {what}"))),
    }
}

fn nothing_broke(report: &Report) -> Result<(), Failure> {
    let tally = &report.tally;
    zero(tally.lost, "eligible preemptions lost")?;
    zero(tally.by(Path::Nmi), "switches on the way out of an NMI")?;
    zero(
        tally.by(Path::SError),
        "switches on the way out of an SError",
    )?;
    zero(tally.by(Path::Debug), "switches from a debug exception")?;
    zero(tally.unexpected, "interrupts without a handler")?;
    zero(tally.lost_lines, "log lines lost")?;
    if !report.with_programs {
        zero(tally.used_bytes, "bytes of frames leaked")?;
    }
    let total = &report.total;
    if !total.is_balanced() {
        return Err(Failure::new(format_args!(
            "the ledger does not balance: {} acknowledged, {} dropped, {} deactivated",
            total.acknowledged, total.dropped, total.deactivated
        )));
    }
    let cpus = report.storm.stations.len();
    zero(
        (cpus - report.clean_cpus) as u64,
        "CPUs with active priorities at rest",
    )
}

/// A storm that hit nothing proves nothing.
fn nothing_was_missed(report: &Report) -> Result<(), Failure> {
    let some = |count: u64, what: &str| match count {
        0 => Err(Failure::new(format_args!(
            "vacuous: no {what} (run it longer, or at a higher rate)"
        ))),
        _ => Ok(()),
    };
    let tally = &report.tally;
    for source in Source::ALL {
        let has_any = source != Source::Spi || !report.storm.spis.is_empty();
        if has_any {
            some(report.arrivals(source), source.name())?;
        }
    }
    some(report.landed(Landing::Thread), "landing in a thread")?;
    if report.must_hit_programs {
        some(report.landed(Landing::El0), "landing at EL0")?;
    }
    if irq::has_nmis() {
        some(tally.nmis, "NMI")?;
        some(
            report.landed(Landing::Masked),
            "landing in a masked section",
        )?;
        some(
            report.landed(Landing::EntryExit),
            "landing in an entry or exit window",
        )?;
        some(
            report.landed(Landing::IrqHandler),
            "landing in an interrupt handler",
        )?;
        some(tally.nmis_saw_resched, "NMI exit with need_resched set")?;
        if report.must_hit_programs {
            some(report.landed(Landing::Syscall), "landing in a system call")?;
            some(
                report.landed(Landing::UserFault),
                "landing in a program's fault",
            )?;
        }
    }
    some(
        tally.by(ordinary_path()),
        "preemption on the way out of an interrupt",
    )?;
    some(
        tally.by(Path::Fault),
        "preemption on the way out of a fault",
    )?;
    some(tally.by(Path::Thread), "preemption where a guard ended")?;
    some(tally.self_sgis, "wake-up with interrupts masked")?;
    some(ROUNDS.load(Relaxed), "round of a thread")?;
    some(CHILDREN.load(Relaxed), "thread made and joined")
}

fn times_are_right(report: &Report) -> Result<(), Failure> {
    let at_most = |found: u64, permitted: u64, what: &str| match found <= permitted {
        true => Ok(()),
        false => Err(Failure::new(format_args!(
            "{what}: {} guest instructions, {} are permitted",
            Grouped(found),
            Grouped(permitted)
        ))),
    };
    if irq::has_nmis() {
        let longest = report.longest_held();
        let behind = LATENCY_INSTRUCTIONS + HELD_IN_A_ROW * longest;
        at_most(
            report.latency().worst,
            LATENCY_INSTRUCTIONS,
            "an NMI was late",
        )?;
        at_most(longest, HELD_INSTRUCTIONS, "NMIs were held on purpose")?;
        at_most(report.behind().worst, behind, "an NMI waited for others")?;
    }
    at_most(report.spread_ticks, fair_ticks(), "equal spinners differ")
}
