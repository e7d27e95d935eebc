#![no_std]
#![no_main]
//! The shell: what a person at Petrel's console talks to.
//!
//! It is a program like any other. What it may do beyond the others lies in two handles that it was
//! given: the machine (reports, workloads, power) and the supervisor (start and end programs). The parts
//! that need neither are in the library beside this file, where the host tests them; here is one file
//! for the terminal and one for each family of commands.

extern crate alloc;

mod completion;
mod files;
mod machine;
mod programs;
mod reports;
mod terminal;
mod top;

use alloc::string::String;
use petrel_shell::{
    about::{About, COMMANDS},
    command::{self, Command, CommandError},
    editor::{Editor, Outcome},
};
use programs::Programs;
use rt::{Machine, println};
use terminal::Terminal;

rt::entry!(main);

const PROMPT: &str = "petrel> ";

/// Why a command did not do what it was asked, as a sentence.
type Refusal = String;

/// What the shell works with.
struct Shell {
    machine: Machine,
    terminal: Terminal,
    programs: Programs,
}

fn main() -> Result<(), Refusal> {
    let Some(machine) = rt::start::take::<Machine>("machine") else {
        return Err("it was started without the machine".into());
    };
    let mut shell = Shell {
        machine,
        terminal: Terminal::open().map_err(|error| alloc::format!("no terminal: {error}"))?,
        programs: Programs::new(),
    };
    println!("Type 'help' for what can be done here.");
    let mut editor = Editor::new(PROMPT);
    loop {
        shell.programs.report_ended();
        match shell.terminal.line(&mut editor) {
            Outcome::Line(line) => {
                if let Err(refusal) = shell.execute(&line) {
                    println!("{refusal}");
                }
            }
            Outcome::EndOfInput => println!("'exit' switches the machine off"),
            Outcome::Editing | Outcome::Cancelled => {}
        }
    }
}

impl Shell {
    fn execute(&mut self, line: &str) -> Result<(), Refusal> {
        let command =
            command::parse(line).map_err(|error: CommandError| alloc::format!("{error}"))?;
        match command {
            Command::Nothing => Ok(()),
            Command::Help(None) => {
                help();
                Ok(())
            }
            Command::Help(Some(about)) => {
                explain(about);
                Ok(())
            }
            Command::Ls(path) => files::ls(&path),
            Command::Cat(paths) => paths
                .iter()
                .try_for_each(|path| files::cat(path, &self.terminal)),
            Command::Run {
                path,
                arguments,
                wait,
            } => self.programs.run(&path, &arguments, wait, &self.terminal),
            Command::Kill(target) => self.programs.kill(&target, &self.machine),
            Command::Ps => reports::ps(&self.machine),
            Command::Mem => reports::mem(&self.machine),
            Command::Irq => reports::irq(&self.machine),
            Command::Top => top::top(&self.machine, &self.terminal),
            Command::Log(lines) => self.terminal.log(lines),
            Command::Storm { parameters, wait } => machine::storm(&self.machine, &parameters, wait),
            Command::Bench(group) => machine::bench(&self.machine, group.as_deref()),
            Command::Exit(status) => machine::exit(&self.machine, status),
        }
    }
}

fn help() {
    println!("Commands; 'help' with one of them says more:\n");
    for about in COMMANDS {
        // A `Display` that pads is no `Display` that is padded.
        let usage = alloc::format!("{about}");
        println!("  {usage:32}{}", about.summary);
    }
    println!(
        "\nKeys: arrows, Home, End and Control-A E K U W L as in other shells; Tab completes;"
    );
    println!("Control-C drops the line, or ends the program that runs. \"Two words\" are one.");
}

fn explain(about: &About) {
    println!("{about}\n  {}", about.summary);
    for line in about.details {
        println!("  {line}");
    }
}
