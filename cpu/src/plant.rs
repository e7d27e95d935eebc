//! Planted bugs: what each wall must stop, in one table.
//!
//! A normal build holds none of them: [`planted`] is the constant `false` there. In a build with the
//! feature `planted`, and in the model on the host, one can be switched on (`plant=<name>`); the test
//! that must catch it fails if it does not. `docs/src/planted.md` says how to add one.

/// One bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Plant {
    /// Preempt after everything was masked on the way out: the order of Linux v6.18.
    PreemptAfterMasks = 1,
    /// Return from a vector with PMR off, whatever was interrupted.
    PmrNotRestored,
    /// Raise PMR before the acknowledge when an NMI came with IRQs off.
    AcknowledgeAtPmrOn,
    /// Look at need_resched on the way out of an NMI.
    PreemptFromNmi,
    /// Wait for interrupts in idle with PMR off.
    WfiAtPmrOff,
    /// Drop the priority of an interrupt only after `cond_resched`.
    DropAfterResched,
    /// Deactivate an interrupt only after `cond_resched`.
    DeactivateAfterResched,
    /// Leave the fault path without `cond_resched`.
    FaultNeverPreempts,
    /// Open DAIF before PMR was lowered on the fault path.
    DaifBeforePmr,
    /// Write the end of interrupt for a special INTID.
    EoiOfSpecial,
    /// Leave the preempt count one too high after an NMI.
    NmiCountLeaks,
    /// Drop a wake-up's self-SGI that was made with interrupts masked.
    ForgetSelfSgi,
    /// Leave `irqentry_exit` without taking the path off the thread's path stack.
    PathNotPopped,
    /// Do not begin watching on entry from a quiescent CPU.
    NotWatching,
    /// Return to EL0 with PMR off.
    PmrLowAtEl0,
    /// Return to EL0 without a look at need_resched and at the thread's work.
    WorkLoopSkipped,
    /// Leave an address of the kernel in a register when an interrupt returns to EL0.
    RegisterLeakOnReturn,
    /// Return to EL0 without becoming quiescent.
    WatchingAtEl0,
    /// Lose one FP/SIMD register when a thread's are saved.
    FpRegisterLost,
    /// Begin a thread's FP/SIMD state with what is in the registers.
    FpLeaked,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::PreemptAfterMasks,
        Self::PmrNotRestored,
        Self::AcknowledgeAtPmrOn,
        Self::PreemptFromNmi,
        Self::WfiAtPmrOff,
        Self::DropAfterResched,
        Self::DeactivateAfterResched,
        Self::FaultNeverPreempts,
        Self::DaifBeforePmr,
        Self::EoiOfSpecial,
        Self::NmiCountLeaks,
        Self::ForgetSelfSgi,
        Self::PathNotPopped,
        Self::NotWatching,
        Self::PmrLowAtEl0,
        Self::WorkLoopSkipped,
        Self::RegisterLeakOnReturn,
        Self::WatchingAtEl0,
        Self::FpRegisterLost,
        Self::FpLeaked,
    ];

    /// The name as in the boot argument `plant=`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreemptAfterMasks => "preempt-after-masks",
            Self::PmrNotRestored => "pmr-not-restored",
            Self::AcknowledgeAtPmrOn => "acknowledge-at-pmr-on",
            Self::PreemptFromNmi => "preempt-from-nmi",
            Self::WfiAtPmrOff => "wfi-at-pmr-off",
            Self::DropAfterResched => "drop-after-resched",
            Self::DeactivateAfterResched => "deactivate-after-resched",
            Self::FaultNeverPreempts => "fault-never-preempts",
            Self::DaifBeforePmr => "daif-before-pmr",
            Self::EoiOfSpecial => "eoi-of-special",
            Self::NmiCountLeaks => "nmi-count-leaks",
            Self::ForgetSelfSgi => "forget-self-sgi",
            Self::PathNotPopped => "path-not-popped",
            Self::NotWatching => "not-watching",
            Self::PmrLowAtEl0 => "pmr-low-at-el0",
            Self::WorkLoopSkipped => "work-loop-skipped",
            Self::RegisterLeakOnReturn => "register-leak-on-return",
            Self::WatchingAtEl0 => "watching-at-el0",
            Self::FpRegisterLost => "fp-register-lost",
            Self::FpLeaked => "fp-leaked",
        }
    }

    /// The bug of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plant| plant.name() == name)
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
        ACTIVE.load(Relaxed) == plant as u32
    }

    pub(super) fn set(plant: Option<Plant>) {
        ACTIVE.store(plant.map_or(0, |plant| plant as u32), Relaxed);
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
