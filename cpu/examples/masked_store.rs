//! What the compiler makes of stores between a mask and its release; read by the binary checker
//! (`harness/src/binary.rs`), never run.
//!
//! Two guarded stores in a row to one place are the sharpest probe: if the mask does not count as
//! touching memory, the first store is dead and disappears, or both leave their regions. The place is
//! a `Cell`, as everything is that an interrupt handler shares: of a `&mut` the compiler knows that
//! nobody else looks, and drops the first store whatever the mask says.
#![cfg_attr(target_os = "none", no_std)]

#[cfg(target_os = "none")]
mod probe {
    use core::cell::Cell;
    use cpu::guard::{IrqGuard, NmiGuard};

    /// Both stores must stay between mask and release.
    #[unsafe(no_mangle)]
    extern "C" fn petrel_probe_irq_guard(cell: &Cell<u64>) {
        let first = IrqGuard::new();
        cell.set(1);
        drop(first);
        let second = IrqGuard::new();
        cell.set(2);
        drop(second);
    }

    /// The same for the guard that holds NMIs.
    #[unsafe(no_mangle)]
    extern "C" fn petrel_probe_nmi_guard(cell: &Cell<u64>) {
        let first = NmiGuard::new();
        cell.set(1);
        drop(first);
        let second = NmiGuard::new();
        cell.set(2);
        drop(second);
    }

    /// The planted bug: the same masks with `nomem`. The checker must not accept this.
    #[unsafe(no_mangle)]
    extern "C" fn petrel_probe_nomem(cell: &Cell<u64>) {
        for value in [1, 2] {
            let saved: u64;
            // SAFETY: never executed.
            unsafe {
                core::arch::asm!("mrs {}, daif", "msr daifset, #3", out(reg) saved,
                    options(nomem, nostack, preserves_flags));
            }
            cell.set(value);
            // SAFETY: never executed.
            unsafe {
                core::arch::asm!("msr daif, {}", in(reg) saved,
                    options(nomem, nostack, preserves_flags));
            }
        }
    }

    #[panic_handler]
    fn on_panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    /// The scheduler's hook, which guards call.
    #[unsafe(no_mangle)]
    fn petrel_preempt_wanted() {}
}
