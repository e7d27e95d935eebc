//! What a CPU does when nobody is ready: look for work elsewhere, then wait without being woken for
//! nothing.

use super::schedule;
use super::wake::steal;
use crate::smp::Cpu;
use crate::{console, control};
use abi::path::Path;
use cpu::cell::NoSteps;
use cpu::context::Switchable;
use cpu::counters::Counter;
use cpu::epoch;
use cpu::guard::IrqGuard;
use cpu::hw::{idle, slots};

/// Becomes the idle thread of `cpu`. In: `Critical`, with everything set up.
pub(crate) fn enter(cpu: &'static Cpu) -> ! {
    // SAFETY: everything is set up, and this thread holds nothing.
    unsafe {
        slots::open_no_irq();
        slots::irq_on();
    }
    let core = &cpu.idle.core;
    loop {
        let irqs = IrqGuard::new();
        if !core.preempt.need_resched::<NoSteps>() && !steal(cpu) {
            control::check_idle(cpu);
            cpu.percpu().counters.count(Counter::Waits);
            // Quiescent from here: an idle CPU holds no reference into any table.
            epoch::end_watching::<NoSteps>(cpu.percpu());
            // SAFETY: from `Process`, the guard makes it exactly `NoIrq`.
            unsafe { idle::wait(core) };
            epoch::begin_watching::<NoSteps>(cpu.percpu());
        }
        if core.preempt.need_resched::<NoSteps>() {
            // SAFETY: from `Process`, the guard makes it exactly `NoIrq`, on the idle thread's stack;
            // the switch checks that.
            schedule::preempt(unsafe { Switchable::assume() }, Path::Thread);
        }
        // What woke us is taken here.
        drop(irqs);
        console::drain();
    }
}
