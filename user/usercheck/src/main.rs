#![no_std]
#![no_main]
//! Whether the user space that is promised is there: the run-time in this process, and the supervisor and
//! the services as a client meets them. A program for scenarios: each argument names a part, and the
//! exit status is 0 when all of them held.

extern crate alloc;

mod hostile;
mod kernel;
mod memory;
mod services;
mod supervisor;
mod threads;

use alloc::string::String;

use rt::abi::report::ThreadReport;
use rt::time::{Duration, sleep};
use rt::{Machine, println};

rt::entry!(main);

/// What a part found, in one line, or what did not hold.
type Outcome = Result<String, String>;

/// A part, and its name.
type Part = (&'static str, fn() -> Outcome);

/// The parts.
const PARTS: &[Part] = &[
    ("memory", memory::check),
    ("locks", threads::locks),
    ("time", threads::time),
    ("calls", threads::calls),
    ("replies", threads::replies),
    ("spawn", threads::one_by_one),
    ("kernel", kernel::check),
    ("services", services::check),
    ("restart", supervisor::restart),
    ("giveup", supervisor::give_up),
    ("programs", supervisor::programs),
    ("orphans", supervisor::orphans),
    ("nest", supervisor::nest),
    ("hostile", hostile::check),
    ("panic", || panic!("on purpose")),
    ("fail", || Err(String::from("on purpose"))),
];

fn main() -> Result<(), String> {
    rt::thread::spawn(watch).map_err(failed("watchdog"))?;
    for name in rt::start::arguments().skip(1) {
        let part = PARTS.iter().find(|(of, _)| *of == name);
        let (_, check) = part.ok_or_else(|| alloc::format!("{name}: no such part"))?;
        let found = check().map_err(|why| alloc::format!("{name}: {why}"))?;
        println!("usercheck: {name}: {found}");
    }
    Ok(())
}

/// How long all parts may take together.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the process if it hangs, and says what its threads were doing.
fn watch() {
    sleep(PATIENCE);
    println!("usercheck: still not done after {PATIENCE:?}");
    if let Some(machine) = rt::start::take::<Machine>("machine") {
        for thread in machine.list::<ThreadReport>().unwrap_or_default() {
            println!(
                "thread {} of {} ({}): state {}, CPU {}, priority {}, ran {}",
                thread.number,
                thread.process,
                rt::abi::start::text(&thread.name),
                thread.state,
                thread.cpu,
                thread.priority,
                thread.ran_ticks
            );
        }
    }
    rt::exit(2)
}

/// An error as a failed check says it.
fn failed<E: core::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| alloc::format!("{what}: {error}")
}

/// That something holds.
macro_rules! hold {
    ($condition:expr, $($why:tt)*) => {
        if !$condition {
            return Err(alloc::format!($($why)*));
        }
    };
}
use hold;
