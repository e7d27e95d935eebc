//! Processes.

use core::sync::atomic::AtomicPtr;

/// A process.
pub(crate) struct Process {
    /// For the reclaimer's list.
    pub(super) next_ended: AtomicPtr<Process>,
}

impl Process {
    /// Gives up all that it holds. By the reclaimer, in `Process`.
    pub(super) fn empty(&self) {}
}
