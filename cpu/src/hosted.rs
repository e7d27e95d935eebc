//! Guards and locks on the host: each host thread is a CPU of its own that nothing interrupts.

use crate::mask::daif;
use crate::percpu::PerCpu;
use crate::thread::Core;
use std::cell::Cell;

std::thread_local! {
    static THREAD: &'static Core = Box::leak(Box::new(Core::new(0)));
    static ASKED: Cell<u32> = const { Cell::new(0) };
    /// `DAIF` as the `daif` mechanism uses it: the one register that both kinds of guard write.
    static DAIF: Cell<u64> = const { Cell::new(0) };
}

pub(crate) fn thread() -> &'static Core {
    THREAD.with(|thread| *thread)
}

/// Makes this host thread `cpu`: what asks which CPU it is on finds that.
pub fn become_cpu(cpu: &'static PerCpu) {
    thread().set_cpu(cpu);
}

pub(crate) fn cpu() -> &'static PerCpu {
    let cpu = thread().cpu_ptr();
    assert!(!cpu.is_null(), "this host thread was given no CPU");
    // SAFETY: `Core::set_cpu` stores only `&'static PerCpu`.
    unsafe { &*cpu }
}

pub(crate) fn irq_save() -> u64 {
    DAIF.replace(DAIF.get() | u64::from(daif::I | daif::F))
}

pub(crate) fn irq_restore(saved: u64) {
    DAIF.set(saved);
}

pub(crate) fn nmi_save() -> u64 {
    irq_save()
}

pub(crate) fn nmi_restore(saved: u64) {
    irq_restore(saved);
}

/// The masks that guards have left.
#[cfg(test)]
pub(crate) fn masks() -> u64 {
    DAIF.get()
}

pub(crate) fn preempt_wanted() {
    ASKED.set(ASKED.get() + 1);
}

/// How often a preemption was asked for on this host thread.
#[cfg(test)]
pub(crate) fn asked() -> u32 {
    ASKED.get()
}
