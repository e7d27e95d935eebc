//! Guards and locks on the host: each host thread is a CPU of its own that nothing interrupts.

use crate::percpu::PerCpu;
use crate::thread::Core;
use std::cell::Cell;

std::thread_local! {
    static THREAD: &'static Core = Box::leak(Box::new(Core::new(0)));
    static ASKED: Cell<u32> = const { Cell::new(0) };
}

pub(crate) fn thread() -> &'static Core {
    THREAD.with(|thread| *thread)
}

pub(crate) fn cpu() -> &'static PerCpu {
    let cpu = thread().cpu_ptr();
    assert!(!cpu.is_null(), "this host thread was given no CPU");
    // SAFETY: `Core::set_cpu` stores only `&'static PerCpu`.
    unsafe { &*cpu }
}

pub(crate) fn irq_save() -> u64 {
    0
}

pub(crate) fn irq_restore(_: u64) {}

pub(crate) fn nmi_save() -> u64 {
    0
}

pub(crate) fn nmi_restore(_: u64) {}

pub(crate) fn preempt_wanted() {
    ASKED.set(ASKED.get() + 1);
}

/// How often a preemption was asked for on this host thread.
#[cfg(test)]
pub(crate) fn asked() -> u32 {
    ASKED.get()
}
