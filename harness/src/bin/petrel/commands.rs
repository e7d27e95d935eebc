//! The commands. Each takes the rest of the command line.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use harness::bench::Report;
use harness::lab::Lab;
use harness::machine::{CommandLine, Machine};
use harness::run::{self, Options};
use harness::verdict::Verdict;
use harness::workspace::{Build, Workspace};
use harness::{c, image as images, init_image, suite, trace as traces, trials};
use lexopt::prelude::*;

use crate::arguments::{Action, boot_arguments};
use crate::show::exit_code;

pub(crate) fn image(mut parser: lexopt::Parser) -> Result<ExitCode> {
    let mut build = Build::Normal;
    let mut extra = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("planted") => build = Build::Planted,
            Long("extra") => extra = Some(PathBuf::from(parser.value()?)),
            other => return Err(other.unexpected().into()),
        }
    }
    let workspace = Workspace::here();
    let made = images::make(&workspace, build)?;
    println!(
        "{}: {} KiB, with {} symbols in {} KiB; {} for the debugger",
        workspace.relative(&made.image).display(),
        made.image_bytes.div_ceil(1024),
        made.symbols,
        made.symbol_bytes.div_ceil(1024),
        workspace.relative(&made.elf).display(),
    );
    if build == Build::Planted {
        // It runs with the init image of the normal one.
        return Ok(ExitCode::SUCCESS);
    }
    let path = workspace.init_image();
    let made = init_image::make(&workspace, extra.as_deref(), &path)?;
    init_image::remember_extra(&workspace, extra.as_deref())?;
    println!(
        "{}: {} KiB, {} programs, {} files{}",
        workspace.relative(&made.path).display(),
        made.bytes.div_ceil(1024),
        made.programs,
        made.files.len(),
        match (&extra, made.extra) {
            (None, _) => String::new(),
            (Some(folder), count) => format!(", {count} of them from {}", folder.display()),
        }
    );
    let made = c::make(&workspace)?;
    println!(
        "{}: libpetrel.a, include/petrel.h and program.ld, for programs in C",
        workspace.relative(&made).display()
    );
    Ok(ExitCode::SUCCESS)
}

/// The program that measures what operations cost programs.
const PROGRAM: &str = "run=exec:path=/bin/bench";

pub(crate) fn bench(mut parser: lexopt::Parser) -> Result<ExitCode> {
    let (mut group, mut action) = (None, Action::Run);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("group") => group = Some(parser.value()?.string()?),
            Long("print") => action = Action::Print,
            other => return Err(other.unexpected().into()),
        }
    }
    let (bootargs, command) = match &group {
        Some(group) => (
            format!("run=bench:group={group}"),
            format!("petrel bench --group {group}"),
        ),
        None => ("run=bench".to_owned(), "petrel bench".to_owned()),
    };
    let lab = Lab::open()?;
    let line = |bootargs: String| -> Result<CommandLine> {
        let machine = Machine::default().cpus(1).exact();
        Ok(machine.command_line(lab.qemu(), &lab.boot(Build::Normal, bootargs)?))
    };
    if action == Action::Print {
        println!("{}", line(bootargs)?);
        return Ok(ExitCode::SUCCESS);
    }
    run::stop_on_ctrl_c()?;
    // What the kernel counts of itself, and what a program counts of the kernel. A group is the
    // kernel's; the program measures all of its rows or none.
    let mut halves = vec![bootargs];
    if group.is_none() {
        halves.push(PROGRAM.to_owned());
    }
    let mut outputs = Vec::new();
    for masking in ["", "mask=daif "] {
        if group.is_some() && !masking.is_empty() {
            break;
        }
        let mut text = String::new();
        for half in &halves {
            let line = line(format!("{masking}{half}"))?;
            let run = run::run(&line, Options::default(), &mut |_| {})?;
            if !matches!(Verdict::of(&run), Verdict::Pass(_)) {
                eprintln!("{}", run.tail(40));
                return Ok(exit_code(&run));
            }
            text.push_str(&run.text());
            text.push('\n');
        }
        outputs.push(text);
    }
    let report = Report::of(&outputs[0], outputs.get(1).map(String::as_str))?;
    let path = lab.workspace().bench_report();
    let json = report.to_json(&lab.qemu().version().to_string(), &command);
    fs::write(&path, format!("{json:#}\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!(
        "{report}\nwritten to {}",
        lab.workspace().relative(&path).display()
    );
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn scenarios(mut parser: lexopt::Parser) -> Result<ExitCode> {
    run::stop_on_ctrl_c()?;
    // The arguments are those of every Rust test program; the first word is the program's name.
    let words = ["petrel scenarios".into()]
        .into_iter()
        .chain(parser.raw_args()?);
    let arguments = libtest_mimic::Arguments::from_iter(words);
    Ok(trials::run(arguments)?.exit_code())
}

pub(crate) fn trace(parser: lexopt::Parser) -> Result<ExitCode> {
    let (arguments, mut bootargs) = boot_arguments(parser, "trace")?;
    if bootargs.is_empty() {
        bootargs.push("run=selftest".to_owned());
    }
    let lab = Lab::open()?;
    let trace = traces::record(&lab, &arguments.machine, &bootargs.join(" "), "trace")?;
    print!("{}", trace.timeline());
    trace.check()?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn check(parser: lexopt::Parser) -> Result<ExitCode> {
    steps(parser, suite::quick)
}

pub(crate) fn test(parser: lexopt::Parser) -> Result<ExitCode> {
    steps(parser, suite::all)
}

fn steps(
    mut parser: lexopt::Parser,
    of: fn(&Workspace) -> Result<Vec<suite::Step>>,
) -> Result<ExitCode> {
    if let Some(argument) = parser.next()? {
        return Err(argument.unexpected().into());
    }
    let workspace = Workspace::here();
    let totals = suite::run(&workspace, of(&workspace)?)?;
    Ok(if totals.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
