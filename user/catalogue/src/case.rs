//! What a case is, and how it says what is wrong.

use alloc::string::String;
use alloc::vec::Vec;

use rt::object::Machine;
use rt::service::files::{self, Files};
use rt::thread::{Builder, JoinHandle, default_priority};
use rt::{Error, Incoming, Message};

/// What was wrong, in a sentence.
#[derive(Debug)]
pub(crate) struct Wrong(pub(crate) String);

/// What became of a case.
pub(crate) type Outcome = Result<(), Wrong>;

/// A case, under the name of the case that it answers.
pub(crate) type Case = (&'static str, fn(&World) -> Outcome);

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self(alloc::format!("a call of the case itself failed: {error}"))
    }
}

impl From<rt::service::Error> for Wrong {
    fn from(error: rt::service::Error) -> Self {
        Self(alloc::format!("a service said: {error}"))
    }
}

/// Ends the case with that sentence unless `$condition` holds.
macro_rules! hold {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::case::Wrong(alloc::format!($($why)+)));
        }
    };
}
pub(crate) use hold;

/// Ends the case unless both are equal, saying what was expected and what was found.
macro_rules! equal {
    ($found:expr, $expected:expr, $($what:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => $crate::case::hold!(
                found == expected,
                "{}: expected {expected:?}, found {found:?}",
                format_args!($($what)+)
            ),
        }
    };
}
pub(crate) use equal;

/// Cases that ask for something in common.
pub(crate) struct Theme {
    /// Its name, as an argument.
    pub(crate) name: &'static str,
    /// Its cases.
    pub(crate) cases: &'static [Case],
    /// With fewer CPUs they do not apply.
    pub(crate) least_cpus: u32,
}

impl Theme {
    /// Cases that need one CPU.
    pub(crate) const fn new(name: &'static str, cases: &'static [Case]) -> Self {
        Self {
            name,
            cases,
            least_cpus: 1,
        }
    }

    /// The same with more CPUs.
    pub(crate) const fn needs_cpus(self, least_cpus: u32) -> Self {
        Self { least_cpus, ..self }
    }
}

/// What all cases may use.
pub(crate) struct World {
    /// CPUs that run.
    pub(crate) cpus: u32,
    /// The machine.
    pub(crate) machine: Machine,
    /// This program's own file, for the assistant.
    pub(crate) file: Vec<u8>,
}

/// Where this program lies.
pub(crate) const PATH: &str = "bin/catalogue";

impl World {
    pub(crate) fn new() -> Result<Self, Wrong> {
        let machine = rt::start::take::<Machine>("machine");
        let machine = machine.ok_or(Wrong(String::from("no machine among the grants")))?;
        let cpus = machine.list::<rt::abi::report::CpuReport>()?.len() as u32;
        let file = Files::connect(files::NAME)?.read_all(PATH, 16 << 20)?;
        Ok(Self {
            cpus,
            machine,
            file,
        })
    }

    /// How two threads can be placed: on the same CPU or on two, and which of them is more urgent.
    pub(crate) fn pairs(&self) -> Vec<(Builder, Builder)> {
        let level = default_priority();
        let mut pairs = Vec::new();
        for (one, other) in [(0, 0), (0, 1), (1, 0)] {
            for (low, high) in [(level, level), (level - 1, level), (level, level - 1)] {
                if one < self.cpus && other < self.cpus {
                    let on = |cpu: u32, level| Builder::new().cpus(1 << cpu).priority(level);
                    pairs.push((on(one, low), on(other, high)));
                }
            }
        }
        pairs
    }
}

/// Waits for a thread. What it returned.
pub(crate) fn joined<T>(thread: JoinHandle<T>) -> Result<T, Wrong> {
    let returned = thread.join()?;
    returned.ok_or_else(|| Wrong(String::from("a thread was ended that should have returned")))
}

/// The message that arrived, and its badge.
pub(crate) fn message(incoming: Incoming) -> Result<(Message, u64), Wrong> {
    match incoming {
        Incoming::Message(message, badge) => Ok((message, badge)),
        other => Err(Wrong(alloc::format!("expected a message, found {other:?}"))),
    }
}

/// The bits that arrived.
pub(crate) fn bits(incoming: Incoming) -> Result<u64, Wrong> {
    match incoming {
        Incoming::Bits(bits) => Ok(bits),
        other => Err(Wrong(alloc::format!(
            "expected bits of the bound notification, found {other:?}"
        ))),
    }
}
