//! Wake-ups, from any context but NMI, and balancing between CPUs.

use super::table::{TABLE, Thread};
use super::user::{WORK_END, WORK_MOVE};
use crate::irq::{self, Sgi, To};
use crate::smp::{self, Cpu};
use abi::trace::Event;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::fence;
use cpu::cell::NoSteps;
use cpu::counters::Counter;
use cpu::guard::{IrqGuard, Pinned};
use cpu::hw::{local, sysreg};
use cpu::lock::Yield;
use cpu::plant::{Plant, planted};
use entry::ExitLooks;
use sched::{CpuId, CpuSet, Level, Place, Removed, Resched, Wake, balance};
use spin::mutex::SpinMutexGuard;

/// Wakes `thread`, and preempts for it on the spot if that is due and permitted; otherwise the exit
/// of the interrupt handler, `preempt_enable` or a self-SGI will. Any context but NMI.
///
/// What the caller wrote before is visible to the thread when it runs. The caller sees to it that the
/// thread has not ended: it owns its `JoinHandle`, or the thread waits for this very wake-up.
pub(crate) fn wake(thread: &'static Thread) {
    if enqueue_woken(thread) {
        look_soon();
    }
}

/// Wakes `thread`; the exit of the fault being handled preempts for it.
pub(crate) fn wake_on_exit(thread: &'static Thread, _: &ExitLooks<'_>) {
    let _ = enqueue_woken(thread);
}

/// Wakes `thread` from a system call in `NoIrq`, whose exit will look.
#[inline]
pub(crate) fn wake_in_call(thread: &'static Thread) {
    let _ = enqueue_woken(thread);
}

/// Wakes the thread that `find` gives, whose memory stays until it is woken. Any context but NMI.
pub(crate) fn wake_found(find: impl FnOnce(&IrqGuard) -> Option<&'static Thread>) {
    let due = {
        let irqs = IrqGuard::new();
        find(&irqs).is_some_and(enqueue_woken)
    };
    if due {
        look_soon();
    }
}

/// Has the thread that `find` gives end on its way to EL0, wherever it is. Any context but NMI.
pub(crate) fn end_found(find: impl FnOnce(&IrqGuard) -> Option<&'static Thread>) {
    let due = {
        let irqs = IrqGuard::new();
        let Some(thread) = find(&irqs) else { return };
        thread.core.work.fetch_or(WORK_END, SeqCst);
        if thread.links.state().kill() == Wake::Claimed {
            enqueue_claimed(thread)
        } else {
            nudge(thread);
            false
        }
    };
    if due {
        look_soon();
    }
}

/// Has `thread`, if it runs, look at its work word before its next instruction at EL0.
pub(crate) fn nudge(thread: &Thread) {
    let irqs = IrqGuard::new();
    // Under the lock of its CPU: it was made current before, and is seen to run; or will be after, and sees
    // the word.
    if let Some(cpu) = runs_on(thread)
        && !core::ptr::eq(cpu, smp::this(&irqs))
    {
        irq::send(Sgi::Reschedule, To::Cpu(cpu.percpu()));
    }
}

/// Claims the wake-up of `thread` for a hand-over on `here`, if it last ran there and may again;
/// otherwise wakes it where it is to run. In `NoIrq`.
#[inline]
pub(super) fn claim_for(thread: &'static Thread, here: &'static Cpu) -> Option<&'static Thread> {
    if thread.links.state().wake() != Wake::Claimed {
        return None;
    }
    if thread.links.cpu() == here.id() && thread.links.allows(here.id()) {
        return Some(thread);
    }
    let _ = enqueue_claimed(thread);
    None
}

/// Whether `thread` is on a CPU at this moment, or was when its CPU last let its queue go.
pub(crate) fn is_running(thread: &Thread) -> bool {
    runs_on(thread).is_some()
}

/// The CPU that `thread` is on at this moment, or was on when that CPU last let its queue go.
fn runs_on(thread: &Thread) -> Option<&'static Cpu> {
    let _irqs = IrqGuard::new();
    loop {
        let id = thread.links.cpu();
        let cpu = smp::get(id.index())?;
        let _queue = cpu.queue.lock();
        if thread.links.cpu() == id {
            return (thread.links.place() == Place::Running).then_some(cpu);
        }
    }
}

/// Changes the level of `thread`.
pub(crate) fn set_level(thread: &'static Thread, level: Level) {
    let due = {
        let irqs = IrqGuard::new();
        let here = smp::this(&irqs);
        loop {
            let id = thread.links.cpu();
            let Some(cpu) = smp::get(id.index()) else {
                return;
            };
            let mut queue = cpu.queue.lock();
            if thread.links.cpu() != id {
                continue;
            }
            let verdict = queue.set_level(&TABLE, thread.id(), level);
            drop(queue);
            if verdict == Resched::NotNeeded {
                return;
            }
            if core::ptr::eq(cpu, here) {
                local::thread().preempt.set_need_resched::<NoSteps>();
                break true;
            }
            irq::send(Sgi::Reschedule, To::Cpu(cpu.percpu()));
            break false;
        }
    };
    if due {
        look_soon();
    }
}

/// Changes where `thread` may run; it leaves a CPU where it may not before its next instruction at EL0.
pub(crate) fn set_allowed(thread: &'static Thread, allowed: CpuSet) {
    thread.links.set_allowed(allowed);
    thread.core.work.fetch_or(WORK_MOVE, SeqCst);
    nudge(thread);
}

/// Lets a new thread run; false if it may run nowhere.
pub(super) fn start(thread: &'static Thread) -> bool {
    let irqs = IrqGuard::new();
    let here = smp::this(&irqs);
    let Some(target) = choose(thread, here.id()) else {
        return false;
    };
    let queue = target.queue.lock();
    let now_due = enqueue(queue, target, here, thread, Queue::enqueue);
    drop(irqs);
    if now_due {
        look_soon();
    }
    true
}

type Queue = sched::Cpu;

/// Brings a blocked thread to a run queue. Gives whether this CPU is to switch.
fn enqueue_woken(thread: &'static Thread) -> bool {
    if local::thread().preempt.in_nmi::<NoSteps>() {
        panic!("a wake-up was made in an NMI handler; it must be deferred");
    }
    if thread.links.state().wake() != Wake::Claimed {
        return false;
    }
    enqueue_claimed(thread)
}

/// Brings a blocked thread whose wake-up was claimed to a run queue. Gives whether this CPU is to switch.
fn enqueue_claimed(thread: &'static Thread) -> bool {
    let irqs = IrqGuard::new();
    let here = smp::this(&irqs);
    // The thread may be in the middle of its switch, or asleep, on the CPU it ran on last.
    let (last, mut queue) = loop {
        let id = thread.links.cpu();
        let Some(last) = smp::get(id.index()) else {
            panic!("a thread's CPU {id} is not there");
        };
        let queue = last.queue.lock();
        if thread.links.cpu() == id {
            break (last, queue);
        }
    };
    let target = choose(thread, last.id()).unwrap_or(last);
    if core::ptr::eq(target, last) {
        return enqueue(queue, target, here, thread, Queue::enqueue_woken);
    }
    // It is ours now, whether it slept or not.
    let (Removed::Taken | Removed::Elsewhere) = queue.cancel_sleep(&TABLE, thread.id());
    drop(queue);
    enqueue(target.queue.lock(), target, here, thread, Queue::enqueue)
}

/// Enqueues on `target`, whose lock is held, and tells it. Gives whether this CPU is to switch.
fn enqueue(
    mut queue: SpinMutexGuard<'_, Queue, Yield>,
    target: &'static Cpu,
    here: &'static Cpu,
    thread: &'static Thread,
    how: fn(&mut Queue, &super::table::Table, sched::TaskId) -> Resched,
) -> bool {
    // When the lock is released, the thread may run, end and be gone.
    let id = thread.id();
    let verdict = how(&mut queue, &TABLE, id);
    target.load.store(queue.load(), Relaxed);
    let deadline = queue.next_deadline_ticks();
    drop(queue);
    let percpu = here.percpu();
    percpu.trace.write(
        sysreg::counter_loose(),
        Event::Wake,
        local::thread().id(),
        u64::from(id.0),
        target.index() as u64,
    );
    if verdict != Resched::Needed {
        // It waits there; a CPU that has gone idle meanwhile may have it.
        call_thief(target);
    }
    if verdict == Resched::NotNeeded {
        return false;
    }
    if !core::ptr::eq(target, here) {
        irq::send(Sgi::Reschedule, To::Cpu(target.percpu()));
        return false;
    }
    if verdict == Resched::Rearm {
        here.clock.arm(deadline);
        return false;
    }
    local::thread().preempt.set_need_resched::<NoSteps>();
    true
}

/// A wake-up has set need_resched on this CPU: sees to it that somebody looks.
fn look_soon() {
    let preempt = &local::thread().preempt;
    if preempt.wants_switch::<NoSteps>() {
        // Nothing else will look: no exit path is open (the count would say so) and no guard.
        super::schedule::preempt_or_remind();
    }
}

/// Ordinary interrupts are held, and no exit path will look: an interrupt to ourselves will, as soon
/// as they are let in.
pub(super) fn remind() {
    if planted(Plant::ForgetSelfSgi) {
        return;
    }
    let irqs = IrqGuard::new();
    let cpu = irqs.cpu();
    cpu.counters.count(Counter::SelfSgis);
    irq::send(Sgi::Reschedule, To::Cpu(cpu));
}

/// Where `thread` is to run: where it ran last, if that is free or not much fuller than the best.
fn choose(thread: &Thread, last: CpuId) -> Option<&'static Cpu> {
    if let Some(cpu) = smp::get(last.index())
        && cpu.load.load(Relaxed) == 0
        && thread.links.allows(last)
    {
        return Some(cpu);
    }
    let chosen = balance::place(loads(), thread.links.allowed(), last)?;
    smp::get(chosen.index())
}

fn loads() -> impl Iterator<Item = (CpuId, u32)> {
    smp::all().map(|cpu| (cpu.id(), cpu.load.load(Relaxed)))
}

/// Takes a thread from the fullest CPU that has two more and one that may run here; whether one came.
/// For an idle CPU, in `NoIrq`.
pub(super) fn steal(cpu: &'static Cpu) -> bool {
    // Against `call_thief`: this CPU's load of 0 was stored, now others' are loaded.
    fence(SeqCst);
    let mut tried = CpuSet::EMPTY;
    let id = loop {
        let left = loads().filter(|(id, _)| !tried.contains(*id));
        let Some(victim) = balance::steal_from(left, cpu.id()) else {
            return false;
        };
        tried = tried.with(victim);
        let Some(victim) = smp::get(victim.index()) else {
            continue;
        };
        let mut queue = victim.queue.lock();
        let taken = queue.take_for(&TABLE, cpu.id());
        victim.load.store(queue.load(), Relaxed);
        if let Some(id) = taken {
            break id;
        }
    };
    let mut queue = cpu.queue.lock();
    let verdict = queue.enqueue(&TABLE, id);
    cpu.load.store(queue.load(), Relaxed);
    drop(queue);
    if verdict == Resched::Needed {
        local::thread().preempt.set_need_resched::<NoSteps>();
    }
    true
}

/// If this CPU has work for two and an idle one may have some of it, has that one come and take it.
/// `NoIrq`, without the queue's lock.
#[inline]
pub(crate) fn call_thief(cpu: &'static Cpu) {
    // Against `steal`: this CPU's load was stored, now others' are loaded.
    fence(SeqCst);
    if cpu.load.load(Relaxed) >= 2 {
        push_to_thief(cpu);
    }
}

#[cold]
#[inline(never)]
fn push_to_thief(cpu: &'static Cpu) {
    if !smp::all().any(|cpu| cpu.load.load(Relaxed) == 0) {
        return;
    }
    let movable = cpu.queue.lock().ready().movable_to(&TABLE);
    if let Some(thief) = balance::push_to(loads(), cpu.id(), movable)
        && let Some(thief) = smp::get(thief.index())
        && thief.load.load(Relaxed) == 0
    {
        irq::send(Sgi::Reschedule, To::Cpu(thief.percpu()));
    }
}
