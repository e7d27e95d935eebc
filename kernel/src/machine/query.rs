//! What is known of the machine, as lists of reports.
//!
//! The lists change while somebody goes through them, and each report is true for itself. Nothing is held
//! from one to the next.

use crate::mm::{frames, heap, stacks};
use crate::object::irq;
use crate::smp::{self, Cpu};
use crate::thread::user::WORK_SUSPEND;
use crate::thread::{self, MAX_THREADS, Thread};
use crate::{clock, start};
use abi::report::{CpuReport, Device, Devices, IrqReport, MemoryReport, ThreadReport, ThreadState};
use abi::start::name;
use boot::Region;
use boot::info::{Line, Trigger};
use core::sync::atomic::Ordering::Relaxed;
use cpu::counters::Counter;
use cpu::guard::{IrqGuard, PreemptGuard};
use sched::Place;

/// All threads, by number.
pub(crate) fn threads() -> impl Iterator<Item = ThreadReport> {
    (0..MAX_THREADS as u32).filter_map(|number| {
        // The thread stays as long as this CPU does not switch.
        let _pinned = PreemptGuard::new();
        thread::TABLE.find(number).map(thread)
    })
}

fn thread(thread: &Thread) -> ThreadReport {
    let work = thread.core.work.load(Relaxed);
    let state = match thread.links.place() {
        Place::Running => ThreadState::Running,
        Place::Ready(_) => ThreadState::Ready,
        Place::Sleeping => ThreadState::Sleeping,
        Place::Nowhere | Place::Gone if work & WORK_SUSPEND != 0 => ThreadState::Suspended,
        Place::Nowhere | Place::Gone => ThreadState::Waiting,
    };
    ThreadReport {
        number: thread.core.id(),
        process: thread.try_user().map_or(0, |user| user.process().number()),
        name: name(thread.name()),
        priority: u32::from(thread.links.level().get()),
        cpu: thread.links.cpu().index() as u32,
        state: state as u32,
        reserved: 0,
        ran_ticks: ran_ticks(thread),
    }
}

/// How long a thread has run, its current turn included.
fn ran_ticks(thread: &Thread) -> u64 {
    let before = thread.ran_ticks.load(Relaxed);
    let since = thread.since_ticks.load(Relaxed);
    match thread.links.place() {
        Place::Running => before + clock::now().saturating_sub(since),
        _ => before,
    }
}

/// All CPUs that are up, by number.
pub(crate) fn cpus() -> impl Iterator<Item = CpuReport> {
    smp::all().map(cpu)
}

fn cpu(cpu: &Cpu) -> CpuReport {
    let counters = &cpu.percpu().counters;
    let paths = abi::path::Path::ALL.iter();
    CpuReport {
        number: cpu.index() as u32,
        load: cpu.load.load(Relaxed),
        idle_ticks: idle_ticks(cpu),
        interrupts: counters.of(Counter::Acknowledged),
        nmis: counters.of(Counter::Nmi),
        switches: counters.of(Counter::Switches),
        preemptions: paths.map(|path| counters.preemptions(*path)).sum(),
    }
}

/// How long `cpu` has had nobody to run. The idle thread is in no queue: it runs when nobody does.
fn idle_ticks(cpu: &Cpu) -> u64 {
    let before = cpu.idle.ran_ticks.load(Relaxed);
    let since = cpu.idle.since_ticks.load(Relaxed);
    let _irqs = IrqGuard::new();
    let is_idle = cpu
        .queue
        .try_lock()
        .is_some_and(|queue| queue.current().is_none());
    if is_idle {
        before + clock::now().saturating_sub(since)
    } else {
        before
    }
}

/// The machine's memory.
pub(crate) fn memory() -> MemoryReport {
    let (free, total) = frames::usage();
    let stacks = stacks::area();
    MemoryReport {
        total,
        free,
        heap: heap::grown_bytes(),
        heap_used: heap::used_bytes(),
        // Half of the area is guards.
        stacks: (stacks.end - stacks.start) / 2,
    }
}

/// All interrupts that are bound, by INTID.
pub(crate) fn irqs() -> impl Iterator<Item = IrqReport> {
    irq::reports()
}

/// Where devices are.
pub(crate) fn devices() -> Devices {
    let info = start::info();
    let mut devices = Devices {
        uart: device(info.uart.registers, info.uart.line),
        virtio_count: info.virtio.len() as u64,
        ..Devices::default()
    };
    for (report, slot) in devices.virtio.iter_mut().zip(&info.virtio) {
        *report = device(slot.registers, slot.line);
    }
    devices
}

fn device(registers: Region, line: Line) -> Device {
    Device {
        base: registers.base(),
        bytes: registers.size(),
        intid: line.intid.number(),
        edge: u32::from(line.trigger == Trigger::Edge),
    }
}
