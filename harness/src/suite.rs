//! Everything `petrel test` does, step by step.
//!
//! No step stops the next: one run says everything that is wrong. Each step's whole output is kept
//! under `target/test-logs`; on the terminal stand its name, its time, how it ended, and the end of
//! the output of what failed. A step that ran no test where tests are expected has failed: a
//! suite that checks nothing must not look like one that passed.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cargo::{KERNEL, TARGET, cargo};
use crate::junit::{self, Outcome, Suite};
use crate::programs::{self, Package};
use crate::run::tail;
use crate::workspace::{Build, Workspace};

/// What runs on the host only.
const ON_THE_HOST: [&str; 2] = ["petrel-harness", "petrel-fuzz"];

/// How many lines of a failed step are shown.
const SHOWN_LINES: usize = 40;

/// One step.
#[derive(Debug)]
pub struct Step {
    name: &'static str,
    command: Command,
    kind: Kind,
}

/// What a step's output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It is right or wrong as a whole.
    Check,
    /// It prints each test as Rust's test programs do; there must be one at least.
    Tests,
    /// The same, and the lines are shown as they come, because it takes long.
    SlowTests,
    /// The same as `Tests`, but there may be none.
    PerhapsTests,
}

/// All steps: formatting, lints, host tests, user space, both kernels, the scenarios.
///
/// # Errors
/// When this program cannot say where it is, or Cargo which packages there are.
pub fn all(workspace: &Workspace) -> Result<Vec<Step>> {
    let mut steps = vec![format(workspace)];
    steps.push(Step::cargo(
        workspace,
        "clippy on the host",
        Kind::Check,
        &["clippy", "--all-targets", "--", "-D", "warnings"],
    ));
    let deny = ["--", "-D", "warnings"];
    let user = programs::packages(workspace)?;
    let mut on_target = vec!["clippy", "--workspace"];
    on_target.extend(
        ON_THE_HOST
            .iter()
            .flat_map(|package| ["--exclude", package]),
    );
    on_target.extend(user.iter().flat_map(|package| ["--exclude", &package.name]));
    on_target.extend(["--target", TARGET]);
    steps.push(Step::cargo(
        workspace,
        "clippy on the target",
        Kind::Check,
        &[&on_target[..], &deny].concat(),
    ));
    let planted = [
        "clippy",
        "--package",
        KERNEL,
        "--features",
        "planted",
        "--target",
        TARGET,
    ];
    steps.push(Step::cargo(
        workspace,
        "clippy on the planted kernel",
        Kind::Check,
        &[&planted[..], &deny].concat(),
    ));
    steps.extend(user_space(workspace, &user));
    steps.push(host_tests(workspace));
    steps.push(Step::cargo(
        workspace,
        "documentation tests",
        Kind::PerhapsTests,
        &["test", "--doc", "--no-fail-fast"],
    ));
    for build in [Build::Normal, Build::Planted] {
        steps.push(image(build)?);
    }
    steps.push(Step::own(
        "scenarios in QEMU",
        Kind::SlowTests,
        &["scenarios"],
    )?);
    Ok(steps)
}

/// The short form: formatting, host tests, one boot.
///
/// # Errors
/// When this program cannot say where it is.
pub fn quick(workspace: &Workspace) -> Result<Vec<Step>> {
    Ok(vec![
        format(workspace),
        host_tests(workspace),
        image(Build::Normal)?,
        Step::own(
            "one boot",
            Kind::SlowTests,
            &["scenarios", "--exact", "boot/cpus-4"],
        )?,
    ])
}

fn format(workspace: &Workspace) -> Step {
    Step::cargo(
        workspace,
        "formatting",
        Kind::Check,
        &["fmt", "--all", "--check"],
    )
}

fn host_tests(workspace: &Workspace) -> Step {
    Step::cargo(
        workspace,
        "host tests",
        Kind::Tests,
        &["test", "--tests", "--no-fail-fast"],
    )
}

/// Lints of all that runs at EL0, and the tests of what can also run here. Nothing where nothing is.
fn user_space(workspace: &Workspace, packages: &[Package]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |name, kind, before: &[&str], chosen: fn(&Package) -> bool, after: &[&str]| {
        let chosen = packages.iter().filter(|package| chosen(package));
        let named: Vec<&str> = chosen
            .flat_map(|p| ["--package", p.name.as_str()])
            .collect();
        if !named.is_empty() {
            let arguments = [before, &named, after].concat();
            steps.push(Step::cargo(workspace, name, kind, &arguments));
        }
    };
    step(
        "clippy on user space",
        Kind::Check,
        &["clippy", "--target", programs::TARGET],
        |_| true,
        &["--", "-D", "warnings"],
    );
    step(
        "tests of user space on the host",
        Kind::Tests,
        &["test", "--lib", "--no-fail-fast"],
        |package| package.tested_on_the_host,
        &[],
    );
    steps
}

fn image(build: Build) -> Result<Step> {
    match build {
        Build::Normal => Step::own("the kernel and the programs", Kind::Check, &["image"]),
        Build::Planted => Step::own("the planted kernel", Kind::Check, &["image", "--planted"]),
    }
}

impl Step {
    fn cargo(workspace: &Workspace, name: &'static str, kind: Kind, arguments: &[&str]) -> Self {
        let mut command = cargo(workspace);
        command.args(arguments);
        Self {
            name,
            command,
            kind,
        }
    }

    fn own(name: &'static str, kind: Kind, arguments: &[&str]) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program itself")?;
        let mut command = Command::new(program);
        command.args(arguments);
        Ok(Self {
            name,
            command,
            kind,
        })
    }

    /// Runs it and returns how it went. `log` gets all of its output.
    fn run(mut self, log: &std::path::Path) -> Result<Suite> {
        let started = Instant::now();
        let (reader, writer) = io::pipe().context("cannot make a pipe")?;
        self.command
            .stdin(Stdio::null())
            .stdout(writer.try_clone().context("cannot make a pipe")?)
            .stderr(writer);
        let mut child = self
            .command
            .spawn()
            .with_context(|| format!("cannot start {}", self.command.get_program().display()))?;
        // It holds our copies of the pipe's writing end: the loop below would never end.
        drop(self.command);

        let mut output = String::new();
        for line in BufReader::new(reader).split(b'\n') {
            let line = line.context("cannot read a step's output")?;
            let line = String::from_utf8_lossy(&line);
            if self.kind == Kind::SlowTests && test_line(&line).is_some() {
                println!("      {line}");
            }
            output.push_str(&line);
            output.push('\n');
        }
        let status = child.wait().context("cannot wait for a step")?;
        fs::write(log, &output).with_context(|| format!("cannot write {}", log.display()))?;

        let outcome = if status.success() {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        let mut cases = match self.kind {
            Kind::Check => vec![(self.name.to_owned(), outcome)],
            _ => test_lines(&output),
        };
        let failed = cases.iter().any(|(_, outcome)| *outcome == Outcome::Failed);
        if !status.success() && !failed {
            cases.push((status.to_string(), Outcome::Failed));
        }
        if cases.is_empty() && self.kind != Kind::PerhapsTests {
            cases.push(("ran no test".to_owned(), Outcome::Failed));
        }
        Ok(Suite {
            name: self.name.to_owned(),
            elapsed: started.elapsed(),
            cases,
            details: tail(&output, SHOWN_LINES),
        })
    }
}

/// The tests in the output of Rust's test programs.
fn test_lines(output: &str) -> Vec<(String, Outcome)> {
    output.lines().filter_map(test_line).collect()
}

/// One of them: `test some::name ... ok`.
fn test_line(line: &str) -> Option<(String, Outcome)> {
    let (name, how) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let outcome = match how.split([' ', ',', '(', '<']).next()? {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        "ignored" => Outcome::Skipped,
        _ => return None,
    };
    Some((name.trim_end().to_owned(), outcome))
}

/// What all steps came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tests and checks that passed.
    pub passed: usize,
    /// Those that failed.
    pub failed: usize,
    /// Those left out.
    pub skipped: usize,
}

/// Runs all steps, one after the other, and sums up on standard output.
///
/// # Errors
/// When a step cannot be run at all. One that fails is no error: see the totals.
pub fn run(workspace: &Workspace, steps: Vec<Step>) -> Result<Totals> {
    let logs = workspace.logs();
    fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    let (started, count) = (Instant::now(), steps.len());
    let mut suites = Vec::new();
    for (index, step) in steps.into_iter().enumerate() {
        let number = index + 1;
        let log = logs.join(format!("{number:02}-{}.log", step.name.replace(' ', "-")));
        print!("[{number}/{count}] {} ...", step.name);
        if step.kind == Kind::SlowTests {
            println!();
        }
        io::stdout().flush().context("cannot write")?;
        let slow = step.kind == Kind::SlowTests;
        let suite = step.run(&log)?;
        let failed = suite.count(Outcome::Failed);
        let how = if failed == 0 { "ok" } else { "FAILED" };
        let indent = if slow { "     " } else { "" };
        println!("{indent} {how} ({})", seconds(suite.elapsed));
        if failed > 0 {
            println!("{}", suite.details);
            println!("      all of it: {}", workspace.relative(&log).display());
        }
        suites.push(suite);
    }
    let report = logs.join("junit.xml");
    fs::write(&report, junit::report(&suites))
        .with_context(|| format!("cannot write {}", report.display()))?;
    Ok(summary(&suites, started.elapsed()))
}

/// Prints what each suite came to, and last of all a line for programs.
fn summary(suites: &[Suite], elapsed: Duration) -> Totals {
    println!(
        "\n{:32} {:>7} {:>7} {:>8}  time",
        "", "passed", "failed", "skipped"
    );
    let mut totals = Totals::default();
    for suite in suites {
        let count = |outcome| suite.count(outcome);
        let (passed, failed) = (count(Outcome::Passed), count(Outcome::Failed));
        let skipped = count(Outcome::Skipped);
        let time = seconds(suite.elapsed);
        println!(
            "{:32} {passed:7} {failed:7} {skipped:8}  {time}",
            suite.name
        );
        totals.passed += passed;
        totals.failed += failed;
        totals.skipped += skipped;
    }
    for suite in suites {
        for (name, _) in suite
            .cases
            .iter()
            .filter(|(_, outcome)| *outcome == Outcome::Failed)
        {
            println!("FAILED: {}: {name}", suite.name);
        }
    }
    println!("all steps: {}", seconds(elapsed));
    print!("{} passed, {} failed", totals.passed, totals.failed);
    match totals.skipped {
        0 => println!(),
        skipped => println!(", {skipped} skipped"),
    }
    totals
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_understood() {
        let output = "running 4 tests\n\
            test a::b ... ok\n\
            test src/lib.rs - x (line 3) - compile fail ... ok\n\
            test boot/cpus-1 ... FAILED\n\
            test [needs QEMU 10.0] mask/allint ... ignored\n\
            test slow ... ok <1.2s>\n\
            test result: FAILED. 2 passed; 1 failed; 1 ignored\n";
        let outcomes: Vec<_> = test_lines(output)
            .into_iter()
            .map(|(_, outcome)| outcome)
            .collect();
        use Outcome::{Failed, Passed, Skipped};
        assert_eq!(outcomes, [Passed, Passed, Failed, Skipped, Passed]);
    }

    fn step(script: &str, kind: Kind) -> Suite {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let log =
            std::env::temp_dir().join(format!("petrel-suite-{}-{kind:?}", std::process::id()));
        let suite = Step {
            name: "a step",
            command,
            kind,
        }
        .run(&log)
        .expect("sh starts");
        let _ = fs::remove_file(log);
        suite
    }

    #[test]
    fn a_step_that_tests_nothing_has_failed() {
        assert_eq!(step("true", Kind::Tests).count(Outcome::Failed), 1);
        assert_eq!(step("true", Kind::PerhapsTests).count(Outcome::Failed), 0);
        assert_eq!(step("true", Kind::Check).count(Outcome::Passed), 1);
    }

    #[test]
    fn a_step_that_dies_after_passing_tests_has_failed() {
        let suite = step("echo 'test a ... ok'; exit 3", Kind::SlowTests);
        assert_eq!(
            (suite.count(Outcome::Passed), suite.count(Outcome::Failed)),
            (1, 1)
        );
    }
}
