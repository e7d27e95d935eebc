//! What a run proved.
//!
//! Two witnesses must agree: the last line of the output and the exit status. Neither is enough
//! alone. A guest that crashes and powers off has exit status 0; a guest that prints its line and
//! hangs, or goes on and faults, has printed PASS. Whatever is not a clean pass or a clean, spoken
//! failure is a [`Breakage`], and says which.

use std::fmt;
use std::time::Duration;

use crate::run::{Ended, Run};

/// Exit status of a run that passed.
const STATUS_PASS: i32 = 0;
/// Exit status of a run that failed and said so.
const STATUS_FAIL: i32 = 1;

/// What a run proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel says that all is well, and QEMU agrees.
    Pass(String),
    /// The kernel says what is wrong, and QEMU agrees.
    Fail(String),
    /// The run did not come to a proper end.
    Broken(Breakage),
}

/// How a run missed its proper end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breakage {
    /// The host's bound ended it.
    OverBound(Duration),
    /// It printed without end.
    OverOutput(usize),
    /// Ctrl-C ended it.
    Interrupted,
    /// QEMU died of a signal.
    Signalled(i32),
    /// QEMU ended, but the last line is no verdict.
    NoVerdict {
        /// The exit status.
        status: i32,
        /// The last line there is.
        last: String,
    },
    /// The last line and the exit status say different things.
    Disagree {
        /// The last line.
        line: String,
        /// The exit status.
        status: i32,
    },
}

impl Verdict {
    /// Judges a run.
    pub fn of(run: &Run) -> Self {
        let status = match run.ended {
            Ended::Exited(status) => status,
            Ended::Signalled(signal) => return Self::Broken(Breakage::Signalled(signal)),
            Ended::OverBound(bound) => return Self::Broken(Breakage::OverBound(bound)),
            Ended::OverOutput(bytes) => return Self::Broken(Breakage::OverOutput(bytes)),
            Ended::Interrupted => return Self::Broken(Breakage::Interrupted),
        };
        let text = run.text();
        let last = text
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("");
        match (spoken(last), status) {
            (Some(Spoken::Pass(what)), STATUS_PASS) => Self::Pass(what.to_owned()),
            (Some(Spoken::Fail(why)), STATUS_FAIL) => Self::Fail(why.to_owned()),
            (Some(_), _) => Self::Broken(Breakage::Disagree {
                line: last.to_owned(),
                status,
            }),
            (None, _) => Self::Broken(Breakage::NoVerdict {
                status,
                last: last.to_owned(),
            }),
        }
    }
}

/// What the last line says.
enum Spoken<'a> {
    Pass(&'a str),
    Fail(&'a str),
}

fn spoken(line: &str) -> Option<Spoken<'_>> {
    let said = line.trim_end().strip_prefix("petrel: ")?;
    let after = |word| {
        said.strip_prefix(word)
            .filter(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    after("PASS")
        .map(|what| Spoken::Pass(what.trim_start()))
        .or_else(|| after("FAIL").map(|why| Spoken::Fail(why.trim_start())))
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass(what) => write!(f, "passed: {what}"),
            Self::Fail(why) => write!(f, "failed: {why}"),
            Self::Broken(breakage) => breakage.fmt(f),
        }
    }
}

impl fmt::Display for Breakage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OverBound(bound) => write!(
                f,
                "no end within {} s of host time: the bound ended QEMU (a last guard: the kernel \
                 hangs, or this computer is far too busy)",
                bound.as_secs_f32()
            ),
            Self::OverOutput(bytes) => write!(f, "printed more than {bytes} bytes: QEMU was ended"),
            Self::Interrupted => f.write_str("interrupted: QEMU was ended"),
            Self::Signalled(signal) => write!(f, "QEMU died of signal {signal}"),
            Self::NoVerdict { status, last } => {
                write!(
                    f,
                    "the output does not end with `petrel: PASS` or `petrel: FAIL`: "
                )?;
                match last.as_str() {
                    "" => f.write_str("there is none"),
                    last => write!(f, "the last line is `{last}`"),
                }?;
                write!(f, " (exit status {status})")
            }
            Self::Disagree { line, status } => write!(
                f,
                "the last line is `{line}`, but the exit status is {status} ({STATUS_PASS} goes \
                 with PASS, {STATUS_FAIL} with FAIL)"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(output: &str, ended: Ended) -> Verdict {
        Verdict::of(&Run {
            output: output.as_bytes().to_vec(),
            ended,
            elapsed: Duration::ZERO,
            unanswered: None,
        })
    }

    #[test]
    fn two_witnesses_that_agree() {
        let pass = judge("hello\r\npetrel: PASS selftest\r\n", Ended::Exited(0));
        assert_eq!(pass, Verdict::Pass("selftest".to_owned()));
        let fail = judge("petrel: FAIL no tick", Ended::Exited(1));
        assert_eq!(fail, Verdict::Fail("no tick".to_owned()));
    }

    #[test]
    fn two_witnesses_that_disagree() {
        for (line, status) in [
            ("petrel: PASS x", 1),
            ("petrel: FAIL x", 0),
            ("petrel: PASS x", 2),
            ("petrel: FAIL x", 255),
        ] {
            let disagree = Breakage::Disagree {
                line: line.to_owned(),
                status,
            };
            assert_eq!(
                judge(line, Ended::Exited(status)),
                Verdict::Broken(disagree)
            );
        }
    }

    #[test]
    fn the_verdict_must_be_the_last_line() {
        for output in [
            "",
            "petrel: PASS x\nqemu-system-aarch64: oops\n",
            "petrel: PASSED",
            " petrel: PASS x",
            "petrel: hello",
        ] {
            assert!(matches!(
                judge(output, Ended::Exited(0)),
                Verdict::Broken(Breakage::NoVerdict { status: 0, .. })
            ));
        }
    }

    #[test]
    fn a_line_does_not_save_a_run_that_was_ended() {
        let bound = Duration::from_secs(1);
        for (ended, breakage) in [
            (Ended::OverBound(bound), Breakage::OverBound(bound)),
            (Ended::OverOutput(7), Breakage::OverOutput(7)),
            (Ended::Signalled(11), Breakage::Signalled(11)),
            (Ended::Interrupted, Breakage::Interrupted),
        ] {
            assert_eq!(judge("petrel: PASS x\n", ended), Verdict::Broken(breakage));
        }
    }
}
