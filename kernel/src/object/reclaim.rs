//! What was removed is freed when nobody can see it any more, by one thread of the kernel.
//!
//! Whoever removes something from where others look without a lock *retires* it, which costs a few
//! instructions and cannot fail. The reclaimer sleeps until there is something, lets a little more
//! gather, waits for the readers of all of it at once, and frees it. So destructors run in
//! `Process`, and nobody who closes a handle waits for other CPUs.

use super::{Process, Ref};
use crate::thread::{self, JoinHandle, SpawnError, Spec};
use crate::{console, smp};
use alloc::boxed::Box;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use core::time::Duration;
use handles::retired;
use sched::{CpuSet, Level};
use spin::Once;

pub(crate) use handles::Retirable;

/// How long what was retired waits for more: readers are waited for once for all of it.
const GATHER: Duration = Duration::from_millis(1);
/// How often who waits for the reclaimer looks.
const LOOK: Duration = Duration::from_micros(100);

static RECLAIMER: Once<JoinHandle> = Once::new();
/// Somebody waits: nothing more is to gather.
static HURRY: AtomicBool = AtomicBool::new(false);
/// Processes that have ended and are to be emptied, the last first, each an owned `Ref`.
static ENDED: AtomicPtr<Process> = AtomicPtr::new(null_mut());
/// Processes in that list, or just taken out of it.
static EMPTYING: AtomicU32 = AtomicU32::new(0);

/// Starts the reclaimer. Once, before there are processes.
///
/// # Errors
/// Those of [`thread::spawn`].
pub(crate) fn start() -> Result<(), SpawnError> {
    let reclaimer = thread::spawn(&Spec {
        name: "reclaim",
        level: Level::HIGHEST,
        allowed: CpuSet::ALL,
        entry: run,
        argument: 0,
    })?;
    RECLAIMER.call_once(|| reclaimer);
    Ok(())
}

/// Has `dead` dropped, in `Process`, when nobody can hold a reference to it that was taken, under a proof
/// of being pinned, before this call. `Process` or `NoIrq`.
pub(crate) fn retire<T: Send + 'static>(dead: Box<Retirable<T>>) {
    if retired::retire(dead) {
        wake();
    }
}

/// Has the reclaimer look. `Process` or `NoIrq`.
pub(crate) fn wake() {
    if let Some(reclaimer) = RECLAIMER.get() {
        thread::wake(reclaimer.waker());
    }
}

/// Has `process`, whose threads are all gone, emptied by the reclaimer. Once for each process. `Process`
/// or `NoIrq`.
pub(crate) fn process_ended(process: &Ref<Process>) {
    let process = process.clone().into_raw();
    EMPTYING.fetch_add(1, Relaxed);
    let mut first = ENDED.load(Relaxed);
    loop {
        // SAFETY: it was a `Ref`.
        unsafe { process.as_ref() }.next_ended.store(first, Relaxed);
        match ENDED.compare_exchange_weak(first, process.as_ptr(), Release, Relaxed) {
            Ok(_) => break,
            Err(now) => first = now,
        }
    }
    wake();
}

/// Waits until all that was retired so far, and what that retired in turn, is freed, and all processes
/// that have ended are empty. In a thread, in `Process`. While others go on retiring it may wait for
/// those too.
pub(crate) fn settle() {
    while has_work() {
        HURRY.store(true, Release);
        wake();
        thread::sleep(LOOK);
    }
}

/// Waits until all that was retired before this call is freed, or the caller is to end: for who was refused
/// memory and tries once more. In a thread, in `Process`.
pub(crate) fn catch_up() {
    let due = retired::retired();
    while retired::freed() < due && !thread::current().links.state().is_killed() {
        HURRY.store(true, Release);
        wake();
        thread::sleep(LOOK);
    }
}

/// Whether something was retired that is not freed yet.
pub(crate) fn is_behind() -> bool {
    retired::retired() != retired::freed()
}

fn has_work() -> bool {
    EMPTYING.load(Acquire) != 0 || is_behind()
}

fn run(_: usize) {
    loop {
        thread::wait_until(has_work);
        let enough = crate::clock::now() + crate::clock::ticks(GATHER);
        thread::wait_until_or(enough, || HURRY.swap(false, AcqRel));
        let ended = ENDED.swap(null_mut(), Acquire);
        for process in list(ended) {
            process.empty();
        }
        console::forget_dead_reader();
        retired::collect(smp::prod_and_relax());
        // What they held is free: who starts them anew finds it so.
        for process in list(ended) {
            process.tell();
            EMPTYING.fetch_sub(1, Release);
            // SAFETY: `process_ended` made it of a `Ref` and left that to us; the list goes on behind it.
            drop(unsafe { Ref::from_raw(NonNull::from(process)) });
        }
    }
}

/// The processes of a list that begins with `first`.
fn list(first: *mut Process) -> impl Iterator<Item = &'static Process> {
    let mut at = first;
    core::iter::from_fn(move || {
        // SAFETY: each is in the list by a `Ref` of the list's own, which goes after the step.
        let process = unsafe { at.as_ref() }?;
        at = process.next_ended.load(Relaxed);
        Some(process)
    })
}
