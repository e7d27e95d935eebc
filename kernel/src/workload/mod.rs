//! Workloads: what the kernel is put through, each with a verdict and with counters that prove that
//! it hit what it claims.

pub(crate) mod background;
mod bench;
mod console;
mod crash;
mod fault;
mod handles;
mod histogram;
mod idle;
mod ipi;
mod irqs;
mod masked;
mod preempt;
mod rain;
mod random;
mod space;
mod storm;
mod support;
mod withdrawn;

use crate::thread::{self, SpawnError, Spec};
use crate::{say, smp, user, verdict};
use abi::error::Error;
use alloc::string::String;
use boot::args::{Config, Params, Run, Switch};
use core::fmt;
use core::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use sched::{CpuSet, Level};

/// What a workload is given.
pub(crate) struct Task {
    /// The seed of all that is random.
    pub(crate) seed: u64,
}

/// Why a workload failed, as one line.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    /// With that sentence.
    pub(crate) fn new(why: fmt::Arguments<'_>) -> Self {
        Self(alloc::fmt::format(why))
    }
}

impl<T: fmt::Display> From<T> for Failure {
    fn from(why: T) -> Self {
        Self::new(format_args!("{why}"))
    }
}

/// Runs one workload to its verdict: what it did, as a short sentence.
type Workload = fn(&Task, Params<'_>) -> Result<String, Failure>;

/// All workloads, by name.
const WORKLOADS: &[(&str, Workload)] = &[
    ("selftest", selftest),
    ("crash", crash::run),
    ("preempt", preempt::run),
    ("storm", storm::run),
    ("fault", fault::run),
    ("masked", masked::run),
    ("withdrawn", withdrawn::run),
    ("idle", idle::run),
    ("ipi", ipi::run),
    ("handles", handles::run),
    ("irqs", irqs::run),
    ("console", console::run),
    ("space", space::run),
    ("bench", bench::run),
];

/// The self-test has passed on every CPU before any workload runs.
fn selftest(_: &Task, params: Params<'_>) -> Result<String, Failure> {
    // ANCHOR: selftest
    params.finish()?;
    Ok(alloc::format!("selftest on {}", smp::up()))
    // ANCHOR_END: selftest
}

/// Starts the thread that runs what the boot arguments ask for. By the boot CPU.
pub(crate) fn start(config: &Config<'_>) {
    for run in config.workloads() {
        if find(run).is_none() {
            let mut known = String::new();
            for (name, _) in WORKLOADS {
                known.push(' ');
                known.push_str(name);
            }
            verdict::fail(format_args!(
                "boot argument run={}: no such workload; there are{known}",
                run.workload
            ));
        }
    }
    let main = thread::spawn(&Spec {
        name: "main",
        level: Level::HIGHEST,
        allowed: CpuSet::ALL,
        entry: main,
        argument: 0,
    });
    if let Err(error) = main {
        verdict::fail(format_args!("the first thread could not be made: {error}"));
    }
}

/// How a workload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did what it promised.
    Passed,
    /// It did not; the log has why.
    Failed,
}

/// A run that a process wants, and how it ended.
struct Wanted<'a> {
    run: Run<'a>,
    workload: Workload,
    has_passed: AtomicBool,
}

/// Runs what `text` asks for, as it would stand behind `run=`, and says in the log what came of it. One at
/// a time, and in a thread of its own, at the level that workloads are made for. `Process`.
///
/// # Errors
/// [`Error::BadArgument`]: there is no such workload; [`Error::Busy`]: one runs, or NMIs rain already;
/// [`Error::NoMemory`], [`Error::TooMany`]: no thread.
pub(crate) fn run_for_a_process(text: &str) -> Result<Outcome, Error> {
    static BUSY: AtomicBool = AtomicBool::new(false);
    let run = boot::args::parse_run(text).map_err(|error| {
        say!("{error}");
        Error::BadArgument
    })?;
    let workload = find(&run).ok_or(Error::BadArgument)?;
    if background::is_raining() || BUSY.swap(true, Acquire) {
        return Err(Error::Busy);
    }
    let wanted = Wanted {
        run,
        workload,
        has_passed: AtomicBool::new(false),
    };
    let thread = thread::spawn(&Spec {
        name: "workload",
        level: Level::HIGHEST,
        allowed: CpuSet::ALL,
        entry: run_wanted,
        argument: (&raw const wanted) as usize,
    });
    // Joined before `wanted` ends.
    let result = thread.map(|thread| thread.join());
    BUSY.store(false, Release);
    result.map_err(|error| match error {
        SpawnError::TooMany => Error::TooMany,
        _ => Error::NoMemory,
    })?;
    Ok(match wanted.has_passed.into_inner() {
        true => Outcome::Passed,
        false => Outcome::Failed,
    })
}

fn run_wanted(wanted: usize) {
    // SAFETY: `run_for_a_process` passed its address, and waits for this thread.
    let wanted = unsafe { &*(wanted as *const Wanted<'_>) };
    let task = Task {
        seed: crate::start::config().seed,
    };
    match (wanted.workload)(&task, wanted.run.params.clone()) {
        Ok(what) => {
            say!("done: {what}");
            wanted.has_passed.store(true, Release);
        }
        Err(Failure(why)) => say!("failed: {}: {why}", wanted.run.workload),
    }
}

fn find(run: &Run<'_>) -> Option<Workload> {
    let found = WORKLOADS.iter().find(|(name, _)| *name == run.workload);
    found.map(|(_, workload)| *workload)
}

fn main(_: usize) {
    let config = crate::start::config();
    let task = Task { seed: config.seed };
    let several = config.workloads().count() > 1 || config.wants_init();
    let mut names = String::new();
    let mut last = String::new();
    for run in config.workloads() {
        let Some(workload) = find(run) else { continue };
        match workload(&task, run.params.clone()) {
            Ok(what) => last = what,
            Err(Failure(why)) => verdict::fail(format_args!("{}: {why}", run.workload)),
        }
        if several {
            say!("done: {last}");
            names.push(' ');
            names.push_str(run.workload);
        }
    }
    if config.wants_init() {
        if config.rain == Switch::On
            && let Err(Failure(why)) = background::begin()
        {
            verdict::fail(format_args!("rain: {why}"));
        }
        user::start();
    } else if several {
        let runs = config.workloads().count();
        verdict::pass(format_args!("{runs} runs:{names}"));
    } else {
        verdict::pass(format_args!("{last}"));
    }
}
