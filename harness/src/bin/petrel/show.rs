//! The runs that somebody looks on: `run` and `storm`.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use boot::args;
use harness::dialogue::Dialogue;
use harness::disk::Disk;
use harness::init_image::{self, Made};
use harness::keyboard::LEAVE_NAME;
use harness::lab::Lab;
use harness::machine::Boot;
use harness::programs::INIT;
use harness::run::{self, Echo, Input, Options, Run};
use harness::verdict::{Breakage, Verdict};
use lexopt::prelude::*;

use crate::NO_VERDICT;
use crate::arguments::{Action, RunArguments, boot_arguments, number};

/// How long the demonstration's storm lasts.
const DEMONSTRATION_SECONDS: u64 = 5;

/// What the shell prints when it listens.
const PROMPT: &str = "petrel> ";

/// What the demonstration types where nobody else can.
const DEMONSTRATION: [&str; 4] = ["help", "ps", "run hello", "exit"];

/// `petrel run`. On a terminal the demonstration ends in the shell; elsewhere the shell is shown, too, and
/// the machine switched off.
pub(crate) fn run(parser: lexopt::Parser) -> Result<ExitCode> {
    let (arguments, bootargs) = boot_arguments(parser, "run")?;
    let lab = Lab::open()?;
    let made = init_image_in_sight(&lab, &arguments)?;
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let asked = bootargs.join(" ");
    let storm = format!("run=storm:seconds={DEMONSTRATION_SECONDS}");
    let (bootargs, input) = if !bootargs.is_empty() {
        match terminal && wants_keys(&asked) {
            true => (asked, Input::Keyboard),
            false => (asked, Input::Inherited),
        }
    } else if !(made.has(INIT) && made.has("bin/shell")) {
        (storm, Input::Nothing)
    } else {
        let input = match terminal {
            true => Input::Keyboard,
            false => Input::Typed(demonstration()),
        };
        (format!("{storm} on_done=shell"), input)
    };
    // Nobody is sent away from a shell.
    let bound = match (&input, arguments.bound) {
        (Input::Keyboard, None) => Duration::MAX,
        _ => arguments.bound_for(DEMONSTRATION_SECONDS),
    };
    show(
        &lab,
        &arguments,
        boot(&lab, &arguments, made, bootargs)?,
        bound,
        input,
    )
}

/// Whether a boot with these arguments comes to programs that may want to read keys. What is wrong with
/// the arguments is the kernel's to say.
fn wants_keys(bootargs: &str) -> bool {
    args::parse(bootargs).is_ok_and(|config| config.wants_init())
}

fn demonstration() -> Dialogue {
    let lines = DEMONSTRATION.into_iter();
    lines.fold(Dialogue::new(), |dialogue, line| {
        dialogue.then(PROMPT, format!("{line}\n"))
    })
}

/// The program that has the kernel storm over programs.
const STORM: &str = "bin/storm";

/// `petrel storm`: over programs, if there are any.
pub(crate) fn storm(mut parser: lexopt::Parser) -> Result<ExitCode> {
    let mut arguments = RunArguments::default();
    let mut seconds = DEMONSTRATION_SECONDS;
    let mut bootargs = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => seconds = number("seconds", &mut parser)?,
            // What they may be is the kernel's to say: it names what it refuses.
            Long(option @ ("seed" | "mask" | "ordinary")) => {
                let option = option.to_owned();
                bootargs.push(format!("{option}={}", parser.value()?.string()?));
            }
            Long(option) => {
                let option = option.to_owned();
                if !arguments.take(&option, &mut parser)? {
                    bail!("storm has no option --{option}");
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let lab = Lab::open()?;
    let made = init_image_in_sight(&lab, &arguments)?;
    bootargs.push(match made.has(INIT) && made.has(STORM) {
        true => format!("run=exec:path=/{STORM},args=seconds={seconds}"),
        false => format!("run=storm:seconds={seconds}"),
    });
    let boot = boot(&lab, &arguments, made, bootargs.join(" "))?;
    let bound = arguments.bound_for(seconds);
    show(&lab, &arguments, boot, bound, Input::Nothing)
}

/// The init image with the files of `EXTRA=`: of this call, or as it was made last.
fn init_image_in_sight(lab: &Lab, arguments: &RunArguments) -> Result<Made> {
    let workspace = lab.workspace();
    let remembered = match &arguments.extra {
        Some(_) => None,
        None => init_image::remembered_extra(workspace)?,
    };
    let extra: Option<&PathBuf> = arguments.extra.as_ref().or(remembered.as_ref());
    let made = init_image::make(
        workspace,
        extra.map(PathBuf::as_path),
        &workspace.init_image(),
    );
    match remembered {
        Some(_) => made.context(
            "EXTRA= is that of the last `make image`, which forgets it when called without",
        ),
        None => made,
    }
}

fn boot(lab: &Lab, arguments: &RunArguments, made: Made, bootargs: String) -> Result<Boot> {
    let disk = match &arguments.disk {
        Some(disk) => {
            // QEMU would say so as well, and other things besides.
            fs::metadata(disk).with_context(|| format!("--disk {}", disk.display()))?;
            disk.clone()
        }
        None => {
            let disk = lab.workspace().disk();
            Disk::Files.provide(&disk)?;
            disk
        }
    };
    let boot = Boot::new(lab.kernel(arguments.build)?, bootargs);
    Ok(boot.initrd(made.path).disk(disk))
}

/// Runs one kernel in sight of everybody. The last line on standard output is the kernel's own.
fn show(
    lab: &Lab,
    arguments: &RunArguments,
    boot: Boot,
    bound: Duration,
    input: Input,
) -> Result<ExitCode> {
    let line = arguments.machine.command_line(lab.qemu(), &boot);
    if arguments.action == Action::Print {
        println!("{line}");
        return Ok(ExitCode::SUCCESS);
    }
    run::stop_on_ctrl_c()?;
    let mut options = Options {
        bound,
        echo: Echo::Live,
        input,
        ..Options::default()
    };
    if options.input == Input::Keyboard {
        eprintln!("petrel: {LEAVE_NAME} leaves, whatever the guest does");
        options.output_limit_bytes = usize::MAX;
    }
    let run = run::run(&line, options, &mut |_| {})?;
    Ok(exit_code(&run))
}

/// The exit status for a run, and why, where its last line does not say that itself.
pub(crate) fn exit_code(run: &Run) -> ExitCode {
    if let Some(unanswered) = &run.unanswered {
        eprintln!("petrel: {unanswered}");
    }
    match Verdict::of(run) {
        Verdict::Pass(_) if run.unanswered.is_some() => ExitCode::from(NO_VERDICT),
        Verdict::Pass(_) => ExitCode::SUCCESS,
        Verdict::Fail(_) => ExitCode::FAILURE,
        Verdict::Broken(breakage) => {
            eprintln!("petrel: {breakage}");
            if matches!(breakage, Breakage::OverBound(_)) {
                eprintln!("--- the last 40 lines of its output\n{}\n---", run.tail(40));
            }
            ExitCode::from(NO_VERDICT)
        }
    }
}
