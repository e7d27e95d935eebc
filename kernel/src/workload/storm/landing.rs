//! Where an NMI landed, told from what it interrupted.
//!
//! Four things are looked at: the masks in the frame, the paths the thread is inside, its preempt
//! count, and which floor the interrupted instruction belongs to. The last comes from a map of the
//! kernel's text, one byte for each instruction, drawn once from the symbol table, so that the
//! handler pays one load.

use crate::irq::Interrupt;
use crate::{symbols, thread};
use abi::path::{self, Path};
use alloc::vec::Vec;
use cpu::cell::NoSteps;
use cpu::mask::Context;
use cpu::thread::{IRQ_ONE, NMI_ONE};

/// What was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landing {
    /// Thread code with everything open.
    Thread,
    /// Thread code with preemption off.
    PreemptOff,
    /// A section with ordinary interrupts held.
    Masked,
    /// A program, at EL0.
    El0,
    /// A system call, with interrupts held or not.
    Syscall,
    /// The handler of a program's fault.
    UserFault,
    /// The handler of a fault.
    Fault,
    /// The entry layer, between the vector and the handler or between the handler and `eret`.
    EntryExit,
    /// The handler of an ordinary interrupt.
    IrqHandler,
    /// The scheduler, the switch included.
    Scheduler,
    /// The idle loop.
    Idle,
}

impl Landing {
    /// All of them, in the order of the report.
    pub(super) const ALL: [Self; 11] = [
        Self::Thread,
        Self::PreemptOff,
        Self::Masked,
        Self::El0,
        Self::Syscall,
        Self::UserFault,
        Self::Fault,
        Self::EntryExit,
        Self::IrqHandler,
        Self::Scheduler,
        Self::Idle,
    ];

    /// The name in the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::PreemptOff => "preemption off",
            Self::Masked => "masked section",
            Self::El0 => "program at EL0",
            Self::Syscall => "system call",
            Self::UserFault => "program's fault",
            Self::Fault => "fault handler",
            Self::EntryExit => "entry, exit window",
            Self::IrqHandler => "interrupt handler",
            Self::Scheduler => "scheduler, switch",
            Self::Idle => "idle",
        }
    }
}

/// Which floor an instruction belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Floor {
    Other,
    Entry,
    Scheduler,
}

/// The floor of each instruction of the kernel's text.
pub(super) struct TextMap {
    start: u64,
    floors: Vec<Floor>,
}

/// How the names begin (before the function's own generics) of what belongs to a floor.
const FLOORS: &[(&str, Floor)] = &[
    ("entry::", Floor::Entry),
    ("sched::", Floor::Scheduler),
    ("cpu::hw::switch::", Floor::Scheduler),
    ("petrel_kernel::thread::schedule::", Floor::Scheduler),
    ("petrel_kernel::thread::wake::", Floor::Scheduler),
];

impl TextMap {
    /// Draws the map; `None` if the image carries no symbols.
    pub(super) fn draw() -> Option<Self> {
        let table = symbols::table()?;
        let text = boot::arch::text();
        let index = |address: u64| (address.clamp(text.start, text.end) - text.start) as usize / 4;
        let mut floors = alloc::vec![Floor::Other; index(text.end)];
        for at in 0..table.len() {
            let (start, name) = table.get(at)?;
            let end = table.get(at + 1).map_or(text.end, |(next, _)| next);
            let floor = FLOORS.iter().find(|(prefix, _)| name.starts_with(prefix));
            if let Some((_, floor)) = floor {
                floors[index(start)..index(end)].fill(*floor);
            }
        }
        Some(Self {
            start: text.start,
            floors,
        })
    }

    /// Whether `address` lies in the entry layer.
    #[inline]
    pub(super) fn is_entry(&self, address: u64) -> bool {
        self.floor(address) == Floor::Entry
    }

    #[inline]
    fn floor(&self, address: u64) -> Floor {
        let at = address.wrapping_sub(self.start) as usize / 4;
        self.floors.get(at).copied().unwrap_or(Floor::Other)
    }
}

/// Where the interrupt that is being handled landed. In its handler.
#[inline]
pub(super) fn classify(map: &TextMap, interrupt: &Interrupt<'_>) -> Landing {
    let core = &thread::current().core;
    let frame = interrupt.frame;
    if frame.is_el0() {
        return Landing::El0;
    }
    let count = core.preempt.count::<NoSteps>();
    // Without NMIs the storm's interrupts are ordinary ones, and this handler counts itself.
    let own = if count < NMI_ONE { IRQ_ONE } else { NMI_ONE };
    let below = count - own;
    let mechanism = crate::irq::setup().mechanism;
    let is_process = frame.masks().bits() == Context::Process.state(mechanism).bits();
    let path = path::unwind(core.path.get::<NoSteps>() >> 8).next();
    match map.floor(frame.elr) {
        Floor::Entry => Landing::EntryExit,
        _ if below >= IRQ_ONE => Landing::IrqHandler,
        Floor::Scheduler if !is_process => Landing::Scheduler,
        _ if core::ptr::eq(interrupt.cpu.idle, thread::current()) => Landing::Idle,
        _ if path == Some(Path::Syscall) => Landing::Syscall,
        _ if path == Some(Path::UserFault) => Landing::UserFault,
        _ if path == Some(Path::Fault) => Landing::Fault,
        _ if !is_process => Landing::Masked,
        _ if below != 0 => Landing::PreemptOff,
        _ => Landing::Thread,
    }
}
