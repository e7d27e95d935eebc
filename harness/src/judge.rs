//! The judge's own tests: tiny guests that end in each of the wrong ways.
//!
//! A judge that calls a crash a pass makes every other test worthless, so these run before the
//! scenarios, each through the same QEMU, the same pipe and the same bound as a kernel does.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::dialogue::Dialogue;
use crate::guest::Program;
use crate::lab::Lab;
use crate::machine::{Boot, Machine};
use crate::run::{self, Input, Options};
use crate::verdict::{Breakage, Verdict};

/// One guest, and the verdict it must get.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it does.
    pub name: &'static str,
    program: Program,
    machine: Machine,
    dialogue: Dialogue,
    verdict: Verdict,
}

/// Long enough for a guest of a few instructions, also on a busy host.
const BOUND: Duration = Duration::from_secs(20);

/// For the guest that needs the bound.
const SHORT_BOUND: Duration = Duration::from_secs(1);

/// More than any of these guests means to say.
const OUTPUT_LIMIT_BYTES: usize = 64 << 10;

/// All of them.
pub fn cases() -> Vec<Case> {
    let said = |text: &str| Program::new().print(text);
    let case = |name, program, verdict| Case {
        name,
        program,
        machine: Machine::default().cpus(1),
        dialogue: Dialogue::new(),
        verdict,
    };
    let broken = |name, program, breakage| case(name, program, Verdict::Broken(breakage));
    let no_verdict = |status, last: &str| Breakage::NoVerdict {
        status,
        last: last.to_owned(),
    };
    let disagree = |line: &str, status| Breakage::Disagree {
        line: line.to_owned(),
        status,
    };
    let pass = || Verdict::Pass("all".to_owned());
    vec![
        case(
            "a-pass",
            said("hello\r\npetrel: PASS all\r\n").exit(0),
            pass(),
        ),
        Case {
            machine: Machine::default().cpus(1).exact(),
            ..case(
                "a-pass-under-icount",
                said("petrel: PASS all\n").exit(0),
                pass(),
            )
        },
        Case {
            machine: Machine::default().cpus(4).cpu("cortex-a57").el2().secure(),
            ..case(
                "a-pass-elsewhere",
                said("petrel: PASS all\n").exit(0),
                pass(),
            )
        },
        case(
            "a-failure",
            said("petrel: FAIL it\n").exit(1),
            Verdict::Fail("it".to_owned()),
        ),
        broken(
            "a-pass-with-status-1",
            said("petrel: PASS all\n").exit(1),
            disagree("petrel: PASS all", 1),
        ),
        broken(
            "a-failure-with-status-0",
            said("petrel: FAIL it\n").exit(0),
            disagree("petrel: FAIL it", 0),
        ),
        broken(
            "a-status-nobody-knows",
            said("petrel: PASS all\n").exit(7),
            disagree("petrel: PASS all", 7),
        ),
        broken(
            "words-after-the-verdict",
            said("petrel: PASS all\nand a fault\n").exit(0),
            no_verdict(0, "and a fault"),
        ),
        broken(
            "an-exit-without-a-verdict",
            said("hello\n").exit(0),
            no_verdict(0, "hello"),
        ),
        broken(
            "a-power-off",
            said("oops\n").power_off(),
            no_verdict(0, "oops"),
        ),
        Case {
            dialogue: Dialogue::new().then("name? ", "P").then("P or F? ", "ASS"),
            ..case(
                "a-dialogue",
                said("name? ")
                    .echo()
                    .print(" P or F? ")
                    .echo()
                    .echo()
                    .echo()
                    .print("\npetrel: PASS all\n")
                    .exit(0),
                pass(),
            )
        },
        broken(
            "a-hang-after-a-pass",
            said("petrel: PASS all\n").hang(),
            Breakage::OverBound(SHORT_BOUND),
        ),
        broken(
            "output-without-end",
            said("on and on\n").again(),
            Breakage::OverOutput(OUTPUT_LIMIT_BYTES),
        ),
    ]
}

impl Case {
    /// Runs the guest and compares.
    ///
    /// # Errors
    /// When the verdict is another one.
    pub fn run(&self, lab: &Lab) -> Result<()> {
        let folder = lab.workspace().logs().join("judge");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let image = folder.join(self.name).with_extension("img");
        fs::write(&image, self.program.image(0x20_0000))
            .with_context(|| format!("cannot write {}", image.display()))?;
        let line = self.machine.command_line(lab.qemu(), &Boot::new(image, ""));
        let options = Options {
            bound: match self.verdict {
                Verdict::Broken(Breakage::OverBound(bound)) => bound,
                _ => BOUND,
            },
            output_limit_bytes: OUTPUT_LIMIT_BYTES,
            input: Input::Typed(self.dialogue.clone()),
            ..Options::default()
        };
        let run = run::run(&line, options, &mut |_| {})?;
        let verdict = Verdict::of(&run);
        ensure!(
            verdict == self.verdict && run.unanswered.is_none(),
            "expected {:?}, but the verdict is {verdict:?}\n{}\nrepeat: {line}",
            self.verdict,
            run.tail(40)
        );
        Ok(())
    }
}
