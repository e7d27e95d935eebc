//! Threads as objects.

/// A thread of a process.
pub(crate) struct ThreadObject {
    _nothing: u64,
}
