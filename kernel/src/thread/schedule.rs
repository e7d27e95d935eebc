//! Leaving a CPU, the switch, and what the next thread does first.

use super::table::{TABLE, Thread, current};
use crate::smp::{self, Cpu};
use crate::{clock, control};
use abi::path::Path;
use abi::trace::Event;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use cpu::cell::NoSteps;
use cpu::context::Switchable;
use cpu::counters::Counter;
use cpu::epoch;
use cpu::guard::{IrqGuard, Pinned};
use cpu::hw::{slots, switch, sysreg};
use cpu::lock::Yield;
use cpu::mask::{Context, MaskState, Mechanism};
use sched::{Block, Handed, Place, Resched};
use spin::mutex::SpinMutexGuard;

/// Why a thread leaves its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// It was made to.
    Preempted(Path),
    /// It lets others go first.
    Yield,
    /// Until it is woken.
    Block,
    /// Until it is woken, or this tick.
    SleepUntil(u64),
    /// For ever.
    Exit,
}

/// Takes the running thread off and runs whoever is next; comes back when this thread runs again, or
/// at once if there was nothing to leave for.
fn leave(legal: Switchable<'_>, why: Leave) {
    let cpu = smp::this(&legal);
    let me = current();
    let mut queue = cpu.queue.lock();
    let now = clock::now();
    let block = match why {
        Leave::Preempted(_) => {
            queue.preempt_current(&TABLE, now);
            Block::Blocked
        }
        Leave::Yield => {
            queue.yield_current(&TABLE);
            Block::Blocked
        }
        Leave::Block => queue.block_current(&TABLE),
        Leave::SleepUntil(deadline) => queue.sleep_current_until(&TABLE, deadline),
        Leave::Exit => {
            queue.exit_current(&TABLE);
            Block::Blocked
        }
    };
    if block != Block::Blocked {
        if !me.core.preempt.need_resched::<NoSteps>() {
            return;
        }
        // It need not wait, but somebody else is to run first.
        queue.preempt_current(&TABLE, now);
    }
    me.core.preempt.clear_need_resched::<NoSteps>();
    let next = match queue.pick(&TABLE, now) {
        Some(id) => TABLE.get(id),
        None => cpu.idle,
    };
    cpu.clock.arm(queue.next_deadline_ticks());
    cpu.load.store(queue.load(), Relaxed);
    if core::ptr::eq(next, me) {
        return;
    }
    let path = match why {
        Leave::Preempted(path) => path,
        _ => Path::Thread,
    };
    change(cpu, me, next, now, path, &legal);
    // The queue's lock is kept across the switch; `arrive` releases it.
    core::mem::forget(queue);
    // SAFETY: the scheduler picked `next`, which runs nowhere and was prepared or left by a switch.
    unsafe { switch::switch(&next.core, legal) };
    arrive();
}

/// Takes the running thread, which waits for something at EL0 without a deadline, off its CPU, and runs
/// `partner` in its place, whose wait is over: what [`block_at_frame`] does, when nothing unusual is in the
/// way.
#[inline(always)]
pub(crate) fn hand_over(mut legal: Switchable<'_>, partner: &'static Thread) {
    let cpu = smp::this(&legal);
    // Where it waits is looked at when its wake-up is ours: until then it may run, and wait elsewhere.
    let Some(partner) = super::wake::claim_for(partner, cpu) else {
        block_with(legal, cpu, u64::MAX, None);
        return;
    };
    let me = current();
    let mut queue = cpu.queue.lock();
    match queue.hand_over_from(&me.links, &partner.links, partner.id()) {
        Handed::Quiet => {}
        Handed::Rearm => cpu.clock.arm(queue.next_deadline_ticks()),
        Handed::Stays => {
            stay(cpu, queue, partner);
            return;
        }
        Handed::Not => {
            drop(queue);
            hand_over_slowly(legal.reborrow(), cpu, partner);
            return;
        }
    }
    me.core.preempt.clear_need_resched::<NoSteps>();
    core::mem::forget(queue);
    change(
        cpu,
        me,
        partner,
        sysreg::counter_loose(),
        Path::Syscall,
        &legal,
    );
    // SAFETY: as in `block_at_frame`; who has waited at EL0 is parked.
    unsafe { switch::switch_parked(&partner.core, legal) };
}

/// [`hand_over`] when something is in the way: a woken sleeper, somebody more urgent. The wake-up of `partner` was claimed.
#[cold]
#[inline(never)]
fn hand_over_slowly(legal: Switchable<'_>, cpu: &'static Cpu, partner: &'static Thread) {
    block_with(legal, cpu, u64::MAX, Some(partner));
}

/// Everything about a change of threads but the switch itself. The queue's lock is held.
#[inline(always)]
fn change(
    cpu: &'static Cpu,
    me: &'static Thread,
    next: &'static Thread,
    now: u64,
    path: Path,
    legal: &Switchable<'_>,
) {
    let turn = now.saturating_sub(me.since_ticks.load(Relaxed));
    me.ran_ticks
        .store(me.ran_ticks.load(Relaxed) + turn, Relaxed);
    next.since_ticks.store(now, Relaxed);
    next.core.set_cpu(cpu.percpu());
    cpu.previous
        .store(core::ptr::from_ref(me).cast_mut(), Relaxed);
    super::user::exchange(me, next);
    epoch::pass(legal);
    let percpu = cpu.percpu();
    percpu.counters.count(Counter::Switches);
    let (from, to) = (me.core.id(), u64::from(next.core.id()));
    percpu.trace.write(
        sysreg::counter_loose(),
        Event::Switch,
        from,
        to,
        path as u64,
    );
}

/// Takes the running thread, which waits for something at EL0, off its CPU: when it runs again, nothing
/// but its frame is left of it, and [`crate::ipc::settle`] looks what came of its wait. `partner` is a
/// thread whose wait is over; it runs next if it may run here.
///
/// Comes back only if the thread need not leave: it was woken before it was gone, or is to end.
pub(crate) fn block_at_frame(
    legal: Switchable<'_>,
    deadline: u64,
    partner: Option<&'static Thread>,
) {
    let cpu = smp::this(&legal);
    let partner = partner.and_then(|partner| super::wake::claim_for(partner, cpu));
    block_with(legal, cpu, deadline, partner);
}

/// [`block_at_frame`] with a partner whose wake-up was claimed, and that may run here.
fn block_with(
    legal: Switchable<'_>,
    cpu: &'static Cpu,
    deadline: u64,
    partner: Option<&'static Thread>,
) {
    let me = current();
    let mut queue = cpu.queue.lock();
    let now = clock::now();
    let block = if deadline == u64::MAX {
        queue.block_current(&TABLE)
    } else {
        queue.sleep_current_until(&TABLE, deadline)
    };
    if block != Block::Blocked {
        if let Some(partner) = partner {
            stay(cpu, queue, partner);
        }
        return;
    }
    me.core.preempt.clear_need_resched::<NoSteps>();
    let next = match partner {
        Some(partner) => Some(queue.hand_over(&TABLE, partner.id(), now)),
        None => queue.pick(&TABLE, now),
    };
    let next = next.map_or(cpu.idle, |id| TABLE.get(id));
    cpu.clock.arm(queue.next_deadline_ticks());
    cpu.load.store(queue.load(), Relaxed);
    change(cpu, me, next, now, Path::Syscall, &legal);
    core::mem::forget(queue);
    // SAFETY: as in `leave`; and this thread has a frame at the top of its stack, since it came from
    // EL0, and nothing else that it would come back to.
    unsafe { switch::switch_away(&next.core, legal) };
}

/// The running thread does not leave after all; `partner`, whose wake-up was claimed, waits its turn.
#[cold]
fn stay(
    cpu: &'static Cpu,
    mut queue: SpinMutexGuard<'_, sched::Cpu, Yield>,
    partner: &'static Thread,
) {
    if queue.enqueue_woken(&TABLE, partner.id()) != Resched::NotNeeded {
        current().core.preempt.set_need_resched::<NoSteps>();
    }
    cpu.load.store(queue.load(), Relaxed);
}

/// What a thread does first when it runs again, or for the first time. `NoIrq`, the queue's lock held.
pub(crate) fn arrive() {
    // SAFETY: this is the legal switch state: the switch was checked.
    let legal = unsafe { Switchable::assume() };
    let cpu = smp::this(&legal);
    let previous = cpu.previous.load(Relaxed);
    // SAFETY: who switched here stored itself, and lives at least until the lock is released.
    let previous: &'static Thread = unsafe { &*previous };
    let place = previous.links.place();
    // SAFETY: the previous thread took the lock and left it to us.
    unsafe { cpu.queue.force_unlock() };
    match place {
        // SAFETY: it has left the scheduler, and we are not on its stack.
        Place::Gone => unsafe { previous.reap() },
        // It waits here while another CPU may be idle.
        Place::Ready(_) => super::wake::call_thief(cpu),
        // It left because it may not run here any more.
        Place::Nowhere if !previous.links.allows(cpu.id()) => super::wake(previous),
        Place::Nowhere | Place::Running | Place::Sleeping => {}
    }
}

/// The first function of every thread. In: `NoIrq`, on its stack.
pub(super) extern "C" fn first(thread: u64) -> ! {
    arrive();
    // SAFETY: a switch leaves the CPU in `NoIrq`, and a new thread holds nothing.
    unsafe { slots::irq_on() };
    // SAFETY: `make` passed the thread's own address.
    let thread = unsafe { &*(thread as *const Thread) };
    thread.run();
    exit()
}

/// Leaves, from `Process`. A thread that holds a guard must not: its proofs (pinned, IRQs held) and
/// its locks would outlive what they promise.
fn leave_from_process(why: Leave) {
    let count = current().core.preempt.count::<NoSteps>();
    if count != 0 || !in_process() {
        not_in_process(why, count);
    }
    let _irqs = IrqGuard::new();
    // SAFETY: from `Process`, the guard makes it exactly `NoIrq`, on the thread's own stack; the
    // switch checks that.
    leave(unsafe { Switchable::assume() }, why);
}

/// Waiting with a guard alive would let others into what it guards; and a count or a mask that a path
/// left behind shows here.
#[cold]
#[inline(never)]
fn not_in_process(why: Leave, count: u32) -> ! {
    panic!(
        "a thread is to leave its CPU ({why:?}) with preempt count {count:#x}, masks {}",
        switch::masks()
    );
}

/// Lets others of this level run first. From a system call in `NoIrq`.
pub(crate) fn yield_in_call(legal: Switchable<'_>) {
    leave(legal, Leave::Yield);
}

/// Ends the running thread, which came from EL0. In `NoIrq`.
pub(crate) fn exit_in_call(legal: Switchable<'_>) -> ! {
    current().core.path.set::<NoSteps>(0);
    leave(legal, Leave::Exit);
    unreachable!("a thread that has ended ran again")
}

/// Blocks the running thread, on its way to EL0, until somebody wakes it; it may come back for nothing.
pub(crate) fn block_in_exit(legal: Switchable<'_>) {
    leave(legal, Leave::Block);
}

/// Preempts the running thread if somebody else is to run. From the exit of `path`.
pub(crate) fn preempt(legal: Switchable<'_>, path: Path) {
    control::check_ledger(smp::this(&legal));
    leave(legal, Leave::Preempted(path));
}

/// A switch became permitted outside any exit path: `cpu`'s guards call this.
#[unsafe(no_mangle)]
fn petrel_preempt_wanted() {
    preempt_or_remind();
}

/// Preempts now, or, with ordinary interrupts held, has an interrupt do so as soon as it can come.
pub(super) fn preempt_or_remind() {
    let thread = current();
    if !in_process() {
        super::wake::remind();
        return;
    }
    let irqs = IrqGuard::new();
    while thread.core.preempt.wants_switch::<NoSteps>() {
        irqs.cpu().counters.preempted(Path::Thread);
        // SAFETY: as in `leave_from_process`.
        preempt(unsafe { Switchable::assume() }, Path::Thread);
    }
}

/// Whether nothing is masked here, by DAIF or by PMR. (Under `pmr`, code that masked everything by DAIF
/// may have PMR on.)
fn in_process() -> bool {
    const PROCESS: MaskState = Context::Process.state(Mechanism::Pmr);
    const { assert!(PROCESS.bits() == Context::Process.state(Mechanism::Daif).bits()) };
    switch::masks() == PROCESS
}

/// Lets others of this level run first. `Process`.
pub(crate) fn yield_now() {
    leave_from_process(Leave::Yield);
}

/// Lets time pass while waiting for other CPUs: yields where that is possible.
pub(crate) fn relax() {
    let thread = current();
    let is_idle = smp::try_this().is_none_or(|cpu| core::ptr::eq(cpu.idle, thread));
    let may_leave = in_process() && thread.core.preempt.count::<NoSteps>() == 0;
    if !is_idle && may_leave {
        yield_now();
    }
    smp::spin();
}

/// Waits until `condition` holds; whoever makes it true wakes this thread. `Process`.
pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    let state = current().links.state();
    loop {
        state.prepare_to_block();
        if condition() {
            return;
        }
        leave_from_process(Leave::Block);
    }
}

/// Waits until `condition` holds or the counter reaches `deadline` (ticks); whether it holds. `Process`.
pub(crate) fn wait_until_or(deadline: u64, condition: impl Fn() -> bool) -> bool {
    let state = current().links.state();
    loop {
        state.prepare_to_block();
        if condition() {
            return true;
        }
        if clock::now() >= deadline {
            return false;
        }
        leave_from_process(Leave::SleepUntil(deadline));
    }
}

/// Sleeps until the counter reaches `deadline`, in ticks. `Process`.
pub(crate) fn sleep_until(deadline: u64) {
    wait_until_or(deadline, || false);
}

/// Sleeps for at least `duration`. `Process`.
pub(crate) fn sleep(duration: Duration) {
    sleep_until(clock::now().saturating_add(clock::ticks(duration)));
}

/// Ends the running thread. `Process`.
pub(super) fn exit() -> ! {
    let paths = current().core.path.peek();
    assert!(
        paths == 0,
        "a thread ends inside paths that it has left: {paths:#x}"
    );
    leave_from_process(Leave::Exit);
    unreachable!("a thread that has ended ran again")
}
