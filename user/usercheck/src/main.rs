#![no_std]
#![no_main]
//! Whether the user space that is promised is there: the run-time in this process, and the supervisor and
//! the services as a client meets them. A program for scenarios: each argument names a part, and the
//! exit status is 0 when all of them held.

extern crate alloc;

mod hostile;
mod memory;
mod services;
mod supervisor;
mod threads;

use alloc::string::String;

use rt::println;

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
    ("services", services::check),
    ("restart", supervisor::restart),
    ("giveup", supervisor::give_up),
    ("programs", supervisor::programs),
    ("hostile", hostile::check),
    ("panic", || panic!("on purpose")),
    ("fail", || Err(String::from("on purpose"))),
];

fn main() -> Result<(), String> {
    for name in rt::start::arguments().skip(1) {
        let part = PARTS.iter().find(|(of, _)| *of == name);
        let (_, check) = part.ok_or_else(|| alloc::format!("{name}: no such part"))?;
        let found = check().map_err(|why| alloc::format!("{name}: {why}"))?;
        println!("usercheck: {name}: {found}");
    }
    Ok(())
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
