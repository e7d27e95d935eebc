//! The flattened device tree: proven well-formed once, then read without fear.
//!
//! A blob comes from outside: from QEMU, from a boot loader, from a student's `-dtb`. Until its
//! structure is proven, every length in it is an allegation. [`validate`] (or [`from_ptr`], which
//! starts from the bare pointer in x0) checks all of them and returns a [`ValidBlob`]; only from
//! that can a tree be walked.
//!
//! # Why the kernel does not read the tree with the `fdt` crate
//!
//! It began that way. `fdt` 0.1.5 trusts its input: a cut property, a string offset out of range or
//! a short `#address-cells` panics it, so a validator has to read every token beforehand anyway.
//! And it gets *valid* trees wrong: boot loaders delete nodes and properties by overwriting them
//! with `FDT_NOP`, and at such a place its `all_nodes` ends early without a word and its `children`
//! panics. The token reader that the validator needs ([`Cursor`]) is all that a walk needs, costs
//! one pass instead of one per property, and carries the offsets that good error messages need. The
//! crate reads the root's own properties ([`crate::info::model`]), where it is safe, and is the second
//! witness: the tests compare the two readings of real trees.
//!
//! Source: Devicetree Specification v0.4, chapter 5 (flattened format), chapter 2 (property
//! values). "Offset" in this module and in its errors always means bytes from the start of the
//! blob, so that a message can be laid beside a hex dump.

mod blob;
mod blob_error;
mod cursor;
mod error;
mod value;

pub use blob::{HEADER_LEN, NodePath, ValidBlob, from_ptr, validate};
pub use blob_error::{BlobError, Block, StructureFault};
pub use cursor::{Cursor, Event, MAX_DEPTH};
pub use error::{DtError, Needed, ValueFault};
pub use value::{Property, Strings};
