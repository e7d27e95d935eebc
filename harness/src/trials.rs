//! The scenarios, the binary checker, and the judge's own tests, as tests.
//!
//! Run as Cargo runs tests: `petrel scenarios [filter] [--list] [--exact] [--skip …]`, or
//! `cargo test -p petrel-harness --test scenarios -- [the same]`. Two at a time at most, since
//! each of them may keep several host threads busy.

use std::sync::Arc;

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

use crate::check::Check;
use crate::lab::Lab;
use crate::{binary, judge, scenarios, trace, witness};

/// How many QEMUs run at the same time.
const AT_A_TIME: usize = 2;

/// Runs what the arguments (as for any Rust test program) select, and prints how it went.
///
/// # Errors
/// When there is no QEMU. A kernel that does not build is a failure of each test that needs it.
pub fn run(mut arguments: Arguments) -> anyhow::Result<Conclusion> {
    let lab = Arc::new(Lab::open()?);
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(AT_A_TIME).min(AT_A_TIME));
    Ok(libtest_mimic::run(&arguments, trials(&lab)))
}

/// All checks that are no scenarios.
pub fn checks() -> Vec<Check> {
    let mut checks = binary::checks();
    checks.extend(witness::checks());
    checks.extend(trace::checks());
    checks
}

fn trials(lab: &Arc<Lab>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for case in judge::cases() {
        let lab = Arc::clone(lab);
        trials.push(Trial::test(format!("judge/{}", case.name), move || {
            case.run(&lab).map_err(|error| failed(&error))
        }));
    }
    for check in checks() {
        let lab = Arc::clone(lab);
        trials.push(Trial::test(check.name, move || {
            (check.run)(&lab).map_err(|error| failed(&error))
        }));
    }
    for scenario in scenarios::all() {
        let version = lab.qemu().version();
        let missing = scenario.tool.filter(|tool| !tool.is_there(version));
        let lab = Arc::clone(lab);
        let trial = Trial::test(scenario.name.clone(), move || {
            scenario.run(&lab).map_err(|error| failed(&error))
        });
        trials.push(match missing {
            Some(tool) => trial
                .with_kind(format!("needs {tool}"))
                .with_ignored_flag(true),
            None => trial,
        });
    }
    trials
}

fn failed(error: &anyhow::Error) -> Failed {
    Failed::from(format!("{error:#}"))
}
