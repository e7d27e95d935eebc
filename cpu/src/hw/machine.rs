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
use core::arch::asm;
use core::mem::ManuallyDrop;

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
            fn call_on<R>(stack: Stack, work: impl FnOnce() -> R) -> R {
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

/// Runs `work` on the stack that ends at `top`. The chain of frame records stays whole: `run` links to
/// this function's record, on the stack before, so that a backtrace crosses stacks.
#[inline(always)]
fn call_on<F: FnOnce() -> R, R>(top: u64, work: F) -> R {
    /// What is to run, and in its place, when it has run, what it gave.
    union Call<F, R> {
        work: ManuallyDrop<F>,
        result: ManuallyDrop<R>,
    }
    unsafe extern "C" fn run<F: FnOnce() -> R, R>(call: &mut Call<F, R>) {
        // SAFETY: `call_on` put it there, and nobody takes it again.
        let work = unsafe { ManuallyDrop::take(&mut call.work) };
        call.result = ManuallyDrop::new(work());
    }
    let mut call = Call {
        work: ManuallyDrop::new(work),
    };
    // SAFETY: the stack is this CPU's own and not in use: each path uses it at its outermost
    // handler only. `run` is a C function; SP is kept in a register that C functions keep.
    unsafe {
        asm!(
            "mov x20, sp",
            "mov sp, {top}",
            "bl {run}",
            "mov sp, x20",
            out("x20") _,
            top = in(reg) top,
            run = sym run::<F, R>,
            in("x0") &raw mut call,
            clobber_abi("C"),
        );
        ManuallyDrop::into_inner(call.result)
    }
}
