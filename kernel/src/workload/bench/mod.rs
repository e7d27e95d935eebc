//! `run=bench`: what operations cost, in guest instructions.
//!
//! QEMU is no clock: its time says nothing about a processor's. What it can do is count. Under
//! `-icount`, with the counter's frequency matched to the shift, one tick of `CNTVCT_EL0` *is* one
//! guest instruction, so two reads of the counter give the exact number of instructions between
//! them, the same in every run. `stretch` holds how, and refuses a machine where it is not so.
//! Instructions are not cycles: a barrier or a device access counts one like any other.
//!
//! Each row does its operation [`stretch::TIMES`] times and prints
//!
//! ```text
//! bench: <name> | <group> | <marker> | <min> | <median> | <max>
//! ```
//!
//! The marker is the number of the two hints that enclose the stretch, for whoever counts from
//! outside; what the row says is exactly what lies between them. Each row says in its comment where they
//! stand. A stretch that begins with an interrupt begins with the one instruction that lets the
//! interrupt come (a write of `ICC_SGI1R_EL1`, or the unmask), which is counted: nothing is added to
//! the vectors for the measurement's sake. Goals and peers are the host's matter
//! (`harness::bench`).

mod entries;
mod faults;
mod masks;
mod stretch;
mod threads;

use super::{Failure, Task};
use crate::{irq, say};
use alloc::string::String;
use boot::args::Params;
use stretch::Samples;

/// One operation.
struct Row {
    name: &'static str,
    group: &'static str,
    /// The number of its hints; `None` if its stretch begins at no instruction.
    marker: Option<u32>,
    needs: Needs,
    measure: fn() -> Result<Samples, Failure>,
}

/// What a row cannot do without.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Nmis,
}

/// `row!(marker, group, name, needs, function)`: the function's parameter is the marker's number.
/// Marker 31 is the calibration's.
macro_rules! row {
    ($marker:literal, $group:literal, $name:literal, $needs:ident, $measure:path) => {
        Row {
            name: $name,
            group: $group,
            marker: Some($marker),
            needs: Needs::$needs,
            measure: $measure,
        }
    };
}

/// All operations, in the order in which they are measured.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row!(0,  "masks",      "empty",                Nothing, masks::empty::<0>),
    row!(1,  "masks",      "mask-restore",         Nothing, masks::mask_restore::<1>),
    row!(2,  "masks",      "lock-unlock",          Nothing, masks::lock_unlock::<2>),
    row!(3,  "masks",      "trace-record",         Nothing, masks::trace_record::<3>),
    row!(4,  "interrupts", "irq-el1",              Nothing, entries::irq_el1::<4>),
    row!(5,  "interrupts", "sgi-to-handler",       Nothing, entries::sgi_to_handler::<5>),
    row!(6,  "interrupts", "sgi-to-resumed",       Nothing, entries::sgi_to_resumed::<6>),
    row!(7,  "interrupts", "tick-to-handler",      Nothing, entries::tick_to_handler::<7>),
    row!(8,  "interrupts", "tick-el1",             Nothing, entries::tick_el1::<8>),
    row!(9,  "nmi",        "nmi-el1",              Nmis,    entries::nmi_el1::<9>),
    row!(10, "nmi",        "nmi-to-handler",       Nmis,    entries::nmi_to_handler::<10>),
    row!(11, "nmi",        "timer-nmi-to-handler", Nmis,    entries::timer_nmi_to_handler::<11>),
    row!(12, "faults",     "fault-exit",           Nothing, faults::exit::<12>),
    row!(13, "faults",     "fault-preempt",        Nothing, faults::preempt::<13>),
    row!(14, "threads",    "thread-switch",        Nothing, threads::switch::<14>),
    row!(15, "threads",    "thread-create-join",   Nothing, threads::create_join::<15>),
    Row { name: "thread-wake-up", group: "threads", marker: None, needs: Needs::Nothing,
          measure: threads::wake_up },
];

/// Measures and prints the rows of `group=`, or all.
pub(super) fn run(_: &Task, mut params: Params<'_>) -> Result<String, Failure> {
    let group = params.text("group")?;
    params.finish()?;
    if let Some(group) = group
        && !ROWS.iter().any(|row| row.group == group)
    {
        return Err(Failure::new(format_args!(
            "there is no group {group}; there are {}",
            groups()
        )));
    }
    if cpu::percpu::count() != 1 {
        return Err("instructions are counted on a machine with one CPU".into());
    }
    stretch::calibrate()?;
    let mut rows = 0;
    for row in ROWS {
        if group.is_some_and(|group| group != row.group) {
            continue;
        }
        if row.needs == Needs::Nmis && !irq::has_nmis() {
            say!("{}: left out, mask=daif has no NMIs", row.name);
            continue;
        }
        print(row, (row.measure)()?)?;
        rows += 1;
    }
    if rows == 0 {
        return Err("vacuous: nothing was measured".into());
    }
    Ok(alloc::format!("bench of {rows} operations"))
}

fn print(row: &Row, samples: Samples) -> Result<(), Failure> {
    let Some([min, median, max]) = samples.sorted() else {
        return Err(Failure::new(format_args!(
            "{} was never measured",
            row.name
        )));
    };
    let marker = match row.marker {
        Some(marker) => alloc::format!("{marker}"),
        None => "-".into(),
    };
    let Row { name, group, .. } = row;
    say!("bench: {name} | {group} | {marker} | {min} | {median} | {max}");
    Ok(())
}

/// The groups, each once.
fn groups() -> String {
    let mut names = String::new();
    let mut last = "";
    for row in ROWS
        .iter()
        .filter(|row| core::mem::replace(&mut last, row.group) != row.group)
    {
        if !names.is_empty() {
            names.push_str(", ");
        }
        names.push_str(row.group);
    }
    names
}
