//! Planted bugs: what each wall must stop, in one table.
//!
//! A normal build holds none of them: [`planted`] is the constant `false` there. In a build with the
//! feature `planted`, and in the model on the host, one can be switched on (`plant=<name>`); the test
//! that must catch it fails if it does not. `docs/src/planted.md` says how to add one.

macro_rules! plants {
    ($( $(#[$about:meta])* $bug:ident = $name:literal, )+) => {
        /// One bug that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Plant { $( $(#[$about])* $bug, )+ }

        impl Plant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$bug),+];

            /// The name as in the boot argument `plant=`.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$bug => $name, )+ }
            }
        }
    };
}

plants! {
    /// Preempt after everything was masked on the way out: the order of Linux v6.18.
    PreemptAfterMasks = "preempt-after-masks",
    /// Return from a vector with PMR off, whatever was interrupted.
    PmrNotRestored = "pmr-not-restored",
    /// Raise PMR before the acknowledge when an NMI came with IRQs off.
    AcknowledgeAtPmrOn = "acknowledge-at-pmr-on",
    /// Look at need_resched on the way out of an NMI.
    PreemptFromNmi = "preempt-from-nmi",
    /// Wait for interrupts in idle with PMR off.
    WfiAtPmrOff = "wfi-at-pmr-off",
    /// Drop the priority of an interrupt only after `cond_resched`.
    DropAfterResched = "drop-after-resched",
    /// Deactivate an interrupt only after `cond_resched`.
    DeactivateAfterResched = "deactivate-after-resched",
    /// Leave the fault path without `cond_resched`.
    FaultNeverPreempts = "fault-never-preempts",
    /// Open DAIF before PMR was lowered on the fault path.
    DaifBeforePmr = "daif-before-pmr",
    /// Write the end of interrupt for a special INTID.
    EoiOfSpecial = "eoi-of-special",
    /// Leave the preempt count one too high after an NMI.
    NmiCountLeaks = "nmi-count-leaks",
    /// Drop a wake-up's self-SGI that was made with interrupts masked.
    ForgetSelfSgi = "forget-self-sgi",
    /// Leave `irqentry_exit` without taking the path off the thread's path stack.
    PathNotPopped = "path-not-popped",
    /// Do not begin watching on entry from a quiescent CPU.
    NotWatching = "not-watching",
    /// Return to EL0 with PMR off.
    PmrLowAtEl0 = "pmr-low-at-el0",
    /// Return to EL0 without a look at need_resched and at the thread's work.
    WorkLoopSkipped = "work-loop-skipped",
    /// Leave an address of the kernel in a register when an interrupt returns to EL0.
    RegisterLeakOnReturn = "register-leak-on-return",
    /// Return to EL0 without becoming quiescent.
    WatchingAtEl0 = "watching-at-el0",
    /// Lose one FP/SIMD register when a thread's are saved.
    FpRegisterLost = "fp-register-lost",
    /// Begin a thread's FP/SIMD state with what is in the registers.
    FpLeaked = "fp-leaked",
    /// Give all address spaces the same ASID.
    WrongAsid = "wrong-asid",
    /// Give an ASID back without a flush of what is remembered under it.
    AsidNotFlushed = "asid-not-flushed",
    /// Unmap pages without a flush of what is remembered of them.
    UnmapNotFlushed = "unmap-not-flushed",
    /// Find by a handle whatever its slot holds now.
    DeadHandleHonoured = "dead-handle-honoured",
    /// Leave the line of an interrupt open that EL0 has not acknowledged yet.
    IrqUnmaskedBeforeAcknowledge = "irq-unmasked-before-acknowledge",
    /// Deliver a message without its badge, on the fastpath.
    FastForgetsBadge = "fast-forgets-badge",
    /// Let a reply that was used be used once more.
    ReplyUsedTwice = "reply-used-twice",
}

impl Plant {
    /// The bug of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|plant| plant.name() == name)
    }
}

/// Whether `plant` is switched on. The constant `false` in a normal build.
#[inline(always)]
pub fn planted(plant: Plant) -> bool {
    active::is(plant)
}

/// Switches `plant` on; `None` switches all off. Without effect in a normal build for the target.
pub fn switch_on(plant: Option<Plant>) {
    active::set(plant);
}

/// Whether this build can have a bug planted.
pub const AVAILABLE: bool = cfg!(any(feature = "planted", not(target_os = "none")));

#[cfg(not(target_os = "none"))]
mod active {
    use super::Plant;
    use std::cell::Cell;

    std::thread_local! {
        static ACTIVE: Cell<Option<Plant>> = const { Cell::new(None) };
    }

    pub(super) fn is(plant: Plant) -> bool {
        ACTIVE.get() == Some(plant)
    }

    pub(super) fn set(plant: Option<Plant>) {
        ACTIVE.set(plant);
    }
}

#[cfg(all(target_os = "none", feature = "planted"))]
mod active {
    use super::Plant;
    use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

    static ACTIVE: AtomicU32 = AtomicU32::new(0);

    pub(super) fn is(plant: Plant) -> bool {
        ACTIVE.load(Relaxed) == plant as u32 + 1
    }

    pub(super) fn set(plant: Option<Plant>) {
        ACTIVE.store(plant.map_or(0, |plant| plant as u32 + 1), Relaxed);
    }
}

#[cfg(all(target_os = "none", not(feature = "planted")))]
mod active {
    use super::Plant;

    #[inline(always)]
    pub(super) const fn is(_: Plant) -> bool {
        false
    }

    pub(super) fn set(_: Option<Plant>) {}
}
