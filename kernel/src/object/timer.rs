//! Timers of notifications: one kernel thread sleeps until the earliest, and signals.

use crate::clock;
use crate::object::Notification;
use crate::thread::{self, JoinHandle, SpawnError, Spec};
use abi::error::Error;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use cpu::lock::{Irq, Lock};
use sched::{CpuSet, Level};
use spin::Once;

/// One timer that runs.
struct Timer {
    deadline: u64,
    bits: u64,
    /// It takes itself out before it ends.
    notification: *const Notification,
}

// SAFETY: a notification may be signalled from anywhere.
unsafe impl Send for Timer {}

/// The timers that run, the latest first.
static TIMERS: Lock<Vec<Timer>, Irq> = Lock::new(Vec::new());
/// The thread that waits for them.
static KEEPER: Once<JoinHandle> = Once::new();

/// Makes the thread that waits for timers.
///
/// # Errors
/// Those of [`thread::spawn`].
pub(crate) fn start() -> Result<(), SpawnError> {
    let keeper = thread::spawn(&Spec {
        name: "timers",
        level: Level::HIGHEST,
        allowed: CpuSet::ALL,
        entry: keep,
        argument: 0,
    })?;
    KEEPER.call_once(|| keeper);
    Ok(())
}

/// Has `notification` signalled with `bits` at `deadline`, in ticks, and forgets what was set before;
/// `u64::MAX` only forgets.
///
/// # Errors
/// [`Error::NoMemory`].
pub(crate) fn set(notification: &Notification, deadline: u64, bits: u64) -> Result<(), Error> {
    if deadline == u64::MAX || bits == 0 {
        cancel(notification);
        return Ok(());
    }
    let is_first = {
        // Held until the new one is in: of two that set it at once, the second forgets the first's.
        let mut timers = TIMERS.lock();
        timers.try_reserve(1).map_err(|_| Error::NoMemory)?;
        forget(&mut timers, notification);
        let at = timers.partition_point(|timer| timer.deadline > deadline);
        let timer = Timer {
            deadline,
            bits,
            notification,
        };
        timers.insert(at, timer);
        notification.has_timer.store(true, Release);
        at + 1 == timers.len()
    };
    if is_first && let Some(keeper) = KEEPER.get() {
        thread::wake(keeper.waker());
    }
    Ok(())
}

/// Forgets the timer of `notification`, if it has one.
pub(crate) fn cancel(notification: &Notification) {
    if notification.has_timer.load(Acquire) {
        forget(&mut TIMERS.lock(), notification);
    }
}

fn forget(timers: &mut Vec<Timer>, notification: &Notification) {
    if notification.has_timer.load(Relaxed) {
        timers.retain(|timer| !core::ptr::eq(timer.notification, notification));
        notification.has_timer.store(false, Release);
    }
}

/// Signals what is due; gives the next deadline.
fn ring() -> u64 {
    loop {
        let mut next = None;
        thread::wake_found(|_| {
            let mut timers = TIMERS.lock();
            match timers.last() {
                None => next = Some(u64::MAX),
                Some(first) if first.deadline > clock::now() => next = Some(first.deadline),
                Some(_) => {}
            }
            if next.is_some() {
                return None;
            }
            let timer = timers.pop()?;
            // SAFETY: it was in the list, whose lock is held: it has not ended.
            let notification = unsafe { &*timer.notification };
            let woken = notification.add(timer.bits);
            // Last: who is about to free it sees this, or waits for the lock.
            notification.has_timer.store(false, Release);
            woken
        });
        if let Some(next) = next {
            return next;
        }
    }
}

fn keep(_: usize) {
    loop {
        let next = ring();
        thread::wait_until_or(next, || {
            let first = TIMERS
                .lock()
                .last()
                .map_or(u64::MAX, |timer| timer.deadline);
            first < next || first <= clock::now()
        });
    }
}
