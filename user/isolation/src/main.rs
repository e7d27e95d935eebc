#![no_std]
#![no_main]
//! Tries from EL0 whatever must not work there: `run=exec:path=/bin/isolation`.
//!
//! A victim, a process of its own, executes one instruction after the other and is stopped by each that
//! it may not execute; its faults come here as messages, and here is judged whether the right ones were
//! refused, and nothing else. No list of what is dangerous could be complete, so of system instructions
//! *all* are tried, and what is permitted is what is listed (`instructions`).
//!
//! | room | asks |
//! |---|---|
//! | `addresses` | can a process read, write or execute what is not its own, or not mapped for that? |
//! | `instructions` | which system registers and system instructions can EL0 use? |
//! | `registers` | does a thread find anything of others in its registers, and does it find its own again? |

extern crate alloc;

mod addresses;
mod instructions;
mod registers;
mod victim;

use alloc::string::String;
use rt::println;

rt::entry!(main);

/// What was wrong, in a sentence.
struct Wrong(String);

impl From<rt::Error> for Wrong {
    fn from(error: rt::Error) -> Self {
        Self(alloc::format!("a call of the test itself failed: {error}"))
    }
}

/// Ends the room with that sentence unless `$condition` holds.
macro_rules! ensure {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::Wrong(alloc::format!($($why)+)));
        }
    };
}
use ensure;

fn main() -> Result<(), String> {
    let all = || {
        let addresses = addresses::check()?;
        let registers = registers::check()?;
        let instructions = instructions::check()?;
        Ok((addresses, registers, instructions))
    };
    match all() {
        Ok((addresses, registers, instructions)) => {
            println!(
                "isolation: {addresses} accesses and {instructions} system instructions were as they \
                 must be, {registers} registers told nothing"
            );
            Ok(())
        }
        Err(Wrong(why)) => Err(why),
    }
}
