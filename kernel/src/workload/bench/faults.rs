//! Faults of a kernel thread.

use super::Failure;
use super::stretch::{Reading, Samples, TIMES, begin, end};
use crate::fault;
use crate::thread::{self, Spec, Thread};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed};
use entry::ExitLooks;
use sched::{CpuSet, Level};

/// From an undefined instruction (1 instruction) to the `eret` to the next one: the handler skips it,
/// nobody is to be preempted for.
pub(super) fn exit<const K: u32>() -> Result<Samples, Failure> {
    Samples::of(|| {
        let start = begin::<K>();
        undefined();
        [start, end::<K>()]
    })
}

/// From an undefined instruction (1 instruction), whose handler wakes a thread of a higher level, to
/// that thread's first instruction after its `wait_until`: the exit of the fault preempts for it.
pub(super) fn preempt<const K: u32>() -> Result<Samples, Failure> {
    let waiter = thread::spawn(&spec("bench/waiter", WAITER, waits::<K>))?;
    WOKEN.store(core::ptr::from_ref(waiter.waker()).cast_mut(), Relaxed);
    let faulter = thread::spawn(&spec("bench/faulter", FAULTER, faults::<K>))?;
    faulter.join();
    fault::observe(None);
    waiter.join();
    let mut samples = Samples::new()?;
    for (start, end) in STARTS.iter().zip(&ENDS) {
        samples.add([start.take(), end.take()])?;
    }
    Ok(samples)
}

const WAITER: Level = Level::HIGHEST;
const FAULTER: Level = Level::LOWEST;

static STARTS: [Reading; TIMES] = [const { Reading::new() }; TIMES];
static ENDS: [Reading; TIMES] = [const { Reading::new() }; TIMES];
static WOKEN: AtomicPtr<Thread> = AtomicPtr::new(core::ptr::null_mut());
static FAULTED: AtomicBool = AtomicBool::new(false);

fn spec(name: &str, level: Level, entry: fn(usize)) -> Spec<'_> {
    Spec {
        name,
        level,
        allowed: CpuSet::ALL,
        entry,
        argument: 0,
    }
}

fn faults<const K: u32>(_: usize) {
    fault::observe(Some(wakes));
    for start in &STARTS {
        let counter = begin::<K>();
        undefined();
        start.put(counter);
    }
}

fn wakes(exit: Option<&ExitLooks<'_>>) {
    FAULTED.store(true, Relaxed);
    // SAFETY: `preempt` stored the thread there, and joins it only after the last fault.
    let woken = unsafe { WOKEN.load(Relaxed).as_ref() };
    if let (Some(woken), Some(exit)) = (woken, exit) {
        thread::wake_on_exit(woken, exit);
    }
}

fn waits<const K: u32>(_: usize) {
    for reading in &ENDS {
        thread::wait_until(|| FAULTED.load(Relaxed));
        reading.put(end::<K>());
        FAULTED.store(false, Relaxed);
    }
}

/// An instruction that faults, and that the handler skips.
#[inline(always)]
fn undefined() {
    // SAFETY: the kernel's fault handler skips exactly this instruction.
    unsafe {
        asm!(".inst {}", const fault::UNDEFINED, options(nostack, preserves_flags));
    }
}
