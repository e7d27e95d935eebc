//! Replies.

/// The right to answer one call.
pub(crate) struct Reply {
    _nothing: u64,
}

impl Reply {
    /// Its handle is no more.
    pub(crate) fn abandon(&self) {}
}
