//! The trace rings, for people and for the host.

use crate::say;
use crate::semihosting::File;
use crate::symbols::Symbol;
use crate::{clock, smp};
use abi::path;
use abi::trace::{CpuHeader, DumpHeader, Event, MAGIC, Record};
use cpu::percpu::PerCpu;

/// The name of the dump on the host.
const FILE: &core::ffi::CStr = c"petrel.trace";

/// Prints the last `most` records of a CPU, oldest first.
pub(crate) fn show_last(cpu: &PerCpu, most: usize) {
    let ring = &cpu.trace;
    let shown = ring.records().count().min(most);
    say!(
        "  last {shown} of {} trace records of CPU {} ({} overwritten):",
        ring.written(),
        cpu.index(),
        ring.lost()
    );
    let skip = ring.records().count() - shown;
    for record in ring.records().skip(skip) {
        show(&record);
    }
}

fn show(record: &Record) {
    let when = record.when;
    let thread = record.thread;
    let name = |stack| path::unwind(stack).next().map_or("?", |path| path.name());
    match Event::from_number(record.event) {
        Some(Event::Enter) => say!(
            "    {when} thread {thread} enters {} at {}",
            name(record.a),
            Symbol(record.b)
        ),
        Some(Event::Exit) => say!("    {when} thread {thread} leaves {}", name(record.a)),
        Some(Event::Switch) => say!("    {when} thread {thread} switches to {}", record.a),
        Some(Event::Wake) => say!(
            "    {when} thread {thread} wakes {} on CPU {}",
            record.a,
            record.b
        ),
        _ => say!(
            "    {when} thread {thread} event {} {:#x} {:#x}",
            record.event,
            record.a,
            record.b
        ),
    }
}

/// Writes all rings to the host by semihosting, if the image was asked to (`trace=on`).
pub(crate) fn dump() {
    if !crate::wants_trace() {
        return;
    }
    let Some(file) = File::create(FILE) else {
        say!("the trace could not be written: no semihosting");
        return;
    };
    let header = DumpHeader {
        magic: MAGIC,
        frequency_hz: clock::frequency().hz(),
        cpus: smp::all().count() as u64,
    };
    let mut whole = file.write(bytes(&header));
    for cpu in smp::all() {
        let ring = &cpu.percpu().trace;
        whole &= file.write(bytes(&CpuHeader {
            cpu: cpu.index() as u64,
            records: ring.records().count() as u64,
            lost: ring.lost(),
        }));
        for record in ring.records() {
            whole &= file.write(bytes(&record));
        }
    }
    say!(
        "trace written to {}{}",
        FILE.to_str().unwrap_or("?"),
        if whole { "" } else { ", not all of it" }
    );
}

/// The bytes of a record or header: plain words, without padding.
fn bytes<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: called with `abi::trace`'s `repr(C)` types only, which have no padding (asserted there).
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>()) }
}
