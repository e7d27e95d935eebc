//! The machine: the kernel's own workloads, and its power.

use crate::Refusal;
use alloc::{format, string::String};
use core::fmt::Write;
use petrel_shell::command::Wait;
use rt::service::console::Console;
use rt::time::{Deadline, Duration};
use rt::{Error, Machine, Rights, println, thread};

/// How long the console is given to send what it has, before the machine is switched off.
const FLUSH_AT_MOST: Duration = Duration::from_secs(1);

/// The command `storm`.
pub(crate) fn storm(
    machine: &Machine,
    parameters: &[(String, String)],
    wait: Wait,
) -> Result<(), Refusal> {
    let mut text = String::from("storm");
    for (index, (key, value)) in parameters.iter().enumerate() {
        let mark = if index == 0 { ':' } else { ',' };
        // Writing to a string cannot fail.
        let _ = write!(text, "{mark}{key}={value}");
    }
    match wait {
        Wait::ForEnd => workload(machine, &text),
        Wait::No => {
            let refused = |error| format!("storm: {error}");
            let machine = machine.duplicate(Rights::ALL).map_err(refused)?;
            // A thread that nobody joins: what it has to say it says itself.
            let storm = thread::spawn(move || {
                if let Err(refusal) = workload(&machine, &text) {
                    println!("{refusal}");
                }
            });
            storm.map(drop).map_err(refused)
        }
    }
}

/// The command `bench`.
pub(crate) fn bench(machine: &Machine, group: Option<&str>) -> Result<(), Refusal> {
    match group {
        None => workload(machine, "bench"),
        Some(group) => workload(machine, &format!("bench:group={group}")),
    }
}

/// Runs one of the kernel's workloads. It says by itself how it went, on this console.
fn workload(machine: &Machine, text: &str) -> Result<(), Refusal> {
    match machine.workload(text) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("'{text}' failed")),
        Err(Error::BadArgument) => Err(format!("the kernel does not understand '{text}'")),
        Err(error) => Err(format!("'{text}' did not run: {error}")),
    }
}

/// The command `exit`.
pub(crate) fn exit(machine: &Machine, status: u8) -> Result<(), Refusal> {
    // The kernel puts before it whether that is a success.
    let verdict = match status {
        0 => "the shell was left with 'exit'".into(),
        status => format!("the shell was left with 'exit {status}'"),
    };
    // What the console has not sent would be lost; a console that cannot say so holds up nobody.
    if let Ok(console) = Console::connect() {
        let _ = console.flush(Deadline::after(FLUSH_AT_MOST));
    }
    let off = machine.off(&verdict, status.into());
    off.map_err(|error| format!("exit: {error}"))
}
