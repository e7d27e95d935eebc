//! The barriers that drivers need, by what they are for.
//!
//! A store to normal memory and a store to a device or a system register are not ordered by
//! themselves, neither by the compiler nor by the CPU (DDI 0487, B2.3). Whoever raises an interrupt
//! to say "look there" must first make *there* visible.
//!
//! On the host there is no device to be ordered against; the fences only keep the compiler honest.

#[cfg(not(target_arch = "aarch64"))]
use core::sync::atomic::{Ordering, fence};

/// Makes all stores before it visible to every CPU before anything after it takes effect: use it
/// before telling another CPU, or an interrupt handler, to look (DSB ISHST).
#[inline(always)]
pub(crate) fn publish_stores() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier changes no state; no `nomem`, as ordering memory is its purpose.
    unsafe {
        core::arch::asm!("dsb ishst", options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "aarch64"))]
    fence(Ordering::Release);
}

/// Waits until every access before it has completed at the device, and lets a change of interrupt
/// state that follows from it be seen by the next instruction (DSB SY; ISB).
#[inline(always)]
pub(crate) fn complete_accesses() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("dsb sy", "isb", options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "aarch64"))]
    fence(Ordering::SeqCst);
}
