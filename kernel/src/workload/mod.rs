//! Workloads: what the kernel is put through, each with a verdict and with counters that prove that
//! it hit what it claims.

pub(crate) mod background;
mod bench;
mod crash;
mod fault;
mod histogram;
mod idle;
mod ipi;
mod masked;
mod preempt;
mod rain;
mod random;
mod space;
mod storm;
mod support;
mod withdrawn;

use crate::thread::{self, Spec};
use crate::{say, smp, user, verdict};
use alloc::string::String;
use boot::args::{Config, Params, Run, Switch};
use core::fmt;
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
type Workload = fn(&Task, Params<'static>) -> Result<String, Failure>;

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
    ("space", space::run),
    ("bench", bench::run),
];

/// The self-test has passed on every CPU before any workload runs.
fn selftest(_: &Task, params: Params<'static>) -> Result<String, Failure> {
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
