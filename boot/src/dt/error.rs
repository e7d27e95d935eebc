//! What can be wrong with a device tree. Every message is one line that a person can act on: what,
//! in which node and property, at which offset.

use core::fmt;

use super::blob::NodePath;
use super::blob_error::BlobError;

/// Why a device tree could not be used.
#[derive(Clone, Copy, Debug)]
pub enum DtError<'a> {
    /// The blob is not a well-formed tree at all.
    Blob(BlobError),
    /// A node that the kernel cannot do without is not there.
    Missing(Needed),
    /// The interrupt controller is a GICv2 only.
    GicV2 {
        /// The GICv2's node.
        node: NodePath<'a>,
    },
    /// A node lacks a property that it must have.
    NoProperty {
        /// The node.
        node: NodePath<'a>,
        /// The property's name.
        property: &'static str,
    },
    /// A property does not say what it should.
    Malformed {
        /// The node it is in.
        node: NodePath<'a>,
        /// The property's name.
        property: &'a str,
        /// Offset of the property's value.
        offset: u32,
        /// What is wrong with it.
        fault: ValueFault,
    },
    /// A device stands behind a bus whose addresses are not the CPU's.
    Translated {
        /// The device.
        node: NodePath<'a>,
        /// The bus.
        bus: NodePath<'a>,
    },
    /// A second enabled node of a kind of which there may be one.
    Duplicate {
        /// The second node.
        node: NodePath<'a>,
        /// The first.
        first: NodePath<'a>,
    },
    /// There is more of something than this kernel has room for.
    TooMany {
        /// The node with the first one that did not fit.
        node: NodePath<'a>,
        /// Of what, in the plural.
        what: &'static str,
        /// For how many there is room.
        capacity: usize,
    },
}

impl From<BlobError> for DtError<'_> {
    fn from(error: BlobError) -> Self {
        Self::Blob(error)
    }
}

impl fmt::Display for DtError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("device tree: ")?;
        match self {
            Self::Blob(error) => error.fmt(f),
            Self::Missing(needed) => needed.fmt(f),
            Self::GicV2 { node } => write!(
                f,
                "{node} is a GICv2, a GICv3 is needed (QEMU: -M virt,gic-version=3)"
            ),
            Self::NoProperty { node, property } => write!(f, "{node} has no \"{property}\""),
            Self::Malformed {
                node,
                property,
                offset,
                fault,
            } => write!(f, "{node}: \"{property}\" at offset {offset:#x}: {fault}"),
            Self::Translated { node, bus } => write!(
                f,
                "{node} is behind the bus {bus} that translates addresses (\"ranges\" not 1:1)"
            ),
            Self::Duplicate { node, first } => {
                write!(f, "{node} is a second one of what {first} is already")
            }
            Self::TooMany {
                node,
                what,
                capacity,
            } => write!(f, "{node}: more than {capacity} {what}"),
        }
    }
}

impl core::error::Error for DtError<'_> {}

/// What the kernel cannot start without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// RAM.
    Memory,
    /// At least one CPU.
    Cpu,
    /// A GICv3.
    Gic,
    /// The generic timer.
    Timer,
    /// A PL011.
    Uart,
}

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "no enabled node /memory@... with a size (no RAM)",
            Self::Cpu => "no node /cpus/cpu@... (no CPU)",
            Self::Gic => "no node compatible with \"arm,gic-v3\" (no interrupt controller)",
            Self::Timer => "no node compatible with \"arm,armv8-timer\" (no timer)",
            Self::Uart => "no enabled node compatible with \"arm,pl011\" (no console)",
        })
    }
}

/// What can be wrong with the value of one property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueFault {
    /// It has a length that it cannot have.
    Length {
        /// Its length in bytes.
        len: u32,
        /// What it should be.
        expected: &'static str,
    },
    /// Not a whole number of entries.
    Entries {
        /// Its length in bytes.
        len: u32,
        /// The length in bytes of one entry, as the cell counts in force here make it.
        entry_len: u32,
    },
    /// Fewer entries than needed.
    TooFew {
        /// How many there are.
        found: u32,
        /// How many there should be.
        needed: u32,
    },
    /// Not NUL-terminated UTF-8.
    NotText,
    /// None of the permitted values.
    NotOneOf(&'static str),
    /// A number of cells that no reader here knows to handle.
    CellCount {
        /// The number of cells.
        cells: u32,
        /// Of what.
        of: &'static str,
        /// How many there may be.
        permitted: &'static str,
    },
    /// A range of addresses that wraps or ends before it begins.
    Wraps,
    /// A phandle that no interrupt controller has.
    DanglingPhandle(u32),
    /// Nothing says which interrupt controller the number is for.
    NoInterruptParent,
    /// The interrupt goes to a controller other than the GIC.
    NotForGic,
    /// The first cell of a GIC interrupt is not a known kind, or the number is out of its range.
    BadInterrupt {
        /// First cell: 0 SPI, 1 PPI, 2 extended SPI, 3 extended PPI.
        kind: u32,
        /// Second cell.
        number: u32,
    },
    /// The interrupt is shared by all CPUs, where each CPU should have its own.
    NotPerCpu,
}

impl fmt::Display for ValueFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { len, expected } => write!(f, "{len} bytes, expected {expected}"),
            Self::Entries { len, entry_len } => {
                write!(
                    f,
                    "{len} bytes are not a whole number of {entry_len}-byte entries"
                )
            }
            Self::TooFew { found, needed } => write!(f, "{found} entries, {needed} needed"),
            Self::NotText => f.write_str("not NUL-terminated text"),
            Self::NotOneOf(permitted) => write!(f, "none of {permitted}"),
            Self::CellCount {
                cells,
                of,
                permitted,
            } => write!(f, "{cells} {of}, expected {permitted}"),
            Self::Wraps => f.write_str("the range ends before it begins"),
            Self::DanglingPhandle(phandle) => {
                write!(f, "no interrupt controller has phandle {phandle:#x}")
            }
            Self::NoInterruptParent => f.write_str("no \"interrupt-parent\" is in force"),
            Self::NotForGic => f.write_str("goes to an interrupt controller other than the GIC"),
            Self::BadInterrupt { kind, number } => {
                write!(f, "the GIC has no interrupt <{kind} {number}>")
            }
            Self::NotPerCpu => f.write_str("not a PPI"),
        }
    }
}
