//! Threads: signals, yields, making and waking them.

use super::child::{Fp, bench_ends, refused, start};
use super::stretch::{Reading, Samples, TIMES, begin, end};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use rt::Notification;
use rt::object::{Process, Thread};
use rt::syscall::Call;
use rt::thread::{Builder, default_priority, yield_now};
use rt::time::{Deadline, now, sleep_until};

/// A plain call whose next instruction ends stretch `K`. Gives the counter then, and `x1`.
#[inline(always)]
pub(crate) fn call_then_end<const K: u32>(call: Call, first: u64, second: u64) -> (u64, u64) {
    let (counter, value);
    // SAFETY: made only with calls that write no memory.
    unsafe {
        asm!("svc #0", "hint #(0x60 + {k})", "mrs {counter}, cntvct_el0",
            counter = lateout(reg) counter, k = const K, in("x8") call as u64,
            inlateout("x0") first => _, inlateout("x1") second => value,
            lateout("x2") _, lateout("x3") _, options(nostack));
    }
    (counter, value)
}

/// A plain call that is the first instruction of stretch `K`. Gives the counter before it.
#[inline(always)]
fn begin_with_call<const K: u32>(call: Call, first: u64, second: u64) -> u64 {
    let counter;
    // SAFETY: as in `call_then_end`.
    unsafe {
        asm!("mrs {counter}, cntvct_el0", "hint #(0x40 + {k})", "svc #0",
            counter = out(reg) counter, k = const K, in("x8") call as u64,
            inlateout("x0") first => _, inlateout("x1") second => _,
            lateout("x2") _, lateout("x3") _, options(nostack));
    }
    counter
}

/// From the `svc` that signals (1 instruction) to the first instruction of the waiting thread, which is
/// more urgent and of the same process. Both have FP registers.
pub(crate) fn signal() -> Result<Samples, String> {
    static BEGAN: Reading = Reading::new();
    let bell = Arc::new(Notification::create().map_err(refused("notification"))?);
    let theirs = bell.clone();
    let handle = u64::from(bell.handle().0);
    let signals = move || {
        let _ = &theirs;
        for _ in 0..TIMES {
            BEGAN.put(begin_with_call::<4>(Call::Signal, handle, 1));
            // The waiter looks what was put only now.
            let _ = theirs.signal(1);
        }
    };
    let low = Builder::new()
        .priority(default_priority() - 1)
        .spawn(signals)
        .map_err(refused("thread"))?;
    let samples = Samples::of(|| {
        let (ended, _) = call_then_end::<4>(Call::Wait, handle, u64::MAX);
        bell.wait(Deadline::FOREVER).map_err(refused("wait"))?;
        Ok([BEGAN.take(), ended])
    });
    low.join().map_err(refused("join"))?;
    samples
}

/// From the `svc` that yields (1 instruction) to the first instruction of the other thread, of the same
/// process. Both have FP registers.
pub(crate) fn yield_one_way() -> Result<Samples, String> {
    static ENDED: Reading = Reading::new();
    static OVER: AtomicBool = AtomicBool::new(false);
    let other = rt::thread::spawn(|| {
        while !OVER.load(Relaxed) {
            ENDED.put(call_then_end::<5>(Call::Yield, 0, 0).0);
        }
    })
    .map_err(refused("thread"))?;
    // The other goes first, and yields.
    yield_now();
    let samples = Samples::of(|| {
        let start = begin_with_call::<5>(Call::Yield, 0, 0);
        Ok([start, ENDED.take()])
    });
    OVER.store(true, Relaxed);
    other.join().map_err(refused("join"))?;
    samples
}

/// From the `svc` that makes a thread of this process to the end of the one that has waited for its end:
/// made, watched, let run, waited for; and its handle closed. It has FP registers; its stack was there,
/// as a library's that keeps stacks.
pub(crate) fn create_join() -> Result<Samples, String> {
    let bell = Notification::create().map_err(refused("notification"))?;
    let mut stack = vec![0_u128; 64];
    let top = stack.as_mut_ptr_range().end.expose_provenance() as u64;
    let entry = bench_ends as *const () as u64;
    let beginning = start(entry, 0, Fp::Kept, default_priority(), top);
    Samples::of(|| {
        let start = begin::<11>();
        // SAFETY: it ends at once.
        let thread =
            unsafe { Thread::create(Process::own(), &beginning) }.map_err(refused("thread"))?;
        thread.watch(&bell, 1).map_err(refused("watch"))?;
        thread.resume().map_err(refused("resume"))?;
        bell.wait(Deadline::FOREVER).map_err(refused("wait"))?;
        drop(thread);
        Ok([start, end::<11>()])
    })
}

/// From the deadline of a thread that sleeps, on a CPU that is idle, to its first instruction.
pub(crate) fn wake_up() -> Result<Samples, String> {
    let mut late = Vec::with_capacity(TIMES);
    for round in 0..TIMES as u64 {
        let deadline = rt::time::Instant::from_ticks(now().ticks() + 100_000 + round * 7);
        sleep_until(deadline);
        late.push(now().ticks() - deadline.ticks());
    }
    Samples::of_differences(late, 0)
}
