//! The rain of NMIs: the free timer of each CPU, re-armed by its own handler.
//!
//! Each CPU's timer can be set by that CPU only, and a workload must be able to begin and end the
//! rain also on a CPU that sleeps, or that a planted bug never wakes. So it does not send a thread
//! there but an NMI, whose handler sets the timer. Where there are no NMIs, both are ordinary
//! interrupts, and it rains those.
//!
//! The timer is always set to *now* plus the period, never to the last deadline plus the period: a
//! host that is too slow for the period then gives fewer drops, not a livelock.

use super::Failure;
use crate::irq::{self, Interrupt, Sgi, To};
use crate::smp::{self, Cpu};
use crate::{clock, control, thread};
use core::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use core::time::Duration;
use drivers::timer::Ticks;

/// What looks at each drop, on the CPU that it falls on. `NoNmi`, or `NoIrq` without NMIs.
pub(super) type Look = fn(&Interrupt<'_>);

/// In ticks; 0: the rain is over.
static PERIOD: AtomicU64 = AtomicU64::new(0);
static DROPS: AtomicU64 = AtomicU64::new(0);
/// CPUs that have heard of the last beginning or end.
static HEARD: AtomicUsize = AtomicUsize::new(0);

/// The rain on all CPUs; it ends when this is dropped.
#[must_use = "the rain ends when this is dropped"]
pub(super) struct Rain {
    began_with: u64,
}

impl Rain {
    /// Begins, with a drop on each CPU each `period`.
    ///
    /// # Errors
    /// Out of memory; no free timer.
    pub(super) fn begin(period: Duration, look: Look) -> Result<Self, Failure> {
        if clock::free_timer().is_none() {
            return Err(Failure::new(format_args!("there is no free timer")));
        }
        irq::set_handler(Sgi::StormNmi.intid(), on_change, 0)?;
        irq::set_handler(control::free_ppi(), on_drop, look as usize)?;
        PERIOD.store(clock::ticks(period), Release);
        let rain = Self {
            began_with: DROPS.load(Relaxed),
        };
        for cpu in smp::all() {
            line(cpu).enable();
        }
        tell_all();
        Ok(rain)
    }

    /// Drops that have fallen.
    pub(super) fn drops(&self) -> u64 {
        DROPS.load(Relaxed) - self.began_with
    }
}

impl Drop for Rain {
    fn drop(&mut self) {
        PERIOD.store(0, Release);
        tell_all();
        for cpu in smp::all() {
            line(cpu).disable();
        }
    }
}

fn line(cpu: &Cpu) -> drivers::gicv3::Line {
    let line = cpu.lines().map(|lines| lines.line(control::free_ppi()));
    match line {
        Some(Ok(line)) => line,
        _ => unreachable!("the free timer's interrupt is a line of every CPU"),
    }
}

/// Has each CPU set its timer by `PERIOD`, and waits until all have.
fn tell_all() {
    HEARD.store(0, Release);
    for cpu in smp::all() {
        irq::send(Sgi::StormNmi, To::Cpu(cpu.percpu()));
    }
    while HEARD.load(Acquire) < smp::all().count() {
        thread::relax();
    }
}

fn set_timer() {
    let (Some(timer), period) = (clock::free_timer(), PERIOD.load(Acquire)) else {
        return;
    };
    if period == 0 {
        timer.disarm();
    } else {
        timer.arm_at(Ticks(timer.now().0 + period));
    }
}

fn on_change(_: &Interrupt<'_>) {
    set_timer();
    HEARD.fetch_add(1, AcqRel);
}

fn on_drop(interrupt: &Interrupt<'_>) {
    DROPS.fetch_add(1, Relaxed);
    // SAFETY: `begin` stored a `Look` with this handler.
    let look = unsafe { core::mem::transmute::<usize, Look>(interrupt.argument) };
    look(interrupt);
    set_timer();
}
