//! One node as the walk meets it, and what it hands down to its children.

use heapless::Vec;

use super::routing::InterruptParent;
use crate::Region;
use crate::dt::{DtError, Property, ValidBlob, ValueFault};

/// More cells than this no address, size or count of interrupt cells has (libfdt's limit is 4 for
/// the first two).
const MAX_CELLS: u32 = 8;

/// What part of the tree a node is, as far as its place tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    Chosen,
    Aliases,
    Cpus,
    ReservedMemory,
    /// A child of the root that is none of the above.
    TopLevel,
    Deeper,
}

impl Place {
    /// The place of a node `name` below a node at place `parent` (`None`: it is the root).
    fn below(parent: Option<Self>, name: &str) -> Self {
        match (parent, name) {
            (None, _) => Self::Root,
            (Some(Self::Root), "chosen") => Self::Chosen,
            (Some(Self::Root), "aliases") => Self::Aliases,
            (Some(Self::Root), "cpus") => Self::Cpus,
            (Some(Self::Root), "reserved-memory") => Self::ReservedMemory,
            (Some(Self::Root), _) => Self::TopLevel,
            (Some(_), _) => Self::Deeper,
        }
    }
}

/// What a node means for its children.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    pub(super) place: Place,
    /// `#address-cells`, by default 2 (specification 2.3.5).
    address_cells: u32,
    /// `#size-cells`, by default 1.
    size_cells: u32,
    interrupt_parent: InterruptParent,
    /// Neither this node nor one around it is disabled.
    is_enabled: bool,
    /// The innermost bus around the children whose addresses are not the CPU's.
    translating_bus: Option<u32>,
}

/// A node whose properties have all been seen, but not its children.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    /// Offset of its token.
    pub(super) at: u32,
    pub(super) name: &'a str,
    pub(super) place: Place,
    pub(super) props: Props<'a>,
}

/// The properties that are of interest in any node, as they were found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Props<'a> {
    pub(super) address_cells: Option<Property<'a>>,
    pub(super) compatible: Option<Property<'a>>,
    pub(super) device_type: Option<Property<'a>>,
    pub(super) enable_method: Option<Property<'a>>,
    pub(super) interrupt_cells: Option<Property<'a>>,
    pub(super) interrupt_map: Option<Property<'a>>,
    pub(super) interrupt_names: Option<Property<'a>>,
    pub(super) interrupt_parent: Option<Property<'a>>,
    pub(super) interrupts: Option<Property<'a>>,
    pub(super) interrupts_extended: Option<Property<'a>>,
    pub(super) method: Option<Property<'a>>,
    pub(super) phandle: Option<Property<'a>>,
    pub(super) ranges: Option<Property<'a>>,
    pub(super) redistributor_regions: Option<Property<'a>>,
    pub(super) redistributor_stride: Option<Property<'a>>,
    pub(super) reg: Option<Property<'a>>,
    pub(super) size_cells: Option<Property<'a>>,
    pub(super) status: Option<Property<'a>>,
}

impl<'a> Props<'a> {
    fn slot(&mut self, name: &[u8]) -> Option<&mut Option<Property<'a>>> {
        Some(match name {
            b"#address-cells" => &mut self.address_cells,
            b"compatible" => &mut self.compatible,
            b"device_type" => &mut self.device_type,
            b"enable-method" => &mut self.enable_method,
            b"#interrupt-cells" => &mut self.interrupt_cells,
            b"interrupt-map" => &mut self.interrupt_map,
            b"interrupt-names" => &mut self.interrupt_names,
            b"interrupt-parent" => &mut self.interrupt_parent,
            b"interrupts" => &mut self.interrupts,
            b"interrupts-extended" => &mut self.interrupts_extended,
            b"method" => &mut self.method,
            b"phandle" => &mut self.phandle,
            b"ranges" => &mut self.ranges,
            b"#redistributor-regions" => &mut self.redistributor_regions,
            b"redistributor-stride" => &mut self.redistributor_stride,
            b"reg" => &mut self.reg,
            b"#size-cells" => &mut self.size_cells,
            b"status" => &mut self.status,
            _ => return None,
        })
    }
}

impl<'a> Node<'a> {
    /// A node that begins below one that hands down `parent`.
    pub(super) fn begin(name: &'a str, at: u32, parent: Option<&Scope>) -> Self {
        Self {
            at,
            name,
            place: Place::below(parent.map(|parent| parent.place), name),
            props: Props::default(),
        }
    }

    /// Notes one of its properties.
    pub(super) fn note(&mut self, property: Property<'a>) {
        if let Some(slot) = self.props.slot(property.name_bytes()) {
            *slot = Some(property);
        }
    }

    /// Its name without the unit address.
    pub(super) fn stem(&self) -> &'a str {
        self.name.split('@').next().unwrap_or(self.name)
    }

    /// Whether `compatible` lists `model`.
    pub(super) fn is_compatible(&self, model: &str) -> bool {
        self.props
            .compatible
            .is_some_and(|list| list.texts().any(|text| text == model))
    }

    /// Whether `device_type` is `kind`.
    pub(super) fn is_device_type(&self, kind: &str) -> bool {
        self.props
            .device_type
            .is_some_and(|property| property.text() == Ok(kind))
    }

    /// Whether `status` is `okay`, or there is none (specification 2.3.4).
    pub(super) fn has_okay_status(&self) -> bool {
        self.props
            .status
            .is_none_or(|status| matches!(status.text(), Ok("okay" | "ok")))
    }

    /// What it hands down, given what was handed to it.
    pub(super) fn scope(
        &self,
        blob: &ValidBlob<'a>,
        parent: Option<&Scope>,
    ) -> Result<Scope, DtError<'a>> {
        let props = &self.props;
        let inherited = parent.map_or(InterruptParent::Unknown, |parent| parent.interrupt_parent);
        let mut scope = Scope {
            place: self.place,
            address_cells: self.cell_count(blob, props.address_cells, 2)?,
            size_cells: self.cell_count(blob, props.size_cells, 1)?,
            // A controller is what its children's interrupts go to, unless they say otherwise.
            interrupt_parent: match props.interrupt_cells {
                Some(_) => InterruptParent::Node(self.at),
                None => self.interrupt_parent(blob, inherited)?,
            },
            is_enabled: self.is_enabled(parent),
            translating_bus: parent.and_then(|parent| parent.translating_bus),
        };
        if let (Some(ranges), Some(parent)) = (props.ranges, parent)
            && !is_identity(ranges.value, &scope, parent)
        {
            scope.translating_bus = Some(self.at);
        }
        Ok(scope)
    }

    /// Whether neither it nor a node around it is disabled.
    pub(super) fn is_enabled(&self, parent: Option<&Scope>) -> bool {
        self.has_okay_status() && parent.is_none_or(|parent| parent.is_enabled)
    }

    /// The controller that its `interrupts` go to, when `inherited` is what is in force around it.
    pub(super) fn interrupt_parent(
        &self,
        blob: &ValidBlob<'a>,
        inherited: InterruptParent,
    ) -> Result<InterruptParent, DtError<'a>> {
        Ok(match self.props.interrupt_parent {
            Some(property) => InterruptParent::Phandle(self.cell(blob, property)?),
            None => inherited,
        })
    }

    /// A count of cells, or `default` where the property is absent.
    pub(super) fn cell_count(
        &self,
        blob: &ValidBlob<'a>,
        property: Option<Property<'a>>,
        default: u32,
    ) -> Result<u32, DtError<'a>> {
        let Some(property) = property else {
            return Ok(default);
        };
        let cells = self.cell(blob, property)?;
        if cells > MAX_CELLS {
            let fault = ValueFault::CellCount {
                cells,
                of: "cells",
                permitted: "0 to 8",
            };
            return Err(self.malformed(blob, property, fault));
        }
        Ok(cells)
    }

    /// A property of one cell.
    pub(super) fn cell(
        &self,
        blob: &ValidBlob<'a>,
        property: Property<'a>,
    ) -> Result<u32, DtError<'a>> {
        property
            .cell()
            .map_err(|fault| self.malformed(blob, property, fault))
    }

    /// A property of one or two cells.
    pub(super) fn number(
        &self,
        blob: &ValidBlob<'a>,
        property: Property<'a>,
    ) -> Result<u64, DtError<'a>> {
        property
            .number()
            .map_err(|fault| self.malformed(blob, property, fault))
    }

    /// `property`, or that it is missing.
    pub(super) fn require(
        &self,
        blob: &ValidBlob<'a>,
        property: Option<Property<'a>>,
        name: &'static str,
    ) -> Result<Property<'a>, DtError<'a>> {
        property.ok_or(DtError::NoProperty {
            node: blob.path(self.at),
            property: name,
        })
    }

    /// The entries of `reg`, as physical addresses of the CPU.
    pub(super) fn regions(
        &self,
        blob: &ValidBlob<'a>,
        parent: &Scope,
    ) -> Result<Regions<'a>, DtError<'a>> {
        let reg = self.require(blob, self.props.reg, "reg")?;
        if let Some(bus) = parent.translating_bus {
            return Err(DtError::Translated {
                node: blob.path(self.at),
                bus: blob.path(bus),
            });
        }
        let malformed = |fault| self.malformed(blob, reg, fault);
        for (cells, of) in [
            (parent.address_cells, "address cells"),
            (parent.size_cells, "size cells"),
        ] {
            if !(1..=2).contains(&cells) {
                let permitted = "1 or 2";
                return Err(malformed(ValueFault::CellCount {
                    cells,
                    of,
                    permitted,
                }));
            }
        }
        let entry_len = (parent.address_cells + parent.size_cells) * 4;
        if !reg.len().is_multiple_of(entry_len) {
            let len = reg.len();
            return Err(malformed(ValueFault::Entries { len, entry_len }));
        }
        let regions = Regions {
            value: reg.value,
            address_len: parent.address_cells as usize * 4,
            entry_len: entry_len as usize,
        };
        if regions.clone().any(|region| region.is_none()) {
            return Err(malformed(ValueFault::Wraps));
        }
        Ok(regions)
    }

    /// The first `N` entries of `reg`.
    pub(super) fn first_regions<const N: usize>(
        &self,
        blob: &ValidBlob<'a>,
        parent: &Scope,
    ) -> Result<[Region; N], DtError<'a>> {
        let first: Vec<Region, N> = self.regions(blob, parent)?.flatten().take(N).collect();
        let found = first.len() as u32;
        first.into_array().map_err(|_| {
            let needed = N as u32;
            match self.props.reg {
                Some(reg) => self.malformed(blob, reg, ValueFault::TooFew { found, needed }),
                None => DtError::NoProperty {
                    node: blob.path(self.at),
                    property: "reg",
                },
            }
        })
    }

    /// The CPU's `reg`: addresses that are no addresses, of `#address-cells` and no size.
    pub(super) fn cpu_number(
        &self,
        blob: &ValidBlob<'a>,
        parent: &Scope,
    ) -> Result<u64, DtError<'a>> {
        let reg = self.require(blob, self.props.reg, "reg")?;
        let malformed = |fault| self.malformed(blob, reg, fault);
        if parent.size_cells != 0 {
            return Err(malformed(ValueFault::CellCount {
                cells: parent.size_cells,
                of: "size cells",
                permitted: "0",
            }));
        }
        let entry_len = parent.address_cells * 4;
        if !matches!(entry_len, 4 | 8) {
            return Err(malformed(ValueFault::CellCount {
                cells: parent.address_cells,
                of: "address cells",
                permitted: "1 or 2",
            }));
        }
        if reg.len() != entry_len {
            let len = reg.len();
            return Err(malformed(ValueFault::Entries { len, entry_len }));
        }
        self.number(blob, reg)
    }

    /// That `property` of this node is malformed.
    pub(super) fn malformed(
        &self,
        blob: &ValidBlob<'a>,
        property: Property<'a>,
        fault: ValueFault,
    ) -> DtError<'a> {
        DtError::Malformed {
            node: blob.path(self.at),
            property: property.name(),
            offset: property.offset,
            fault,
        }
    }
}

impl Scope {
    /// The controller in force for a child that does not name one.
    pub(super) fn inherited_interrupt_parent(&self) -> InterruptParent {
        self.interrupt_parent
    }
}

/// The entries of a `reg` whose length has been checked; `None` for one that wraps.
#[derive(Clone)]
pub(super) struct Regions<'a> {
    value: &'a [u8],
    address_len: usize,
    entry_len: usize,
}

impl Iterator for Regions<'_> {
    type Item = Option<Region>;

    fn next(&mut self) -> Option<Self::Item> {
        let (entry, rest) = self.value.split_at_checked(self.entry_len)?;
        self.value = rest;
        let (address, size) = entry.split_at(self.address_len);
        Some(Region::new(big_endian(address), big_endian(size)))
    }
}

/// Whether `ranges` (specification 2.3.8) maps the addresses of a bus onto the same addresses of
/// its parent. Empty means that; entries may spell it out.
fn is_identity(ranges: &[u8], bus: &Scope, parent: &Scope) -> bool {
    if ranges.is_empty() {
        return true;
    }
    let child = bus.address_cells as usize * 4;
    let above = parent.address_cells as usize * 4;
    let entry_len = child + above + bus.size_cells as usize * 4;
    if !(1..=8).contains(&child) || !(1..=8).contains(&above) {
        return false;
    }
    ranges.len().is_multiple_of(entry_len)
        && ranges
            .chunks_exact(entry_len)
            .all(|entry| big_endian(&entry[..child]) == big_endian(&entry[child..child + above]))
}

/// A big-endian number of at most eight bytes.
fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}
