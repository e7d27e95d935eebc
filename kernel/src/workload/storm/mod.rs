//! The storm: NMIs rain on all CPUs while threads of every habit run, and nothing may break.
//!
//! A kernel's rules about masks and preemption are easily kept as long as nobody interrupts at the
//! wrong moment. So everything happens at once here, at moments drawn from a seed: threads spin,
//! sleep, yield, fault, mask, call other CPUs, make threads and join them (`crew`, `life`), under NMIs from
//! three kinds of source (`sources`). Each NMI is counted by where it landed (`landing`): a storm that
//! missed a place it claims to hit fails, as does one that finds anything wrong (`judge`).
//!
//! | parameter | meaning | default |
//! |---|---|---|
//! | `seconds`, or `time` | how long, in guest time | 5 s |
//! | `nmis` | stop after so many NMIs instead | – |
//! | `rate` | timer NMIs a second on each CPU, on average | 20,000; where time is exact, one in 2,500 instructions |
//! | `seed` | of what is random | that of the boot arguments |
//! | `programs` | 1: programs promise to be busy meanwhile | 0 |
//!
//! A program can ask for the storm as well. `user/storm` does, with processes that check themselves, and
//! promises (`programs=1`) that they are always at work: NMIs must then also have landed at EL0, in
//! system calls and in faults. Whoever asks at a quiet shell promises nothing.
//!
//! Without NMIs (`mask=daif`) the same sources rain ordinary interrupts.
//!
//! Times are judged only where they are exact (`clock::is_exact`) and there is one CPU; everywhere
//! else they are the host's, and only reported.

mod crew;
mod judge;
mod landing;
mod life;
mod registers;
mod report;
mod sources;
mod station;
mod tally;

use super::{Failure, Task};
use crate::object::Process;
use crate::smp::QUANTUM;
use crate::{clock, irq, say, smp, thread};
use alloc::string::String;
use boot::args::Params;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use entry::frame::STAMP_INSTRUCTIONS;
use landing::TextMap;
use report::{Grouped, Report};
use spin::Once;
use station::Storm;
use tally::Tally;

/// How long it lasts if nobody says.
const DEFAULT_TIME: Duration = Duration::from_secs(5);
/// Timer NMIs a second on each CPU where the host's time counts.
const FREE_RATE: u64 = 20_000;
/// Instructions from one timer NMI to the next where time is exact.
const EXACT_PERIOD: u64 = 2_500;
/// The highest rate that leaves the threads some time: there, and where the host's time counts.
const LEAST_EXACT_PERIOD: u64 = 600;
const MAX_FREE_RATE: u64 = 100_000;
/// How often the number of NMIs is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// How often a line is printed.
const LINE: Duration = Duration::from_secs(1);

static STORM: Once<Storm> = Once::new();

/// The storm, for its threads and handlers.
#[inline]
fn storm() -> &'static Storm {
    match STORM.get() {
        Some(storm) => storm,
        None => panic!("a storm interrupt came before the storm was made"),
    }
}

/// What was asked for.
struct Plan {
    seed: u64,
    /// How long, in ticks.
    time_ticks: u64,
    /// After how many storm interrupts to stop; 0: never.
    nmis: u64,
    /// Timer NMIs a second on each CPU.
    rate: u64,
    /// Whether programs are to be hit.
    programs: bool,
}

impl Plan {
    fn read(task: &Task, mut params: Params<'_>) -> Result<Self, Failure> {
        let hz = clock::frequency().hz();
        let (default, most) = match clock::is_exact() {
            true => (hz / EXACT_PERIOD, hz / LEAST_EXACT_PERIOD),
            false => (FREE_RATE, MAX_FREE_RATE),
        };
        let time = params.duration("time", DEFAULT_TIME)?;
        let seconds = params.count("seconds", 0)?;
        let nmis = params.count("nmis", 0)?;
        let rate = params.count("rate", default)?;
        let seed = params.count("seed", task.seed)?;
        let programs = params.count("programs", 0)? != 0;
        params.finish()?;
        if rate == 0 || rate > most {
            return Err(Failure::new(format_args!(
                "rate={rate}: a rate is 1 to {most} a second here"
            )));
        }
        let time_ticks = match (nmis, seconds) {
            (0, 0) => clock::ticks(time),
            (0, seconds) => clock::ticks(Duration::from_secs(seconds)),
            _ => u64::MAX / 2,
        };
        Ok(Self {
            seed,
            time_ticks,
            nmis,
            rate,
            programs,
        })
    }
}

/// The workload.
pub(crate) fn run(task: &Task, params: Params<'_>) -> Result<String, Failure> {
    let plan = Plan::read(task, params)?;
    let storm = make()?;
    let mean_ticks = clock::frequency().hz() / plan.rate;
    storm.reset(plan.seed, mean_ticks);
    announce(storm, &plan);
    tally::warm_up(storm.stations.len())?;

    let before = Tally::take();
    storm.began.store(clock::now(), Relaxed);
    sources::open(storm)?;
    let members = crew::start(storm)?;
    watch(storm, &plan, &before);
    let spread_ticks = crew::stop(storm, members)?;
    sources::close(storm)?;
    let lasted_ticks = clock::now() - storm.began.load(Relaxed);
    let clean_cpus = tally::audit()?;
    let all = Tally::take_quiet();

    let report = Report {
        storm,
        tally: all.since(&before),
        total: all,
        spread_ticks,
        with_programs: Process::report_at(0).is_some(),
        must_hit_programs: plan.programs,
        clean_cpus,
    };
    report.print();
    judge::judge(&report)?;
    Ok(alloc::format!(
        "storm, {} on {}: {} {}, {} preemptions, 0 lost",
        report::Seconds(lasted_ticks),
        smp::Cpus(storm.stations.len()),
        Grouped(storm.total()),
        report::interrupts(),
        Grouped(report.tally.preempted()),
    ))
}

/// Makes the storm, the first time.
fn make() -> Result<&'static Storm, Failure> {
    STORM.try_call_once(|| {
        let timer = clock::free_timer().ok_or("there is no free timer")?;
        let map = TextMap::draw()
            .ok_or("the image carries no symbols, by which landings are told apart")?;
        let stamp_ticks = match clock::is_exact() {
            true => STAMP_INSTRUCTIONS,
            false => 0,
        };
        let cpus = cpu::percpu::count();
        Ok(Storm::new(
            cpus,
            sources::spare_spis(),
            timer,
            map,
            stamp_ticks,
        ))
    })
}

fn announce(storm: &Storm, plan: &Plan) {
    let setup = irq::setup();
    say!("");
    say!(
        "storm on {}, seed {}: {} threads, {} SPIs, mask={}, {} guest time",
        smp::Cpus(storm.stations.len()),
        plan.seed,
        storm.stations.len() * crew::crew_size(),
        storm.spis.len(),
        setup.mechanism.name(),
        if clock::is_exact() {
            "exact"
        } else {
            "free-running"
        },
    );
    if !irq::has_nmis() {
        say!("there are no NMIs under mask=daif: the same storm of ordinary interrupts");
    }
}

/// Prints a line each second until it is over.
fn watch(storm: &Storm, plan: &Plan, before: &Tally) {
    let began = storm.began.load(Relaxed);
    let (line, look) = (clock::ticks(LINE), clock::ticks(LOOK));
    let end = began.saturating_add(plan.time_ticks);
    let mut next_line = began + line;
    loop {
        let next = match plan.nmis {
            0 => next_line.min(end),
            _ => (clock::now() + look).min(next_line),
        };
        thread::sleep_until(next);
        let now = clock::now();
        if now >= next_line {
            report::live(now - began, storm, &Tally::take().since(before));
            next_line += line;
        }
        if now >= end || (plan.nmis != 0 && storm.total() >= plan.nmis) {
            return;
        }
    }
}

/// How much the run times of two equal spinners may differ.
fn fair_ticks() -> u64 {
    2 * clock::ticks(QUANTUM)
}
