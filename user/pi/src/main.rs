#![no_std]
#![no_main]
//! Computes pi: `run pi [threads]`. The area under 4 / (1 + x²) from 0 to 1, in strips, shared out
//! among threads. All of it is floating point, in registers that the kernel keeps for each thread
//! while it switches between them.

extern crate alloc;

use alloc::vec::Vec;
use rt::{Error, println, thread};

rt::entry!(main);

const STRIPS: u32 = 4_000_000;
const MOST_THREADS: u32 = 64;

fn main() -> Result<(), &'static str> {
    let threads = match rt::start::arguments().nth(1).map(str::parse) {
        None => 4,
        Some(Ok(threads @ 1..=MOST_THREADS)) => threads,
        Some(_) => return Err("the argument is a number of threads, 1 to 64"),
    };
    let began = rt::time::now();
    let pi = shared_out(threads).map_err(Error::text)?;
    println!(
        "pi = {pi:.12} by {threads} threads, in {:.1?}",
        began.elapsed()
    );
    if (pi - core::f64::consts::PI).abs() > 1e-9 {
        return Err("that is wrong");
    }
    Ok(())
}

fn shared_out(threads: u32) -> Result<f64, Error> {
    let handles: Result<Vec<_>, Error> = (0..threads)
        .map(|first| thread::spawn(move || area(first, threads)))
        .collect();
    let mut sum = 0.0;
    for handle in handles? {
        sum += handle.join()?.ok_or(Error::Gone)?;
    }
    Ok(sum)
}

/// The area of every `step`th strip, from strip `first` on.
fn area(first: u32, step: u32) -> f64 {
    let width = 1.0 / f64::from(STRIPS);
    (first..STRIPS)
        .step_by(step as usize)
        .map(|strip| (f64::from(strip) + 0.5) * width)
        .map(|x| 4.0 / (1.0 + x * x) * width)
        .sum()
}
