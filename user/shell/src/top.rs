//! The command `top`: what the CPUs and the processes did in the last second, until a key is pressed.

use crate::{
    Refusal,
    reports::{is_idle, ticks},
    terminal::{CONTROL_C, TYPED, Terminal},
};
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::fmt::Write;
use petrel_shell::text::{Bytes, Count, Time};
use rt::{
    Error, Machine,
    abi::{
        report::{CpuReport, MemoryReport, ProcessReport, ThreadReport},
        start::text,
    },
    print, println,
    time::{Deadline, Duration, Instant, now},
};

const PERIOD: Duration = Duration::from_secs(1);
/// The rows of a small terminal, less those that are neither a CPU's nor a process's, and the cursor's.
const ROWS: usize = 24 - 4;
/// How many CPUs are shown at most.
const CPUS_SHOWN: usize = 8;

/// What is known at one moment.
struct Sample {
    taken: Instant,
    cpus: Vec<CpuReport>,
    memory: MemoryReport,
    processes: Vec<ProcessReport>,
    /// CPU time in ticks by process; 0 is the kernel.
    ran: BTreeMap<u32, u64>,
    threads: usize,
}

impl Sample {
    fn take(machine: &Machine) -> Result<Self, Error> {
        let threads = machine.list::<ThreadReport>()?;
        let mut ran = BTreeMap::new();
        for thread in threads.iter().filter(|thread| !is_idle(thread)) {
            *ran.entry(thread.process).or_insert(0) += thread.ran_ticks;
        }
        Ok(Self {
            taken: now(),
            cpus: machine.list()?,
            memory: machine.memory()?,
            processes: machine.list()?,
            ran,
            threads: threads.len(),
        })
    }
}

/// The command `top`.
pub(crate) fn top(machine: &Machine, terminal: &Terminal) -> Result<(), Refusal> {
    let refused = |error: Error| format!("top: {error}");
    terminal.listen(TYPED);
    let mut before = Sample::take(machine).map_err(refused)?;
    println!("\x1b[2J\x1b[Htop: the first second ... any key ends it");
    loop {
        match terminal.wait(TYPED | CONTROL_C, Deadline::after(PERIOD)) {
            0 => {
                let after = Sample::take(machine).map_err(refused)?;
                print!("{}", page(&before, &after));
                before = after;
            }
            rung if rung & TYPED != 0 => {
                terminal.drop_input();
                break;
            }
            _ => break,
        }
    }
    Ok(())
}

fn page(before: &Sample, after: &Sample) -> String {
    let mut page = String::from("\x1b[H");
    let passed = after.taken.since(before.taken);
    let passed_ticks = after
        .taken
        .ticks()
        .saturating_sub(before.taken.ticks())
        .max(1);
    // Writing to a string cannot fail. Each row erases what was right of it.
    let mut row = |text: core::fmt::Arguments<'_>| {
        let _ = writeln!(page, "{text}\x1b[K");
    };
    row(format_args!(
        "up {}, {} processes, {} threads, {} of {} free; any key ends",
        Time(ticks(after.taken.ticks())),
        after.processes.len(),
        after.threads,
        Bytes(after.memory.free),
        Bytes(after.memory.total)
    ));
    row(format_args!(
        "CPU   busy       NMIs/s  interrupts/s    switches/s  preemptions/s"
    ));
    for (old, new) in before.cpus.iter().zip(&after.cpus).take(CPUS_SHOWN) {
        let idle = per_cent(new.idle_ticks.saturating_sub(old.idle_ticks), passed_ticks);
        let rate = |old: u64, new: u64| Count(per_second(new.saturating_sub(old), passed));
        row(format_args!(
            "{:>3}  {:>3} %  {:>11}  {:>12}  {:>12}  {:>13}",
            new.number,
            100 - idle,
            rate(old.nmis, new.nmis),
            rate(old.interrupts, new.interrupts),
            rate(old.switches, new.switches),
            rate(old.preemptions, new.preemptions)
        ));
    }
    let hidden = after.cpus.len().saturating_sub(CPUS_SHOWN);
    if hidden > 0 {
        row(format_args!("    and {hidden} more"));
    }
    row(format_args!(
        "number  name              CPU     memory  threads   CPU time"
    ));
    let rows = ROWS - after.cpus.len().min(CPUS_SHOWN) - hidden.min(1);
    for (number, name, used, threads) in busiest(before, after).into_iter().take(rows) {
        let ran = since(before, after, number);
        row(format_args!(
            "{number:>6}  {name:16} {:>3} %  {:>9}  {threads:>7}  {:>9}",
            per_cent(ran, passed_ticks),
            Bytes(used),
            Time(ticks(after.ran.get(&number).copied().unwrap_or(0)))
        ));
    }
    // Whatever stands below is of an earlier page.
    page.push_str("\x1b[J");
    page
}

/// Number, name, memory and threads of those that used most of the CPUs, the kernel among them.
fn busiest<'a>(before: &Sample, after: &'a Sample) -> Vec<(u32, &'a str, u64, u32)> {
    let kernel = (0, "(kernel)", after.memory.heap_used, 0);
    let mut all = alloc::vec![kernel];
    all.extend(after.processes.iter().map(|process| {
        (
            process.number,
            text(&process.name),
            process.used,
            process.threads,
        )
    }));
    all.sort_by_key(|(number, ..)| core::cmp::Reverse(since(before, after, *number)));
    all
}

/// How long a process ran between the samples, in ticks.
fn since(before: &Sample, after: &Sample, process: u32) -> u64 {
    let ran = |sample: &Sample| sample.ran.get(&process).copied().unwrap_or(0);
    ran(after).saturating_sub(ran(before))
}

fn per_cent(part: u64, whole: u64) -> u64 {
    (part.saturating_mul(100) / whole).min(100)
}

fn per_second(count: u64, passed: Duration) -> u64 {
    let micros = passed.as_micros().max(1);
    u64::try_from(u128::from(count) * 1_000_000 / micros).unwrap_or(u64::MAX)
}
