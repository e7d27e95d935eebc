//! `fuzz <seed> <calls>`: random system calls, and a watcher whom they must not harm.
//!
//! One program with two parts, because who starts a process decides what it is given: without more
//! arguments it is the watcher; the watcher starts it again to be the victim.
#![no_std]
#![no_main]

extern crate alloc;

mod raw;
mod victim;
mod watch;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

rt::entry!(main);

/// What makes the program the victim.
const VICTIM: &str = "victim";
/// Where it lies in the init image.
const PATH: &str = "bin/fuzz";

fn main() -> Result<(), String> {
    let arguments: Vec<&str> = rt::start::arguments().skip(1).collect();
    let number = |text: &str| text.parse::<u64>().ok();
    match arguments.as_slice() {
        [VICTIM, seed, calls] => match (number(seed), number(calls)) {
            (Some(seed), Some(calls)) => victim::run(seed, calls),
            _ => Err("a seed and a number of calls are needed".to_string()),
        },
        [seed, calls] => match (number(seed), number(calls)) {
            (Some(seed), Some(calls)) => watch::run(seed, calls),
            _ => Err("usage: fuzz SEED CALLS".to_string()),
        },
        _ => Err("usage: fuzz SEED CALLS".to_string()),
    }
}
