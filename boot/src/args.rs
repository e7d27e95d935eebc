//! The boot arguments: what a person may ask of a boot.
//!
//! ```text
//! mask=daif|pmr|fiq|allint|auto     the mechanism that masks        pmr
//! ordinary=g1|g0                    group of ordinary interrupts    g1
//! order=gleixner                    the order in the entry paths    gleixner
//! seed=<number>                     of all that is random           1
//! log=error|warn|info|debug|trace   what is printed                 info
//! on_done=poweroff|shell            what follows the last run       poweroff
//! cpus=<number>                     bring up at most so many        all
//! run=<workload>[:<key>=<value>,…]  repeatable; what to do          user space
//! run=exec:path=<path>[,args=<…>]   repeatable; run that program    user space
//! ipc=fast|slow                     messages with or without fastpath fast
//! rain=off|on                       NMIs over user space            off
//! trace=off|on                      write the trace to the host     off
//! plant=<bug>                       in a build with planted bugs    none
//! ```
//!
//! Words are parted by blanks; there is no quoting. A word that is not understood is named and
//! refused, with what would have been permitted: a storm that ran with half of its arguments
//! ignored proves nothing. Which workloads there are, and which keys each knows, is not known here:
//! a workload takes its keys from [`Params`], whose [`Params::finish`] refuses the rest.
//!
//! **What runs, and in which order.** First the kernel's workloads, in the order of their `run=`. Then user
//! space, that is `init`, if there is anything for it to do ([`Config::wants_init`]): a program to run
//! (`run=exec:…`, in their order), a shell at the end (`on_done=shell`), or nothing was asked for at all. `init`
//! is given the text of the boot arguments, reads from it what is its own, and ends the machine.

mod error;
mod exec;
mod params;

pub use error::ArgError;
pub use exec::{EXEC, Exec};
pub use params::{MAX_COUNT, MAX_DURATION, MAX_KNOWN_KEYS, MAX_PARAMS, Params};

use core::num::NonZeroU32;
use heapless::Vec;

/// Room for `run=`.
pub const MAX_RUNS: usize = 8;

/// The keys, as messages list them.
pub const KEYS: &[&str] = &[
    "mask", "ordinary", "order", "seed", "log", "on_done", "cpus", "run", "ipc", "rain", "trace",
    "plant",
];

/// An enum whose variants are words of the command line, so that the words stand in one place.
macro_rules! words {
    (
        $(#[$about:meta])*
        pub enum $name:ident { $( $(#[$meaning:meta])* $variant:ident = $word:literal, )+ }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[$meaning])* $variant, )+ }

        impl $name {
            /// The words, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word that stands for this.
            pub const fn word(self) -> &'static str {
                Self::WORDS[self as usize]
            }

            /// What `word` stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $( $word => Some(Self::$variant), )+
                    _ => None,
                }
            }
        }
    };
}

words! {
    /// How exceptions are masked (`mask=`). Petrel's design calls it the mechanism.
    pub enum Mask {
        /// DAIF only; there are no NMIs.
        Daif = "daif",
        /// By priority; interrupts of high priority are NMIs.
        Pmr = "pmr",
        /// By PSTATE.I; NMIs are Group 0 interrupts, taken as FIQ.
        Fiq = "fiq",
        /// FEAT_NMI: by PSTATE.ALLINT.
        AllInt = "allint",
        /// The best that this machine has.
        Auto = "auto",
    }
}

words! {
    /// The interrupt group of ordinary interrupts (`ordinary=`).
    pub enum Ordinary {
        /// Group 1: they come by the IRQ vector.
        Group1 = "g1",
        /// Group 0: they come by the FIQ vector, where one security state is enough.
        Group0 = "g0",
    }
}

words! {
    /// The order of the steps in the entry paths (`order=`).
    pub enum Order {
        /// Masks are inherited before `irqentry_enter`; faults preempt too.
        Gleixner = "gleixner",
    }
}

words! {
    /// What is printed (`log=`): this and all that is worse.
    pub enum LogLevel {
        /// What failed.
        Error = "error",
        /// What is not as it should be.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// How it happens.
        Debug = "debug",
        /// Each step.
        Trace = "trace",
    }
}

words! {
    /// What follows when the last run has ended (`on_done=`).
    pub enum OnDone {
        /// The machine is switched off.
        PowerOff = "poweroff",
        /// The machine goes on, with a shell.
        Shell = "shell",
    }
}

words! {
    /// Which ways messages go (`ipc=`).
    pub enum Ipc {
        /// The fastpath where it fits.
        Fast = "fast",
        /// The slow path always: to compare.
        Slow = "slow",
    }
}

words! {
    /// Whether something is done at all.
    pub enum Switch {
        /// It is not.
        Off = "off",
        /// It is.
        On = "on",
    }
}

/// The boot arguments, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config<'a> {
    /// How exceptions are masked.
    pub mask: Mask,
    /// The group of ordinary interrupts.
    pub ordinary: Ordinary,
    /// The order in the entry paths.
    pub order: Order,
    /// Seed of all that is random.
    pub seed: u64,
    /// What is printed.
    pub log: LogLevel,
    /// What follows the last run.
    pub on_done: OnDone,
    /// At most so many CPUs are brought up, the boot CPU counted; `None`: all.
    pub cpus: Option<NonZeroU32>,
    /// What to run: the kernel's workloads in this order, then the programs in this order.
    pub runs: Vec<Run<'a>, MAX_RUNS>,
    /// Which ways messages go.
    pub ipc: Ipc,
    /// Whether NMIs rain on every CPU while user space runs.
    pub rain: Switch,
    /// Whether the trace rings are written to the host at the end.
    pub trace: Switch,
    /// The planted bug to switch on. Whether there is one of that name, and whether this build has
    /// any, is for the kernel to say.
    pub plant: Option<&'a str>,
}

impl Default for Config<'_> {
    fn default() -> Self {
        Self {
            mask: Mask::Pmr,
            ordinary: Ordinary::Group1,
            order: Order::Gleixner,
            seed: 1,
            log: LogLevel::Info,
            on_done: OnDone::PowerOff,
            cpus: None,
            runs: Vec::new(),
            ipc: Ipc::Fast,
            rain: Switch::Off,
            trace: Switch::Off,
            plant: None,
        }
    }
}

impl<'a> Config<'a> {
    /// The runs that are the kernel's own.
    pub fn workloads(&self) -> impl Iterator<Item = &Run<'a>> {
        self.runs.iter().filter(|run| run.workload != EXEC)
    }

    /// Whether user space is started when the kernel's workloads are done.
    pub fn wants_init(&self) -> bool {
        self.on_done == OnDone::Shell
            || self.runs.is_empty()
            || self.runs.iter().any(|run| run.workload == EXEC)
    }
}

/// One `run=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// Name of the workload. Whether there is one of that name is for the kernel to say.
    pub workload: &'a str,
    /// What it is given.
    pub params: Params<'a>,
}

/// Reads the boot arguments.
///
/// # Errors
/// [`ArgError`] names the first word that is not understood.
pub fn parse(arguments: &str) -> Result<Config<'_>, ArgError<'_>> {
    let mut config = Config::default();
    let mut seen = Vec::<&str, { KEYS.len() }>::new();
    for word in arguments.split_ascii_whitespace() {
        let (key, value) = word
            .split_once('=')
            .ok_or(ArgError::NotAnArgument { word, keys: KEYS })?;
        let known = KEYS
            .iter()
            .find(|&&known| known == key)
            .ok_or(ArgError::UnknownKey {
                word,
                key,
                known: KEYS,
            })?;
        if *known != "run" {
            if seen.contains(known) {
                return Err(ArgError::Duplicate { word, key });
            }
            // There is room for each key once.
            let _ = seen.push(known);
        }
        match *known {
            "mask" => config.mask = choice(word, value, Mask::from_word, Mask::WORDS)?,
            "ordinary" => {
                config.ordinary = choice(word, value, Ordinary::from_word, Ordinary::WORDS)?;
            }
            "order" => config.order = choice(word, value, Order::from_word, Order::WORDS)?,
            "log" => config.log = choice(word, value, LogLevel::from_word, LogLevel::WORDS)?,
            "on_done" => {
                config.on_done = choice(word, value, OnDone::from_word, OnDone::WORDS)?;
            }
            "seed" => {
                config.seed = number(value).ok_or(ArgError::BadValue {
                    word,
                    value,
                    expected: "a number below 2^64, as 42 or 0x2a",
                })?;
            }
            "cpus" => {
                let cpus = number(value)
                    .and_then(|cpus| u32::try_from(cpus).ok())
                    .and_then(NonZeroU32::new);
                config.cpus = Some(cpus.ok_or(ArgError::BadValue {
                    word,
                    value,
                    expected: "a number from 1",
                })?);
            }
            "ipc" => config.ipc = choice(word, value, Ipc::from_word, Ipc::WORDS)?,
            "rain" => config.rain = choice(word, value, Switch::from_word, Switch::WORDS)?,
            "trace" => config.trace = choice(word, value, Switch::from_word, Switch::WORDS)?,
            "plant" => config.plant = Some(value),
            // "run"
            _ => config
                .runs
                .push(run(word, value)?)
                .map_err(|_| ArgError::TooMany {
                    word,
                    what: "runs",
                    capacity: MAX_RUNS,
                })?,
        }
    }
    Ok(config)
}

/// `value` as one of `permitted`.
fn choice<'a, T>(
    word: &'a str,
    value: &'a str,
    from_word: impl Fn(&str) -> Option<T>,
    permitted: &'static [&'static str],
) -> Result<T, ArgError<'a>> {
    from_word(value).ok_or(ArgError::UnknownValue {
        word,
        value,
        permitted,
    })
}

/// Reads one run, as it stands behind `run=`: `<workload>[:<key>=<value>,...]`.
///
/// # Errors
/// [`ArgError`].
pub fn parse_run(text: &str) -> Result<Run<'_>, ArgError<'_>> {
    run(text, text)
}

/// `<workload>[:<key>=<value>,...]`
fn run<'a>(word: &'a str, value: &'a str) -> Result<Run<'a>, ArgError<'a>> {
    let (workload, params) = match value.split_once(':') {
        Some((workload, params)) => (workload, Params::parse(word, params)?),
        None => (value, Params::none(word)),
    };
    if workload.is_empty() {
        return Err(ArgError::BadValue {
            word,
            value,
            expected: "the name of a workload",
        });
    }
    if workload == EXEC {
        Exec::parse(word, params.clone())?;
    }
    Ok(Run { workload, params })
}

/// A decimal number, or a hexadecimal one after `0x`. No sign, no blanks, nothing else.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `from_str_radix` would take a sign.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests;
