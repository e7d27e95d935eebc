//! One run with what it must show.
//!
//! A scenario says which machine, which boot arguments, and what must come of it; the rest is the
//! same for all. Nothing about a single scenario stands here: the table is [`crate::scenarios`].
//! Every run leaves its log under `target/test-logs/scenarios`, with the command line on top.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::c;
use crate::dialogue::Dialogue;
use crate::dtb::Node;
use crate::init_image;
use crate::lab::Lab;
use crate::machine::{Boot, Machine};
use crate::qemu::Version;
use crate::run::{self, DEFAULT_BOUND, Input, Options, Run};
use crate::shim::{self, Blob};
use crate::verdict::Verdict;
use crate::workspace::{Build, Workspace};

/// How many lines of a failed run's output are shown.
const SHOWN_LINES: usize = 40;

/// Where the kernel's device tree comes from.
#[derive(Clone, Copy, Debug)]
pub enum Tree {
    /// From QEMU, as it is.
    Own,
    /// From QEMU, changed, and given back to QEMU, which checks it.
    Changed(fn(&mut Node) -> Result<()>),
    /// From QEMU, changed, and given to the kernel behind QEMU's back.
    Shimmed(fn(&mut Node) -> Result<()>),
    /// The same, but the bytes are changed, not the tree.
    Broken(fn(Vec<u8>) -> Blob),
}

/// Which init image the kernel finds.
#[derive(Clone, Copy, Debug)]
pub enum InitImage {
    /// The one with the programs.
    Own,
    /// None.
    Absent,
    /// These bytes, made of the own one's.
    Changed(fn(Vec<u8>) -> Result<Vec<u8>>),
    /// The one with the programs, and under `extra/` the files that this puts into an empty folder.
    Extra(fn(&Path) -> Result<()>),
}

/// What a scenario needs that a machine may lack; without it, it is left out, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// QEMU, at least so new.
    Qemu(Version),
    /// A C compiler for AArch64.
    CCompiler,
}

impl Tool {
    /// Whether this machine has it.
    pub fn is_there(self, qemu: Version) -> bool {
        match self {
            Self::Qemu(oldest) => qemu >= oldest,
            Self::CCompiler => c::compiler(&Workspace::here()).is_some(),
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Qemu(oldest) => write!(f, "QEMU {oldest}"),
            Self::CCompiler => f.write_str("a C compiler for AArch64"),
        }
    }
}

/// What a scenario must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// `petrel: PASS`.
    Pass,
    /// `petrel: FAIL`, with a reason that contains this.
    Fail(&'static str),
}

/// How often it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Once.
    Once,
    /// Twice, and every byte of the output must be the same.
    TwiceIdentical,
}

/// One run with what it must show.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name: `group/what`. Unique.
    pub name: String,
    /// The hardware.
    pub machine: Machine,
    /// The boot arguments.
    pub bootargs: String,
    /// Which kernel.
    pub build: Build,
    /// Which device tree.
    pub tree: Tree,
    /// Which init image.
    pub init_image: InitImage,
    /// Writes what is on the disk into that file; without it, there is no disk.
    pub disk: Option<fn(&Path) -> Result<()>>,
    /// What must be true of the disk when the machine is off.
    pub leaves: Option<fn(&Path) -> Result<()>>,
    /// What it must come to.
    pub expect: Expect,
    /// What the output must contain.
    pub needs: Vec<&'static str>,
    /// What is typed at its keyboard, and when.
    pub dialogue: Option<Dialogue>,
    /// Host time after which QEMU is ended.
    pub bound: Duration,
    /// How often it runs.
    pub repeat: Repeat,
    /// What it needs beside a QEMU.
    pub tool: Option<Tool>,
}

impl Scenario {
    /// A scenario on the default machine that must pass.
    pub fn passes(name: impl Into<String>, bootargs: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            machine: Machine::default(),
            bootargs: bootargs.into(),
            build: Build::Normal,
            tree: Tree::Own,
            init_image: InitImage::Own,
            disk: None,
            leaves: None,
            expect: Expect::Pass,
            needs: Vec::new(),
            dialogue: None,
            bound: DEFAULT_BOUND,
            repeat: Repeat::Once,
            tool: None,
        }
    }

    /// A scenario on the default machine that must fail, with a reason that contains `why`.
    pub fn fails(name: impl Into<String>, bootargs: impl Into<String>, why: &'static str) -> Self {
        Self {
            expect: Expect::Fail(why),
            ..Self::passes(name, bootargs)
        }
    }

    /// On this machine.
    #[must_use]
    pub fn on(mut self, machine: Machine) -> Self {
        self.machine = machine;
        self
    }

    /// With the kernel that has the planted bugs.
    #[must_use]
    pub fn planted(mut self) -> Self {
        self.build = Build::Planted;
        self
    }

    /// With this device tree.
    #[must_use]
    pub fn tree(mut self, tree: Tree) -> Self {
        self.tree = tree;
        self
    }

    /// With this init image.
    #[must_use]
    pub fn init_image(mut self, init_image: InitImage) -> Self {
        self.init_image = init_image;
        self
    }

    /// With a disk; `write` writes what is on it into a file. Made anew for each run.
    #[must_use]
    pub fn disk(mut self, write: fn(&Path) -> Result<()>) -> Self {
        self.disk = Some(write);
        self
    }

    /// When the machine is off, `check` looks at the disk.
    #[must_use]
    pub fn leaves(mut self, check: fn(&Path) -> Result<()>) -> Self {
        self.leaves = Some(check);
        self
    }

    /// The output must contain this, too.
    #[must_use]
    pub fn needs(mut self, text: &'static str) -> Self {
        self.needs.push(text);
        self
    }

    /// Waits until this is printed, and types that; `\n` is the return key. Each looks behind what the one
    /// before it found. All of it must come to pass.
    #[must_use]
    pub fn types(mut self, awaits: &str, types: &str) -> Self {
        let dialogue = self.dialogue.take().unwrap_or_default();
        self.dialogue = Some(dialogue.then(awaits, types));
        self
    }

    /// Waits until this is printed, behind what was waited for before.
    #[must_use]
    pub fn sees(self, awaits: &str) -> Self {
        self.types(awaits, "")
    }

    /// With another bound, in seconds of host time.
    #[must_use]
    pub fn bound_seconds(mut self, seconds: u64) -> Self {
        self.bound = Duration::from_secs(seconds);
        self
    }

    /// Twice, with the same bytes printed. For [exact](Machine::exact) machines.
    #[must_use]
    pub fn twice_identical(mut self) -> Self {
        self.repeat = Repeat::TwiceIdentical;
        self
    }

    /// Left out on a QEMU older than this.
    #[must_use]
    pub fn since_qemu(mut self, oldest: Version) -> Self {
        self.tool = Some(Tool::Qemu(oldest));
        self
    }

    /// Left out where there is no C compiler for AArch64.
    #[must_use]
    pub fn compiles_c(mut self) -> Self {
        self.tool = Some(Tool::CCompiler);
        self
    }

    /// The same with each mechanism, on one, two and four CPUs, dry and in the rain: what a program does at
    /// EL0 must not depend on any of them.
    pub fn everywhere(self) -> Vec<Self> {
        let mut all = Vec::new();
        for mask in ["pmr", "daif"] {
            for cpus in [1, 2, 4] {
                for rain in ["", "-rain"] {
                    let mut one = self.clone();
                    one.name = format!("{}-{mask}-{cpus}{rain}", self.name);
                    one.bootargs = format!("mask={mask} {}", self.bootargs);
                    one.machine = one.machine.cpus(cpus);
                    if !rain.is_empty() {
                        one.bootargs = format!("rain=on {}", one.bootargs);
                        one = one.needs("rain on ");
                    }
                    all.push(one);
                }
            }
        }
        all
    }

    /// Runs it.
    ///
    /// # Errors
    /// Whatever it did not show, with the end of its output, where all of it is kept, and the
    /// commands that repeat it.
    pub fn run(&self, lab: &Lab) -> Result<()> {
        let folder = lab
            .workspace()
            .logs()
            .join("scenarios")
            .join(self.name.replace('/', "-"));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut boot = self.boot(lab, &folder)?;
        boot.disk = self.disk.map(|_| folder.join("disk.img"));
        let attempt = Attempt {
            scenario: self,
            lab,
            boot,
        };
        let first = attempt.run(&folder.join("output.log"))?;
        if self.repeat == Repeat::TwiceIdentical {
            let second = attempt.run(&folder.join("output-again.log"))?;
            if let Some(difference) = difference(&first.text(), &second.text()) {
                bail!("two runs differ: {difference}{}", attempt.hint(&folder));
            }
        }
        Ok(())
    }

    /// What to start, with the files it needs made.
    fn boot(&self, lab: &Lab, folder: &Path) -> Result<Boot> {
        let kernel = lab.kernel(self.build)?;
        let mut boot = Boot::new(kernel, self.bootargs.as_str());
        // Into a tree of its own or of ours QEMU writes where the init image is; not into one that is handed
        // over behind its back.
        if matches!(self.tree, Tree::Own | Tree::Changed(_)) {
            boot.initrd = self.make_init_image(lab, folder)?;
        }
        match self.tree {
            Tree::Own => {}
            Tree::Changed(change) => {
                let path = folder.join("changed.dtb");
                let mut tree = Node::parse(&self.dumped_tree(lab, &boot, folder)?)?;
                change(&mut tree)?;
                fs::write(&path, tree.to_blob())
                    .with_context(|| format!("cannot write {}", path.display()))?;
                boot.dtb = Some(path);
            }
            Tree::Shimmed(change) => {
                let mut tree = Node::parse(&self.dumped_tree(lab, &boot, folder)?)?;
                change(&mut tree)?;
                boot = shim::boot(folder, kernel, &Blob::Bytes(tree.to_blob()))?;
            }
            Tree::Broken(damage) => {
                let tree = Node::parse(&self.dumped_tree(lab, &boot, folder)?)?;
                boot = shim::boot(folder, kernel, &damage(tree.to_blob()))?;
            }
        }
        Ok(boot)
    }

    /// The init image, made if it is not the usual one.
    fn make_init_image(&self, lab: &Lab, folder: &Path) -> Result<Option<PathBuf>> {
        let path = folder.join("initrd.cpio");
        match self.init_image {
            InitImage::Own => return lab.init_image().map(|path| Some(path.to_owned())),
            InitImage::Absent => return Ok(None),
            InitImage::Changed(change) => {
                let own = lab.init_image()?;
                let bytes =
                    fs::read(own).with_context(|| format!("cannot read {}", own.display()))?;
                fs::write(&path, change(bytes)?)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
            InitImage::Extra(fill) => {
                let extra = folder.join("extra");
                if extra.exists() {
                    fs::remove_dir_all(&extra)
                        .with_context(|| format!("cannot empty {}", extra.display()))?;
                }
                fs::create_dir_all(&extra)
                    .with_context(|| format!("cannot make {}", extra.display()))?;
                // What it may want to copy is built.
                lab.init_image()?;
                fill(&extra)?;
                init_image::make(lab.workspace(), Some(&extra), &path)?;
            }
        }
        Ok(Some(path))
    }

    /// The device tree that QEMU makes for this machine, boot arguments and all.
    fn dumped_tree(&self, lab: &Lab, boot: &Boot, folder: &Path) -> Result<Vec<u8>> {
        let path: PathBuf = folder.join("qemu.dtb");
        let line = self.machine.dump_dtb_command_line(lab.qemu(), boot, &path);
        let run = run::run(&line, Options::default(), &mut |_| {})?;
        fs::read(&path)
            .with_context(|| format!("QEMU gave no device tree: {}", run.tail(SHOWN_LINES)))
    }

    /// What the run did not show, if anything.
    fn judge(&self, run: &Run) -> Result<()> {
        if let Some(unanswered) = &run.unanswered {
            bail!("{unanswered}; {}", Verdict::of(run));
        }
        match (self.expect, Verdict::of(run)) {
            (Expect::Pass, Verdict::Pass(_)) => {}
            (Expect::Fail(why), Verdict::Fail(reason)) if reason.contains(why) => {}
            (Expect::Pass, verdict) => bail!("{verdict}"),
            (Expect::Fail(why), verdict) => {
                bail!("expected a failure that says `{why}`, but: {verdict}")
            }
        }
        let text = run.text();
        for need in &self.needs {
            ensure!(text.contains(need), "the output does not contain `{need}`");
        }
        Ok(())
    }
}

/// A scenario about to run.
struct Attempt<'a> {
    scenario: &'a Scenario,
    lab: &'a Lab,
    boot: Boot,
}

impl Attempt<'_> {
    fn run(&self, log: &Path) -> Result<Run> {
        let scenario = self.scenario;
        if let (Some(write), Some(disk)) = (scenario.disk, &self.boot.disk) {
            write(disk).with_context(|| format!("cannot make {}", disk.display()))?;
        }
        let line = scenario.machine.command_line(self.lab.qemu(), &self.boot);
        let options = Options {
            bound: scenario.bound,
            input: match &scenario.dialogue {
                Some(dialogue) => Input::Typed(dialogue.clone()),
                None => Input::Nothing,
            },
            ..Options::default()
        };
        let run = run::run(&line, options, &mut |_| {})?;
        let judged = scenario.judge(&run).and_then(|()| self.judge_disk());
        let mut kept = format!("$ {line}\n{}\n", run.text());
        let _ = writeln!(
            kept,
            "\n{:?} after {:.3} s",
            run.ended,
            run.elapsed.as_secs_f64()
        );
        if let Err(why) = &judged {
            let _ = writeln!(kept, "{why}");
        }
        fs::write(log, kept).with_context(|| format!("cannot write {}", log.display()))?;
        judged.map(|()| run.clone()).map_err(|why| {
            anyhow::anyhow!(
                "{why}\n--- the last {SHOWN_LINES} lines of its output\n{}\n---{}",
                run.tail(SHOWN_LINES),
                self.hint(log)
            )
        })
    }

    /// Whether the disk is as it is to be left.
    fn judge_disk(&self) -> Result<()> {
        match (self.scenario.leaves, &self.boot.disk) {
            (Some(check), Some(disk)) => check(disk).context("the disk, afterwards"),
            _ => Ok(()),
        }
    }

    /// Where to look, and what to type.
    fn hint(&self, log: &Path) -> String {
        format!(
            "\nkept:   {}\nrepeat: cargo run -p petrel-harness -- scenarios --exact {}\nalone:  {}",
            self.lab.workspace().relative(log).display(),
            self.scenario.name,
            self.scenario
                .machine
                .command_line(self.lab.qemu(), &self.boot),
        )
    }
}

/// The first line in which two outputs differ.
fn difference(first: &str, second: &str) -> Option<String> {
    if first == second {
        return None;
    }
    let (mut a, mut b) = (first.lines(), second.lines());
    let mut number = 1;
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) if a == b => number += 1,
            (None, None) => return Some("in the last newline".to_owned()),
            (a, b) => {
                let shown =
                    |line: Option<&str>| line.map_or("the end".to_owned(), |l| format!("`{l}`"));
                return Some(format!("line {number}: {} and {}", shown(a), shown(b)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialogue::Unanswered;
    use crate::run::Ended;

    fn run(output: &str, status: i32) -> Run {
        Run {
            output: output.as_bytes().to_vec(),
            ended: Ended::Exited(status),
            elapsed: Duration::ZERO,
            unanswered: None,
        }
    }

    #[test]
    fn a_failure_counts_only_for_its_reason() {
        let scenario = Scenario::fails("a", "", "frobnicate");
        assert!(
            scenario
                .judge(&run("petrel: FAIL boot argument `frobnicate`", 1))
                .is_ok()
        );
        assert!(
            scenario
                .judge(&run("frobnicate\npetrel: FAIL something else", 1))
                .is_err()
        );
        assert!(scenario.judge(&run("petrel: PASS frobnicate", 0)).is_err());
        assert!(scenario.judge(&run("petrel: FAIL frobnicate", 0)).is_err());
    }

    #[test]
    fn everywhere_is_twelve_places() {
        let all = Scenario::passes("el0/x", "run=exec:path=/bin/x").everywhere();
        let names: Vec<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names.len(), 12);
        assert!(names.contains(&"el0/x-pmr-1") && names.contains(&"el0/x-daif-4-rain"));
        let rained = all.iter().filter(|s| s.bootargs.contains("rain=on"));
        assert_eq!(rained.count(), 6);
        let daif = all.iter().filter(|s| s.bootargs.contains("mask=daif"));
        assert_eq!(daif.count(), 6);
    }

    #[test]
    fn what_was_never_asked_for_is_a_failure() {
        let scenario = Scenario::passes("a", "").types("petrel> ", "ps\n");
        let mut run = run("petrel: PASS", 0);
        run.unanswered = Some(Unanswered {
            step: 1,
            steps: 1,
            awaits: "petrel> ".to_owned(),
        });
        let error = scenario.judge(&run).expect_err("nothing was typed");
        assert!(error.to_string().contains("`petrel> `"));
    }

    #[test]
    fn what_is_needed_must_be_there() {
        let scenario = Scenario::passes("a", "").needs("4 CPUs");
        assert!(scenario.judge(&run("4 CPUs\npetrel: PASS", 0)).is_ok());
        let error = scenario
            .judge(&run("3 CPUs\npetrel: PASS", 0))
            .expect_err("one is missing");
        assert!(error.to_string().contains("4 CPUs"));
    }

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(
            difference("a\nb\n", "a\nc\n").as_deref(),
            Some("line 2: `b` and `c`")
        );
        assert_eq!(
            difference("a\n", "a\nc\n").as_deref(),
            Some("line 2: the end and `c`")
        );
        assert_eq!(
            difference("a\n", "a").as_deref(),
            Some("in the last newline")
        );
    }
}
