#![no_std]
#![no_main]
//! Counts the primes below a number: `run primes 1000000`. The sieve of Eratosthenes, on the heap.

extern crate alloc;

use rt::println;

rt::entry!(main);

/// The sieve takes a byte for each number.
const MOST: usize = 8_000_000;

fn main() -> Result<(), &'static str> {
    let limit = match rt::start::arguments().nth(1).map(str::parse) {
        None => 100_000,
        Some(Ok(limit)) if limit <= MOST => limit,
        Some(_) => return Err("the argument is a number, at most 8000000"),
    };
    let began = rt::time::now();
    let mut crossed_out = alloc::vec![false; limit];
    let (mut primes, mut largest) = (0, 0);
    for number in 2..limit {
        if crossed_out[number] {
            continue;
        }
        (primes, largest) = (primes + 1, number);
        // Smaller multiples were crossed out by their smaller factor.
        for multiple in (number.saturating_mul(number)..limit).step_by(number) {
            crossed_out[multiple] = true;
        }
    }
    println!(
        "{primes} primes below {limit}, the largest {largest}, in {:.1?}",
        began.elapsed()
    );
    Ok(())
}
