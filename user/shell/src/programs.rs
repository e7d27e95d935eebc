//! Programs: started, waited for, ended.

use crate::{
    Refusal, files,
    terminal::{CONTROL_C, ENDED, Terminal},
};
use alloc::{format, string::String, vec::Vec};
use petrel_shell::{
    command::{Target, Wait},
    text::Ending,
};
use rt::{
    Machine, Process,
    abi::{report::ProcessReport, report::ProcessState, start::text},
    println,
    service::{
        Error,
        supervisor::{Listed, NotStarted, Supervisor},
    },
    time::Deadline,
};

/// The status of a program that Control-C or `kill` ended, as shells have it: 128 and the number of the
/// signal that it would be elsewhere.
const INTERRUPTED: u64 = 130;
const KILLED: u64 = 137;

/// The programs that were started with `&` and have not been reported as ended.
pub(crate) struct Programs {
    background: Vec<Background>,
}

struct Background {
    name: String,
    process: Process,
}

impl Programs {
    pub(crate) const fn new() -> Self {
        Self {
            background: Vec::new(),
        }
    }

    /// The command `run`.
    pub(crate) fn run(
        &mut self,
        path: &str,
        arguments: &[String],
        wait: Wait,
        terminal: &Terminal,
    ) -> Result<(), Refusal> {
        let process = start(path, arguments)?;
        let name: String = path.rsplit('/').next().unwrap_or(path).into();
        match wait {
            Wait::ForEnd => attend(&name, &process, terminal),
            Wait::No => {
                let number = process.report().map_or(0, |report| report.number);
                println!("{name} runs as process {number}");
                self.background.push(Background { name, process });
                Ok(())
            }
        }
    }

    /// Says which of the programs in the background have ended, and how.
    pub(crate) fn report_ended(&mut self) {
        self.background
            .retain(|program| match program.process.report() {
                Ok(report) if report.state == ProcessState::Alive as u32 => true,
                Ok(report) => {
                    println!(
                        "{} (process {}) {}",
                        program.name,
                        report.number,
                        Ending(&report)
                    );
                    false
                }
                Err(_) => false,
            });
    }

    /// The command `kill`.
    pub(crate) fn kill(&mut self, target: &Target, machine: &Machine) -> Result<(), Refusal> {
        if let Some(program) = self.own(target)? {
            return program
                .process
                .kill(KILLED)
                .map_err(|error| format!("{}: {error}", program.name));
        }
        let supervisor = Supervisor::own().ok_or("kill: there is no supervisor to ask")?;
        let listed = supervisor
            .list()
            .map_err(|error| format!("kill: the supervisor: {error}"))?;
        let name = match target {
            Target::Name(name) => name.clone(),
            Target::Number(number) => name_of(*number, &listed, machine)?,
        };
        supervisor.kill(&name).map_err(|error| match error {
            Error::NotFound => format!("there is no process '{name}'; 'ps' lists them"),
            error => format!("{name}: {error}"),
        })?;
        if let Some(service) = listed
            .iter()
            .find(|one| one.name == name && one.generation > 0)
        {
            println!(
                "{} was ended; it is a service, and is started again",
                service.name
            );
        }
        Ok(())
    }

    /// The program in the background that is meant, if one is.
    fn own(&self, target: &Target) -> Result<Option<&Background>, Refusal> {
        let mut meant = self.background.iter().filter(|program| match target {
            Target::Name(name) => program.name == *name,
            Target::Number(number) => program
                .process
                .report()
                .is_ok_and(|report| report.number == *number),
        });
        let first = meant.next();
        match (target, meant.next()) {
            (Target::Name(name), Some(_)) => Err(format!(
                "there are several '{name}'; say which by its number, from 'ps'"
            )),
            _ => Ok(first),
        }
    }
}

/// The name by which the supervisor knows a process.
fn name_of(number: u32, listed: &[Listed], machine: &Machine) -> Result<String, Refusal> {
    if let Some(one) = listed.iter().find(|one| one.process == number) {
        return Ok(one.name.clone());
    }
    let processes = machine
        .list::<ProcessReport>()
        .map_err(|error| format!("kill: {error}"))?;
    Err(
        match processes.iter().find(|process| process.number == number) {
            Some(process) => format!(
                "process {number} ({}) is not the supervisor's to end",
                text(&process.name)
            ),
            None => format!("there is no process {number}; 'ps' lists them"),
        },
    )
}

fn start(path: &str, arguments: &[String]) -> Result<Process, Refusal> {
    let refused = |error: NotStarted| match error.text.as_str() {
        // The supervisor's sentence names the file; its bare errors do not.
        "" => files::refusal(path, error.error),
        text => text.into(),
    };
    let supervisor = Supervisor::own().ok_or("run: there is no supervisor to ask")?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let place = files::Place::of(path)?;
    if place.is_in_image() {
        return supervisor.start(path, &arguments).map_err(refused);
    }
    let image = place
        .program()
        .map_err(|error| files::refusal(path, error))?;
    supervisor
        .start_image(path, &arguments, &image)
        .map_err(refused)
}

/// Waits for the end of a program in the foreground, which Control-C hastens, and says how it ended.
fn attend(name: &str, process: &Process, terminal: &Terminal) -> Result<(), Refusal> {
    let failed = |error| format!("{name}: {error}");
    process.watch(terminal.bell(), ENDED).map_err(failed)?;
    loop {
        let rung = terminal.wait(CONTROL_C | ENDED, Deadline::FOREVER);
        if rung & CONTROL_C != 0 {
            println!("^C");
            // It may have ended by itself at the same moment.
            let _ = process.kill(INTERRUPTED);
        }
        if rung & ENDED != 0 {
            break;
        }
    }
    let report = process.report().map_err(failed)?;
    if report.state != ProcessState::Exited as u32 || report.status != 0 {
        println!("{name} {}", Ending(&report));
    }
    Ok(())
}
