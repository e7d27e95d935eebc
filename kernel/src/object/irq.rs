//! Interrupt lines.

/// An interrupt line.
pub(crate) struct Irq {
    _nothing: u64,
}
