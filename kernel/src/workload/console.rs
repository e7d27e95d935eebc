//! The console is handed over, as to a driver at EL0.
//!
//! From then on the UART's registers are not mapped in the kernel, lines from a thread, from under held
//! interrupts and from an NMI handler wait and are told, what does not fit is counted, and nothing is lost
//! when a reader dies. What nobody has read is printed with the verdict, by the kernel itself.

use super::rain::Rain;
use super::support::{ensure, nothing_lost};
use super::{Failure, Task};
use crate::object::handle::HandleTable;
use crate::object::quota::Quota;
use crate::object::{Notification, Object, Ref, reclaim};
use crate::{clock, console, say, smp, thread};
use abi::handle::Rights;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use boot::args::Params;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use cpu::guard::{IrqGuard, NmiGuard};

const PATIENCE: Duration = Duration::from_secs(10);
/// More than fit.
const MANY: usize = 600;

/// Lines that handlers have said.
static FROM_HANDLERS: AtomicU64 = AtomicU64::new(0);

/// How the workload ends.
#[derive(Clone, Copy)]
enum End {
    Pass,
    Panic,
}

/// Runs the workload. Parameter: `end`, `pass` or `panic`.
///
/// # Errors
/// A sentence about what did not happen, or should not have.
pub(super) fn run(_: &Task, mut params: Params<'_>) -> Result<String, Failure> {
    let end = params.choice("end", End::Pass, &["pass", "panic"], |word| match word {
        "pass" => Some(End::Pass),
        "panic" => Some(End::Panic),
        _ => None,
    })?;
    params.finish()?;
    FROM_HANDLERS.store(0, Relaxed);
    let quota = Ref::try_new(Quota::new(1 << 20))?;
    let table = HandleTable::new(quota.clone())?;

    ensure!(console::is_mapped(), "the UART is not mapped to begin with");
    let (first, handle) = reader(&quota, &table)?;
    console::take(first.clone(), 1)?;
    ensure!(console::is_taken(), "the console was not taken");
    ensure!(!console::is_mapped(), "the UART is still mapped");
    // What was said until now.
    read_all();
    take(&first);

    say!("from a thread");
    told(&first)?;
    {
        let _irqs = IrqGuard::new();
        say!("with interrupts held");
    }
    {
        let _nmis = NmiGuard::new();
        say!("with NMIs held");
    }
    told(&first)?;
    let lines = read_all();
    let expected = ["from a thread", "with interrupts held", "with NMIs held"];
    ensure!(lines == expected, "read {lines:?}, not {expected:?}");

    let rain = Rain::begin(Duration::from_micros(100), |interrupt| {
        if FROM_HANDLERS.fetch_add(1, Relaxed) < 10 {
            say!("from a handler on CPU {}", interrupt.cpu.index());
        }
    })?;
    let mut from_handlers = 0;
    while from_handlers < 10 {
        told(&first)?;
        let lines = read_all();
        ensure!(
            lines.iter().all(|line| line.starts_with("from a handler")),
            "read {lines:?} among the handlers' lines"
        );
        from_handlers += lines.len();
    }
    drop(rain);

    for number in 0..MANY {
        say!("line {number}");
    }
    told(&first)?;
    let lines = read_all();
    let (last, kept) = lines.split_last().ok_or("nothing to read")?;
    let lost = format!("({} lines lost: the ring was full)", MANY - kept.len());
    ensure!(*last == lost, "the last line is {last:?}, not {lost:?}");

    // The reader dies; lines wait; the next is told of them.
    table.close(handle)?;
    drop(first);
    say!("said while nobody reads");
    console::forget_dead_reader();
    reclaim::settle();
    ensure!(!console::is_mapped(), "the UART came back");
    let (second, handle) = reader(&quota, &table)?;
    console::take(second.clone(), 2)?;
    told(&second)?;
    let lines = read_all();
    ensure!(
        lines == ["said while nobody reads"],
        "the next reader reads {lines:?}"
    );

    table.close(handle)?;
    drop(second);
    console::forget_dead_reader();
    drop(table);
    reclaim::settle();
    ensure!(quota.used() == 0, "{} bytes stay charged", quota.used());
    nothing_lost()?;
    // Half of the first is read, the second not at all.
    say!("begun to be read");
    ensure!(console::read(&mut [0; 6]) == 6, "six bytes were to be read");
    say!("read by nobody");
    match end {
        End::Pass => Ok(format!(
            "console on {}: {} lines",
            smp::up(),
            kept.len() + 15
        )),
        End::Panic => panic!("on purpose, without a console"),
    }
}

type Reader = (Ref<Notification>, abi::handle::Handle);

fn reader(quota: &Ref<Quota>, table: &HandleTable) -> Result<Reader, Failure> {
    let notification = Notification::create(quota)?;
    let object = Object::Notification(notification.clone());
    let handle = table.insert(object, Rights::ALL, 0, None)?;
    Ok((notification, handle))
}

/// Waits until the reader is told that there are lines.
fn told(reader: &Notification) -> Result<(), Failure> {
    let patience = clock::now() + clock::ticks(PATIENCE);
    while take(reader) == 0 {
        ensure!(clock::now() < patience, "nobody was told of a line");
        thread::relax();
    }
    Ok(())
}

fn take(notification: &Notification) -> u64 {
    let _irqs = IrqGuard::new();
    notification.take()
}

/// Reads what there is, a few bytes at a time.
fn read_all() -> Vec<String> {
    let mut text = Vec::new();
    let mut part = [0; 7];
    loop {
        match console::read(&mut part) {
            0 => break,
            length => text.extend_from_slice(&part[..length]),
        }
    }
    let text = String::from_utf8_lossy(&text);
    text.lines().map(String::from).collect()
}
