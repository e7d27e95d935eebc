//! Time: the counter, and each CPU's one-shot timer for the scheduler.
//!
//! The EL1 virtual timer is the scheduler's: it is set to the earliest of the quantum's end and the
//! first sleeper, and off when there is neither, so that an idle CPU sleeps. The EL1 physical timer is
//! free for NMIs.

use crate::irq::Interrupt;
use crate::smp;
use crate::thread;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use cpu::cell::NoSteps;
use cpu::epoch;
use cpu::hw::sysreg;
use drivers::timer::{Frequency, Physical, Ticks, Timer, Virtual};
use sched::Resched;
use spin::Once;

/// The scheduler's timer. The value holds no state, so that one serves all CPUs, each its own.
static TIMER: Once<Timer<Virtual>> = Once::new();

/// A CPU's timer, what it was set to, and how late it has been.
pub(crate) struct Clock {
    timer: Timer<Virtual>,
    /// What the timer is set to, in ticks; `u64::MAX` when it is off.
    armed: AtomicU64,
    /// Timer interrupts handled.
    pub(crate) ticks_taken: AtomicU64,
    /// How late the latest of them was, in ticks.
    pub(crate) worst_late: AtomicU64,
}

/// Reads the counter's frequency, and stops the timer. Once, by the boot CPU.
///
/// # Errors
/// The driver's: firmware left `CNTFRQ_EL0` at zero.
pub(crate) fn init() -> Result<(), drivers::timer::TimerError> {
    TIMER.try_call_once(|| Timer::new(Virtual)).map(|_| ())
}

/// The scheduler's timer, of whatever CPU uses it.
fn timer() -> Timer<Virtual> {
    match TIMER.get() {
        Some(timer) => *timer,
        None => panic!("the clock was asked before it was set up"),
    }
}

/// The counter's frequency.
pub(crate) fn frequency() -> Frequency {
    timer().frequency()
}

/// Now, in ticks. Any context.
#[inline(always)]
pub(crate) fn now() -> u64 {
    sysreg::counter()
}

/// `duration` in ticks, rounded up.
pub(crate) fn ticks(duration: Duration) -> u64 {
    frequency().ticks_from_duration(duration).0
}

/// `ticks` in microseconds, rounded down.
pub(crate) fn micros(ticks: u64) -> u64 {
    frequency().nanoseconds(Ticks(ticks)) / 1000
}

/// `ticks` in nanoseconds, rounded down.
pub(crate) fn nanos(ticks: u64) -> u64 {
    frequency().nanoseconds(Ticks(ticks))
}

/// Turns this CPU's timers off, whatever firmware left them at. While it comes up.
pub(crate) fn disarm_both() {
    timer().disarm();
    if let Some(timer) = free_timer() {
        timer.disarm();
    }
}

/// The timer that the scheduler does not use, of whatever CPU uses it.
pub(crate) fn free_timer() -> Option<Timer<Physical>> {
    static TIMER: Once<Timer<Physical>> = Once::new();
    TIMER.try_call_once(|| Timer::new(Physical)).ok().copied()
}

impl Clock {
    /// Off.
    pub(crate) fn new() -> Self {
        Self {
            timer: timer(),
            armed: AtomicU64::new(u64::MAX),
            ticks_taken: AtomicU64::new(0),
            worst_late: AtomicU64::new(0),
        }
    }

    /// `duration` in ticks, rounded up.
    pub(crate) fn ticks(&self, duration: Duration) -> u64 {
        ticks(duration)
    }

    /// What the timer is set to, in ticks, if it is on and has not fired since.
    #[inline]
    pub(crate) fn due(&self) -> Option<u64> {
        let armed = self.armed.load(Relaxed);
        (armed != 0 && armed != u64::MAX).then_some(armed)
    }

    /// Sets this CPU's timer to `deadline`, or off. `NoIrq`, on the clock's own CPU.
    #[inline]
    pub(crate) fn arm(&self, deadline: Option<u64>) {
        let deadline = deadline.unwrap_or(u64::MAX);
        if self.armed.load(Relaxed) == deadline {
            return;
        }
        self.armed.store(deadline, Relaxed);
        if deadline == u64::MAX {
            self.timer.disarm();
        } else {
            self.timer.arm_at(Ticks(deadline));
        }
    }
}

/// The scheduler's timer interrupt.
pub(crate) fn on_timer(interrupt: &Interrupt<'_>) {
    let clock = &interrupt.cpu.clock;
    let due = clock.armed.load(Relaxed);
    let late = interrupt.frame.when.saturating_sub(due);
    // Only this handler counts, on this CPU, and it does not nest.
    let ticks = clock.ticks_taken.load(Relaxed);
    clock.ticks_taken.store(ticks.wrapping_add(1), Relaxed);
    if due != u64::MAX && late > clock.worst_late.load(Relaxed) {
        clock.worst_late.store(late, Relaxed);
    }
    // The line is high until it is armed anew or off; `look` arms it, unless nothing is due.
    clock.armed.store(0, Relaxed);
    look(interrupt);
}

/// Another CPU, or this one, asks to look at the queues.
pub(crate) fn on_reschedule(interrupt: &Interrupt<'_>) {
    look(interrupt);
}

/// Lets time pass in this CPU's queues. In the handler of an ordinary interrupt.
fn look(interrupt: &Interrupt<'_>) {
    let cpu = interrupt.cpu;
    let preempt = &smp::this_thread_core().preempt;
    if !preempt.is_disabled::<NoSteps>() {
        // It interrupted `Process` with preemption on: no reader of a table is in between. So a
        // thread that never switches does not hold up who waits for the readers.
        epoch::pass(interrupt);
    }
    let mut queue = cpu.queue.lock();
    let now = now();
    let verdict = queue.on_timer(&thread::TABLE, now);
    let deadline = queue.next_deadline_ticks();
    cpu.load.store(queue.load(), Relaxed);
    drop(queue);
    if verdict == Resched::Needed {
        preempt.set_need_resched::<NoSteps>();
        // The quantum's end has been seen, and the pick that follows arms the timer for the next;
        // but preemption may be off for a while, and sleepers come due meanwhile.
        cpu.clock.arm(deadline.filter(|deadline| *deadline > now));
    } else {
        cpu.clock.arm(deadline);
    }
    thread::call_thief(cpu);
}

/// Whether the clock counts instructions: then times are the program's own, the same in every run, and
/// may be judged. Otherwise they are the host's, which delays a tick by 30 ms when it is busy.
///
/// Measured once: of sixteen `nop`s between two reads of the counter, each takes one tick.
pub(crate) fn is_exact() -> bool {
    static EXACT: Once<bool> = Once::new();
    const NOPS: u64 = 16;
    *EXACT.call_once(|| {
        let _nobody = cpu::guard::NmiGuard::new();
        (0..8).all(|_| {
            let (before, after): (u64, u64);
            // SAFETY: reads the counter twice.
            unsafe {
                core::arch::asm!(
                    "isb",
                    "mrs {before}, cntvct_el0",
                    ".rept {nops}",
                    "nop",
                    ".endr",
                    "mrs {after}, cntvct_el0",
                    before = out(reg) before,
                    after = out(reg) after,
                    nops = const NOPS,
                    options(nomem, nostack, preserves_flags)
                );
            }
            after - before == NOPS + 1
        })
    })
}
