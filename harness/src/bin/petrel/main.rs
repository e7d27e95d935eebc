//! `petrel`: the hand on everything that the host does for the kernel.

mod arguments;
mod commands;
mod show;

use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::prelude::*;

const HELP: &str = "\
petrel <command>

  image      build the kernel and the programs, and make what is booted of them
             --extra <dir>   with the files of this folder, under /extra
             --planted       only the kernel with the planted bugs
  run        boot it and show what it prints; on a terminal it ends in the shell
             [bootarg ...]   in place of the demonstration's
             (Ctrl-] leaves a guest that reads keys, Ctrl-C any other)
  storm      the storm, for so much guest time
             --seconds <n>   (5)
             --seed <n>
             --mask <daif|pmr|fiq|allint|auto>
             --ordinary <g1|g0>
  bench      count instructions, as a table and target/bench.json
             --group <name>  one group only
  scenarios  all QEMU scenarios as tests: [filter] [--list] [--exact] [--skip <text>]
  trace      boot, and print what the trace rings held at the end: [bootarg ...]
             --cpus <n> and the like as for run
  check      formatting, host tests, one boot
  test       everything

run and storm also take
  --cpu <model>  --cpus <n>  --memory-mib <n>  --el2  --secure  --gic-version <n>
  --extra <dir>  with the files of this folder, under /extra (else as in the last `image`)
  --disk <file>  with a disk that holds these bytes (else target/disk.img, made once and kept)
  --icount       guest time is instructions, the same in every run
  --planted      the kernel with the planted bugs
  --bound <s>    seconds of host time after which QEMU is ended
  --print        show the command that would run, and do not run it

QEMU is the one that PETREL_QEMU names, or that in .tools/qemu, or that in the PATH.
The exit status is 0 for a pass, 1 for a failure, 2 when there is no verdict.
";

/// Exit status when nothing was proved.
const NO_VERDICT: u8 = 2;

fn main() -> ExitCode {
    match dispatch() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("petrel: {error:#}");
            ExitCode::from(NO_VERDICT)
        }
    }
}

fn dispatch() -> Result<ExitCode> {
    let mut parser = lexopt::Parser::from_env();
    match parser.next()? {
        Some(Value(command)) => match command.to_string_lossy().as_ref() {
            "image" => commands::image(parser),
            "run" => show::run(parser),
            "storm" => show::storm(parser),
            "bench" => commands::bench(parser),
            "scenarios" => commands::scenarios(parser),
            "trace" => commands::trace(parser),
            "check" => commands::check(parser),
            "test" => commands::test(parser),
            "help" => help(),
            other => bail!("there is no command `{other}`; `petrel help` lists them"),
        },
        Some(Short('h') | Long("help")) => help(),
        Some(other) => Err(other.unexpected().into()),
        None => {
            eprint!("{HELP}");
            Ok(ExitCode::from(NO_VERDICT))
        }
    }
}

fn help() -> Result<ExitCode> {
    print!("{HELP}");
    Ok(ExitCode::SUCCESS)
}
