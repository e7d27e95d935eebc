#![no_std]
#![no_main]
//! What operations cost a program, in guest instructions: `run=exec:path=/bin/bench`.
//!
//! The other half of the kernel's own `run=bench`, in the same form and counted in the same way
//! (`kernel/src/workload/bench`): under `-icount`, with the counter's frequency matched to the shift, one
//! tick of `CNTVCT_EL0` is one instruction. Each row says in its comment where its stretch begins and
//! ends. Whoever is measured runs above all services, and nothing is printed before all is measured, so
//! that nobody comes between.

extern crate alloc;

mod calls;
mod child;
mod faults;
mod interrupts;
mod stretch;
mod threads;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use rt::println;
use stretch::Samples;

rt::entry!(main);

/// One operation.
struct Row {
    name: &'static str,
    group: &'static str,
    /// The number of its hints; `None` if its stretch begins at no instruction.
    marker: Option<u32>,
    measure: fn() -> Result<Samples, String>,
}

const fn row(
    marker: u32,
    group: &'static str,
    name: &'static str,
    measure: fn() -> Result<Samples, String>,
) -> Row {
    Row {
        name,
        group,
        marker: Some(marker),
        measure,
    }
}

/// All operations, in the order in which they are measured.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row(0,  "calls",      "null-syscall",        calls::null),
    row(1,  "calls",      "call-reply-4",        calls::without_fp),
    row(2,  "calls",      "call-reply-4-fp",     calls::with_fp),
    row(3,  "calls",      "call-reply-10",       calls::ten_words),
    row(4,  "calls",      "signal-to-waiter",    threads::signal),
    row(5,  "calls",      "yield",               threads::yield_one_way),
    row(6,  "interrupts", "irq-to-el0",          interrupts::to_handler),
    row(7,  "interrupts", "irq-episode",         interrupts::episode),
    row(8,  "user-faults", "fault-to-handler",   faults::to_handler),
    row(9,  "user-faults", "fault-and-back",     faults::and_back),
    row(10, "user-faults", "page-fault",         faults::pager),
    row(11, "user-threads", "user-thread-create-join", threads::create_join),
    Row { name: "wake-up", group: "user-threads", marker: None, measure: threads::wake_up },
];

fn main() -> Result<(), String> {
    stretch::calibrate()?;
    let mut lines = Vec::new();
    for row in ROWS {
        let samples = (row.measure)().map_err(|why| format!("{}: {why}", row.name))?;
        let [min, median, max] = samples
            .sorted()
            .ok_or_else(|| format!("{} was never measured", row.name))?;
        let marker = row.marker.map_or("-".into(), |marker| format!("{marker}"));
        let Row { name, group, .. } = row;
        lines.push(format!(
            "bench: {name} | {group} | {marker} | {min} | {median} | {max}"
        ));
    }
    for line in lines {
        println!("{line}");
    }
    Ok(())
}
