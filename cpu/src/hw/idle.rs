//! Waiting for an interrupt so that one that PMR masks still wakes the CPU.
//!
//! WFI does not wake for an interrupt below PMR. So the wait happens with PMR *on* and IRQ and FIQ
//! masked by DAIF: nothing is taken, everything wakes. need_resched is looked at when nothing can be
//! taken any more: what comes after the look wakes the WFI, what came before is seen.

use super::slots::slot;
use crate::plant::{Plant, planted};
use crate::priority::{PMR_OFF, PMR_ON};
use crate::thread::Core;

/// Waits until an interrupt is pending or a switch is wanted. In and out: `NoIrq`, as an idle thread
/// with no lock held; nothing is taken inside.
///
/// # Safety
/// The CPU is in `NoIrq`, exactly; `thread` is the one that runs.
#[inline(never)]
pub unsafe fn wait(thread: &Core) {
    if planted(Plant::WfiAtPmrOff) {
        // SAFETY: waits, as the bug did, for what cannot come.
        unsafe { core::arch::asm!("dsb sy", "wfi", options(nostack)) };
        return;
    }
    // SAFETY: ends in the state it began in: `pmr` is put to I+F with PMR on and back, `daif` is in
    // I+F all the time.
    unsafe {
        core::arch::asm!("msr daifset, #3", options(nostack, preserves_flags));
        slot!(
            daif: ["nop", "nop"],
            pmr: ["mov {on:w}, #{PMR_ON}", "msr icc_pmr_el1, {on}"],
            on = out(reg) _,
            PMR_ON = const PMR_ON,
            options(nostack, preserves_flags)
        );
        core::arch::asm!(
            "ldr {calm:w}, [{thread}, #{offset}]",
            "cbz {calm:w}, 6f",
            "dsb sy",
            "wfi",
            "6:",
            calm = out(reg) _,
            thread = in(reg) thread,
            offset = const Core::calm_offset(),
            options(nostack)
        );
        slot!(
            daif: ["nop", "nop", "nop"],
            pmr: ["mov {off:w}, #{PMR_OFF}", "msr icc_pmr_el1, {off}", "msr daifclr, #3"],
            off = out(reg) _,
            PMR_OFF = const PMR_OFF,
            options(nostack, preserves_flags)
        );
    }
}
