//! The options that `run` and `storm` share: which machine, which kernel, how long.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use harness::machine::Machine;
use harness::run::DEFAULT_BOUND;
use harness::workspace::Build;
use lexopt::prelude::*;

/// What a single run is to be.
#[derive(Debug)]
pub(crate) struct RunArguments {
    /// The hardware.
    pub(crate) machine: Machine,
    /// Which kernel.
    pub(crate) build: Build,
    /// The bound, if one was given.
    pub(crate) bound: Option<Duration>,
    /// The folder whose files go into the init image under `extra/`.
    pub(crate) extra: Option<PathBuf>,
    /// What is on the disk.
    pub(crate) disk: Option<PathBuf>,
    /// What to do with the command.
    pub(crate) action: Action,
}

/// What to do with a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Run it.
    Run,
    /// Show it.
    Print,
}

impl Default for RunArguments {
    fn default() -> Self {
        Self {
            machine: Machine::default(),
            build: Build::Normal,
            bound: None,
            extra: None,
            disk: None,
            action: Action::Run,
        }
    }
}

impl RunArguments {
    /// Takes one long option, with its value, if it is one of these. Says whether it was.
    pub(crate) fn take(&mut self, option: &str, parser: &mut lexopt::Parser) -> Result<bool> {
        let machine = self.machine.clone();
        self.machine = match option {
            "cpu" => machine.cpu(parser.value()?.string()?),
            "cpus" => machine.cpus(number(option, parser)?),
            "memory-mib" => machine.memory_mib(number(option, parser)?),
            "gic-version" => machine.gic_version(number(option, parser)?),
            "el2" => machine.el2(),
            "secure" => machine.secure(),
            "icount" => machine.exact(),
            "planted" => {
                self.build = Build::Planted;
                machine
            }
            "bound" => {
                self.bound = Some(Duration::from_secs(number(option, parser)?));
                machine
            }
            "extra" => {
                self.extra = Some(parser.value()?.into());
                machine
            }
            "disk" => {
                self.disk = Some(parser.value()?.into());
                machine
            }
            "print" => {
                self.action = Action::Print;
                machine
            }
            _ => return Ok(false),
        };
        Ok(true)
    }

    /// The bound for a run that takes so long in guest time: a busy host may be thirty times slower.
    pub(crate) fn bound_for(&self, guest_seconds: u64) -> Duration {
        self.bound
            .unwrap_or(DEFAULT_BOUND + Duration::from_secs(30 * guest_seconds))
    }
}

/// The number that follows an option.
pub(crate) fn number<T: std::str::FromStr>(option: &str, parser: &mut lexopt::Parser) -> Result<T> {
    let value = parser.value()?.string()?;
    let parsed = value.parse().ok();
    parsed.with_context(|| format!("--{option} takes a number, not `{value}`"))
}

/// Options of the machine, and words that are boot arguments.
pub(crate) fn boot_arguments(
    mut parser: lexopt::Parser,
    command: &str,
) -> Result<(RunArguments, Vec<String>)> {
    let mut arguments = RunArguments::default();
    let mut bootargs = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(word) => bootargs.push(word.string()?),
            Long(option) => {
                let option = option.to_owned();
                if !arguments.take(&option, &mut parser)? {
                    bail!("{command} has no option --{option}");
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok((arguments, bootargs))
}
