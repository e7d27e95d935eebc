//! What can be wrong with a blob before it is a device tree: its header, blocks and tokens.

use core::fmt;

use super::cursor::MAX_DEPTH;

/// A block of the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Memory reservations.
    Reservations,
    /// The tree.
    Structure,
    /// Property names.
    Strings,
}

impl Block {
    /// Required alignment within the blob, in bytes (specification 5.6).
    pub(super) const fn alignment(self) -> u32 {
        match self {
            Self::Reservations => 8,
            Self::Structure => 4,
            Self::Strings => 1,
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reservations => "memory reservation block",
            Self::Structure => "structure block",
            Self::Strings => "strings block",
        })
    }
}

/// Why a blob is not a flattened device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobError {
    /// No pointer was handed over (x0 was 0: an ELF was booted, not an Image).
    NullPointer,
    /// The blob is not 8-byte aligned.
    Misaligned {
        /// Where it is.
        address: usize,
    },
    /// Shorter than a header.
    TooShort {
        /// Bytes there are.
        len: usize,
    },
    /// It does not begin with the magic number.
    Magic {
        /// What it begins with.
        found: u32,
    },
    /// `totalsize` is less than a header or more than there is.
    TotalSize {
        /// What the header says, in bytes.
        total: usize,
        /// Bytes there are.
        available: usize,
    },
    /// Written in a version of the format that is not understood.
    Version {
        /// The version.
        version: u32,
        /// The oldest version it says to be compatible with.
        last_compatible: u32,
    },
    /// A block begins at an offset that is not aligned.
    BlockMisaligned {
        /// The block.
        block: Block,
        /// Its offset.
        offset: u32,
    },
    /// A block reaches into the header or beyond the blob.
    BlockOutside {
        /// The block.
        block: Block,
        /// Its offset.
        offset: u32,
        /// Its size in bytes, or the least it could be.
        size: u32,
        /// The blob's size in bytes.
        total: usize,
    },
    /// The memory reservation block has no end.
    ReservationsUnterminated {
        /// Its offset.
        offset: u32,
    },
    /// A memory reservation wraps the address space.
    ReservationWraps {
        /// Its address.
        address: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// The strings block holds what cannot be part of a name, or does not end with a NUL.
    BadString {
        /// Offset of the byte that is wrong.
        offset: u32,
    },
    /// The tree itself is broken.
    Structure {
        /// Offset of the token that is wrong.
        offset: u32,
        /// What is wrong.
        fault: StructureFault,
    },
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NullPointer => f.write_str("none was handed over (x0 = 0)"),
            Self::Misaligned { address } => {
                write!(f, "blob at {address:#x} is not 8-byte aligned")
            }
            Self::TooShort { len } => write!(f, "{len} bytes are too few for a header"),
            Self::Magic { found } => {
                write!(f, "no blob: begins with {found:#010x}, not with 0xd00dfeed")
            }
            Self::TotalSize { total, available } => {
                write!(f, "header says {total} bytes in all, {available} are there")
            }
            Self::Version {
                version,
                last_compatible,
            } => write!(
                f,
                "version {version} (compatible with {last_compatible}), version 17 is needed"
            ),
            Self::BlockMisaligned { block, offset } => write!(
                f,
                "{block} at offset {offset:#x} is not {}-byte aligned",
                block.alignment()
            ),
            Self::BlockOutside {
                block,
                offset,
                size,
                total,
            } => write!(
                f,
                "{block} of {size} bytes at offset {offset:#x} is not inside a blob of {total} bytes"
            ),
            Self::ReservationsUnterminated { offset } => write!(
                f,
                "{} at offset {offset:#x} has no end",
                Block::Reservations
            ),
            Self::ReservationWraps { address, size } => write!(
                f,
                "memory reservation of {size:#x} bytes at {address:#x} wraps the address space"
            ),
            Self::BadString { offset } => write!(
                f,
                "{} at offset {offset:#x}: neither printable nor the end of a name",
                Block::Strings
            ),
            Self::Structure { offset, fault } => write!(f, "offset {offset:#x}: {fault}"),
        }
    }
}

/// What can be wrong at one token of the structure block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructureFault {
    /// The block ends where a token, or the rest of one, should be.
    Cut,
    /// Not a token.
    UnknownToken {
        /// What stands there.
        found: u32,
    },
    /// A node's name is empty, not printable, not terminated, or has a slash; or the root has one.
    NodeName,
    /// A property's name is not in the strings block, or empty.
    PropertyName,
    /// A property's value reaches beyond the block.
    PropertyCut {
        /// Its length in bytes.
        len: u32,
    },
    /// A property before the root.
    PropertyOutsideNode,
    /// A property behind a child node.
    PropertyAfterChild,
    /// The end of a node that never began.
    EndWithoutNode,
    /// The tree ends inside a node.
    NodeNotEnded,
    /// The tree ends without a root.
    NoRoot,
    /// Another node behind the root.
    SecondRoot,
    /// Nodes nest deeper than [`MAX_DEPTH`].
    TooDeep,
    /// The block goes on behind the end of the tree.
    BytesAfterEnd,
}

impl fmt::Display for StructureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "structure block ends in the middle",
            Self::UnknownToken { found } => return write!(f, "{found:#x} is not a token"),
            Self::NodeName => "bad node name",
            Self::PropertyName => "bad property name",
            Self::PropertyCut { len } => {
                return write!(
                    f,
                    "property of {len} bytes reaches beyond the structure block"
                );
            }
            Self::PropertyOutsideNode => "property outside of any node",
            Self::PropertyAfterChild => "property behind a child node",
            Self::EndWithoutNode => "end of a node that did not begin",
            Self::NodeNotEnded => "the tree ends inside a node",
            Self::NoRoot => "the tree has no root",
            Self::SecondRoot => "a second root",
            Self::TooDeep => return write!(f, "nodes nest deeper than {MAX_DEPTH}"),
            Self::BytesAfterEnd => "structure block goes on behind the end of the tree",
        })
    }
}
