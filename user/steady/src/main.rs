#![no_std]
#![no_main]
//! Threads that keep their registers: `run=exec:path=/bin/steady,args=threads=4:rounds=50000`.
//!
//! On each CPU as many threads as asked hold a value of their own in every register they have, for a
//! stretch that is longer than a turn, and look whether it is still there. Nothing but the kernel comes
//! in between: interrupts, and the other threads of the CPU, which have other values. A thread that was
//! never switched out would prove nothing, so that their stretches overlap on one CPU is asked for, too.

extern crate alloc;

mod registers;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use registers::{Registers, keep};
use rt::println;
use rt::thread::Builder;
use rt::time::{self, Instant};

rt::entry!(main);

/// When a thread kept its registers on a CPU.
struct Stretch {
    cpu: u32,
    began: Instant,
    ended: Instant,
}

/// A number behind `key=` among the program's arguments.
fn argument(key: &str, default: u64) -> Result<u64, String> {
    let mut arguments = rt::start::arguments().skip(1);
    match arguments.find_map(|argument| argument.strip_prefix(key)?.strip_prefix('=')) {
        Some(value) => value
            .parse()
            .map_err(|_| format!("{key}={value}: no number")),
        None => Ok(default),
    }
}

fn main() -> Result<(), String> {
    let (cpus, threads) = (argument("cpus", 1)?, argument("threads", 3)?);
    let (stretches, rounds) = (argument("stretches", 8)?, argument("rounds", 2_000_000)?);
    let mut running = Vec::new();
    for cpu in 0..cpus as u32 {
        for thread in 0..threads {
            let name = u64::from(cpu) << 8 | thread;
            let body = move || {
                (0..stretches)
                    .map(|n| stretch(cpu, name << 8 | n, rounds))
                    .collect()
            };
            let made = Builder::new().cpus(1 << cpu).spawn(body);
            running.push(made.map_err(|error| format!("a thread for CPU {cpu}: {error}"))?);
        }
    }
    let mut kept: Vec<Stretch> = Vec::new();
    for thread in running {
        let all: Vec<Result<Stretch, String>> = thread
            .join()
            .map_err(|error| format!("join: {error}"))?
            .ok_or("a thread ended without a word")?;
        for stretch in all {
            kept.push(stretch?);
        }
    }
    let shared = kept.iter().filter(|one| overlaps(one, &kept)).count();
    println!(
        "steady: {} stretches on {cpus} CPUs kept all registers, {shared} of them around another thread's",
        kept.len()
    );
    if shared == 0 {
        return Err("vacuous: no thread was interrupted by another".into());
    }
    Ok(())
}

/// Keeps the registers of `seed` once.
fn stretch(cpu: u32, seed: u64, rounds: u64) -> Result<Stretch, String> {
    let expected = Registers::of(seed);
    let began = time::now();
    let found = keep(&expected, rounds);
    let ended = time::now();
    let (x, v, scratch) = found.differing(&expected);
    if x != 0 || v != 0 || scratch {
        return Err(format!(
            "registers changed while they were kept: X {x:#x}, V {v:#x} (a bit for each), scratch {:#x}",
            found.scratch
        ));
    }
    Ok(Stretch { cpu, began, ended })
}

/// Whether another thread of the same CPU began in the middle of `one`.
fn overlaps(one: &Stretch, all: &[Stretch]) -> bool {
    all.iter()
        .any(|other| other.cpu == one.cpu && one.began < other.began && other.began < one.ended)
}
