#![no_std]
#![no_main]
//! Uses a CPU and never waits: `run spin &`, then `top`, then `kill spin`. With a number, `run spin 3
//! &`, it ends after so many seconds.

use rt::time::{Duration, Instant, now};

rt::entry!(main);

fn main() -> Result<(), &'static str> {
    let end: Option<Instant> = match rt::start::arguments().nth(1).map(str::parse) {
        None => None,
        Some(Ok(seconds)) => Some(now() + Duration::from_secs(seconds)),
        Some(Err(_)) => return Err("the argument is a number of seconds"),
    };
    // No system call in here: only an interrupt takes the CPU away.
    while end.is_none_or(|end| now() < end) {
        core::hint::spin_loop();
    }
    Ok(())
}
