//! The real CPU as a [`Machine`], once per mechanism.
//!
//! Each verb is an instruction or two. The vector table in use names the type, so that the choice of
//! mechanism costs nothing at run time.

use super::{gic, local, switch, sysreg};
use crate::cell::Steps;
use crate::machine::{Group, Machine, Stack};
use crate::mask::{MaskState, Mechanism};
use crate::percpu::PerCpu;
use crate::thread::Core;
use core::arch::{asm, naked_asm};

/// The CPU with ordinary interrupts masked by PMR.
pub enum PmrCpu {}
/// The CPU with interrupts masked by DAIF.
pub enum DaifCpu {}

macro_rules! machine {
    ($name:ident, $mechanism:expr) => {
        impl Steps for $name {
            #[inline(always)]
            fn step() {}
        }

        impl Machine for $name {
            const MECHANISM: Mechanism = $mechanism;

            #[inline(always)]
            fn masks() -> MaskState {
                switch::masks()
            }

            #[inline(always)]
            fn write_daif(bits: u32) {
                let bits = u64::from(bits);
                // SAFETY: the token verbs of `context` say which masks are right where. Not
                // `nomem`: masks guard memory.
                unsafe { asm!("msr daif, {}", in(reg) bits, options(nostack, preserves_flags)) };
            }

            #[inline(always)]
            fn set_daif<const BITS: u32>() {
                // SAFETY: as in `write_daif`.
                unsafe {
                    asm!("msr daifset, #({bits} >> 6)", bits = const BITS,
                        options(nostack, preserves_flags));
                }
            }

            #[inline(always)]
            fn clear_daif<const BITS: u32>() {
                // SAFETY: as in `write_daif`.
                unsafe {
                    asm!("msr daifclr, #({bits} >> 6)", bits = const BITS,
                        options(nostack, preserves_flags));
                }
            }

            #[inline(always)]
            fn write_pmr(pmr: u8) {
                let pmr = u64::from(pmr);
                // SAFETY: as in `write_daif`. Boot made sure that ICC_CTLR_EL1.PMHE is 0, so no
                // DSB is due (IHI 0069 H, 4.8.5).
                unsafe {
                    asm!("msr icc_pmr_el1, {}", in(reg) pmr, options(nostack, preserves_flags));
                }
            }

            #[inline(always)]
            fn syndrome() -> (u64, u64) {
                (
                    crate::read_sysreg!("esr_el1"),
                    crate::read_sysreg!("far_el1"),
                )
            }

            #[inline(always)]
            fn acknowledge(group: Group) -> u32 {
                gic::acknowledge(group)
            }

            #[inline(always)]
            fn running_priority() -> u8 {
                gic::running_priority()
            }

            #[inline(always)]
            fn drop_priority(group: Group, intid: u32) {
                gic::drop_priority(group, intid);
            }

            #[inline(always)]
            fn deactivate(intid: u32) {
                gic::deactivate(intid);
            }

            #[inline(always)]
            fn now() -> u64 {
                sysreg::counter_loose()
            }

            #[inline(always)]
            fn thread() -> &'static Core {
                local::thread()
            }

            #[inline(always)]
            fn cpu() -> &'static PerCpu {
                local::cpu()
            }

            #[inline(always)]
            fn call_on(stack: Stack, work: impl FnOnce()) {
                let stacks = local::cpu().stacks();
                match stack {
                    Stack::Irq => call_on(stacks.irq, work),
                    Stack::Nmi => call_on(stacks.nmi, work),
                }
            }
        }
    };
}

machine!(PmrCpu, Mechanism::Pmr);
machine!(DaifCpu, Mechanism::Daif);

/// Runs `work` on the stack that ends at `top`.
#[inline(always)]
fn call_on<F: FnOnce()>(top: u64, work: F) {
    /// Takes the closure out of its place on the old stack and runs it.
    unsafe extern "C" fn run<F: FnOnce()>(work: *mut Option<F>) {
        // SAFETY: `work` is the `Option` below, which outlives this call, and is ours alone.
        if let Some(work) = unsafe { (*work).take() } {
            work();
        }
    }
    let mut work = Some(work);
    // SAFETY: the stack is this CPU's own and not in use: each path uses it at its outermost
    // handler only.
    unsafe { petrel_call_on((&raw mut work).cast(), top, run::<F> as *const ()) };
}

/// Calls `function(argument)` on the stack that ends at `top`. Keeps the chain of frame records whole,
/// so that a backtrace crosses stacks.
#[unsafe(naked)]
unsafe extern "C" fn petrel_call_on(argument: *mut (), top: u64, function: *const ()) {
    naked_asm!(
        "stp x29, x30, [sp, #-16]!",
        "mov x29, sp",
        "mov sp, x1",
        "blr x2",
        "mov sp, x29",
        "ldp x29, x30, [sp], #16",
        "ret",
    )
}
