//! What an NMI handler wants done outside it.
//!
//! Lock-free: a word of flags per CPU, and a self-SGI whose handler runs what is flagged in `NoIrq`. Setting a
//! flag that is set already merges the two requests, so the queue never overflows and nothing allocates.

use crate::smp;
use crate::{console, irq};
use core::sync::atomic::{AtomicU32, Ordering};
use cpu::percpu::MAX_CPUS;

/// A kind of deferred work, as a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work(u32);

impl Work {
    /// Print what was logged, or have it printed.
    pub(crate) const DRAIN_CONSOLE: Self = Self(1 << 0);
}

static PENDING: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];

/// Has `work` done on this CPU soon. Any context that is not migrated, NMI included.
pub(crate) fn raise(work: Work) {
    let Some(cpu) = smp::try_this() else {
        return;
    };
    let before = PENDING[cpu.index()].fetch_or(work.0, Ordering::Release);
    if before & work.0 == 0 {
        irq::send(irq::Sgi::Deferred, irq::To::Cpu(cpu.percpu()));
    }
}

/// The self-SGI's handler.
pub(crate) fn handle(interrupt: &irq::Interrupt<'_>) {
    let pending = PENDING[interrupt.cpu.index()].swap(0, Ordering::Acquire);
    if pending & Work::DRAIN_CONSOLE.0 != 0 {
        console::drain_or_tell();
    }
}
