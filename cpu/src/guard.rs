//! Guards: sections of thread or handler code in which something cannot happen.
//!
//! [`IrqGuard`] holds ordinary interrupts; NMIs still come. It is therefore **no** proof that nobody
//! else on this CPU touches a thing, and it gives none: what NMIs share is behind an
//! [`NmiGuard`], a different type.
//!
//! ```
//! fn needs_nmi_free(_: &cpu::guard::NmiGuard) {}
//! needs_nmi_free(&cpu::guard::NmiGuard::new());
//! fn sendable<T: Send>(_: T) {}
//! sendable(1);
//! drop(cpu::guard::IrqGuard::new());
//! ```
//! ```compile_fail,E0308
//! fn needs_nmi_free(_: &cpu::guard::NmiGuard) {}
//! needs_nmi_free(&cpu::guard::IrqGuard::new());
//! ```
//! ```compile_fail,E0277
//! fn sendable<T: Send>(_: T) {}
//! sendable(cpu::guard::IrqGuard::new());
//! ```

use crate::cell::NoSteps;
use crate::context::{Cx, Inherited, NoNmi, Switchable};
use crate::local;
use crate::percpu::PerCpu;
use crate::thread::PREEMPT_ONE;
use core::marker::PhantomData;
use core::sync::atomic::{Ordering::SeqCst, compiler_fence};

/// Holding one proves that the holder is not migrated: it may use this CPU's data.
///
/// # Safety
/// As long as a value of the type lives, its holder is neither migrated nor switched out.
pub unsafe trait Pinned {
    /// This CPU.
    #[inline(always)]
    fn cpu(&self) -> &'static PerCpu {
        local::cpu()
    }
}

// SAFETY: preemption is off.
unsafe impl Pinned for PreemptGuard {}
// SAFETY: a switch needs an interrupt or a call, and a call checks for guards.
unsafe impl Pinned for IrqGuard {}
// SAFETY: as for `IrqGuard`.
unsafe impl Pinned for NmiGuard {}
// SAFETY: it is given up to the switch.
unsafe impl Pinned for Switchable<'_> {}
// SAFETY: ordinary interrupts are held, and the entry path does not switch with it.
unsafe impl<M> Pinned for Cx<M, Inherited> {}
// SAFETY: an NMI handler is not switched out.
unsafe impl<M> Pinned for Cx<M, NoNmi> {}

/// Ordinary interrupts are held as long as it lives, and with them preemption.
#[must_use = "interrupts are held only as long as the guard lives"]
pub struct IrqGuard {
    saved: u64,
    local: PhantomData<*mut ()>,
}

impl IrqGuard {
    /// Holds ordinary interrupts. Any context; nests.
    #[inline(always)]
    pub fn new() -> Self {
        Self {
            saved: local::irq_save(),
            local: PhantomData,
        }
    }
}

impl Default for IrqGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for IrqGuard {
    #[inline(always)]
    fn drop(&mut self) {
        local::irq_restore(self.saved);
    }
}

/// Ordinary interrupts and NMIs are held as long as it lives.
#[must_use = "interrupts are held only as long as the guard lives"]
pub struct NmiGuard {
    daif: u64,
    _irqs: IrqGuard,
}

impl NmiGuard {
    /// Holds NMIs and ordinary interrupts. Any context; nests.
    #[inline(always)]
    pub fn new() -> Self {
        // In this order, since both may be kept in DAIF, and come back in the reverse one.
        let irqs = IrqGuard::new();
        Self {
            daif: local::nmi_save(),
            _irqs: irqs,
        }
    }
}

impl Default for NmiGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for NmiGuard {
    #[inline(always)]
    fn drop(&mut self) {
        // Only NMIs may come after this; `_irqs` lets the rest in.
        local::nmi_restore(self.daif);
    }
}

/// The thread stays on this CPU, and runs on, as long as it lives; interrupts come.
#[must_use = "preemption is off only as long as the guard lives"]
pub struct PreemptGuard {
    local: PhantomData<*mut ()>,
}

impl PreemptGuard {
    /// Switches preemption off. Any context; nests.
    #[inline(always)]
    pub fn new() -> Self {
        local::thread().preempt.add::<NoSteps>(PREEMPT_ONE);
        // What is guarded stays inside, for the compiler; for this CPU nothing more is needed.
        compiler_fence(SeqCst);
        Self { local: PhantomData }
    }
}

impl Default for PreemptGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PreemptGuard {
    #[inline(always)]
    fn drop(&mut self) {
        compiler_fence(SeqCst);
        let preempt = &local::thread().preempt;
        if preempt.sub::<NoSteps>(PREEMPT_ONE) == 0 && preempt.need_resched::<NoSteps>() {
            local::preempt_wanted();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_put_back_the_masks_they_found() {
        assert_eq!(local::masks(), 0);
        let outer = NmiGuard::new();
        let held = local::masks();
        assert_ne!(held, 0);
        let inner = IrqGuard::new();
        let innermost = NmiGuard::new();
        drop(innermost);
        drop(inner);
        assert_eq!(local::masks(), held);
        drop(outer);
        assert_eq!(local::masks(), 0);
    }

    #[test]
    fn preempt_guards_nest_and_ask_once() {
        let before = local::asked();
        let outer = PreemptGuard::new();
        let inner = PreemptGuard::new();
        local::thread().preempt.set_need_resched::<NoSteps>();
        drop(inner);
        assert_eq!(local::asked(), before);
        drop(outer);
        assert_eq!(local::asked(), before + 1);
        assert_eq!(local::thread().preempt.peek().0, 0);
    }
}
