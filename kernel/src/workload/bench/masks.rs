//! What holding interrupts off costs, and one trace record.

use super::Failure;
use super::stretch::{Samples, begin, end};
use abi::trace::Event;
use core::hint::black_box;
use cpu::guard::{IrqGuard, Pinned};
use cpu::hw::sysreg;
use cpu::lock::{Irq, Lock};

/// Nothing: for whoever counts from outside to see that he sees 0.
pub(super) fn empty<const K: u32>() -> Result<Samples, Failure> {
    Samples::of(|| [begin::<K>(), end::<K>()])
}

/// An `IrqGuard` made and dropped.
pub(super) fn mask_restore<const K: u32>() -> Result<Samples, Failure> {
    Samples::of(|| {
        let start = begin::<K>();
        drop(IrqGuard::new());
        [start, end::<K>()]
    })
}

/// A lock that ordinary handlers share, taken and released, with nobody else wanting it.
pub(super) fn lock_unlock<const K: u32>() -> Result<Samples, Failure> {
    static LOCK: Lock<u64, Irq> = Lock::new(0);
    let lock = black_box(&LOCK);
    Samples::of(|| {
        let start = begin::<K>();
        drop(lock.lock());
        [start, end::<K>()]
    })
}

/// One record in this CPU's ring. Recording cannot be switched off: what led to a failure has to be
/// there when it happens. So this is what each record adds; each entry writes two.
pub(super) fn trace_record<const K: u32>() -> Result<Samples, Failure> {
    let irqs = IrqGuard::new();
    let cpu = black_box(irqs.cpu());
    let thread = crate::thread::current().core.id();
    Samples::of(|| {
        let start = begin::<K>();
        let now = sysreg::counter_loose();
        cpu.trace.write(now, Event::Mark, thread, start, 0);
        [start, end::<K>()]
    })
}
