//! This CPU, for guards and locks.

use super::slots;
use crate::percpu::PerCpu;
use crate::thread::Core;

pub(crate) use slots::{irq_restore, irq_save};

/// The thread that runs here.
///
/// `TPIDR_EL1` never changes under a thread: it is written by the switch, and back before the thread
/// goes on. So the read may be merged with others, and moved.
#[inline(always)]
pub fn thread() -> &'static Core {
    let core: *const Core;
    // SAFETY: reads a register that holds a `&'static Core` from the first Rust instruction on
    // each CPU.
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el1", out(reg) core,
            options(pure, nomem, nostack, preserves_flags));
        &*core
    }
}

/// This CPU's data, for who cannot be migrated.
#[inline(always)]
pub(crate) fn cpu() -> &'static PerCpu {
    // SAFETY: a running thread has been placed on a CPU by `Core::set_cpu`.
    unsafe { &*thread().cpu_ptr() }
}

/// Holds IRQ and FIQ by DAIF; gives what [`nmi_restore`] needs.
#[inline(always)]
pub(crate) fn nmi_save() -> u64 {
    let saved: u64;
    // SAFETY: masking more is always sound. Not `nomem`: what follows is guarded by it.
    unsafe {
        core::arch::asm!("mrs {}, daif", "msr daifset, #3", out(reg) saved,
            options(nostack, preserves_flags));
    }
    saved
}

/// Puts back what [`nmi_save`] found.
#[inline(always)]
pub(crate) fn nmi_restore(saved: u64) {
    // SAFETY: the state was this CPU's own. Not `nomem`: what came before was guarded.
    unsafe {
        core::arch::asm!("msr daif, {}", in(reg) saved, options(nostack, preserves_flags));
    }
}

unsafe extern "Rust" {
    /// The scheduler's answer to a switch that became permitted outside any exit path.
    ///
    /// The kernel defines it. Called with preemption on and a switch wanted, in any context but NMI.
    safe fn petrel_preempt_wanted();
}

/// A switch is wanted and has just become permitted.
#[cold]
pub(crate) fn preempt_wanted() {
    petrel_preempt_wanted();
}
