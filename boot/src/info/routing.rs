//! Interrupt specifiers: from cells in the tree to INTIDs of the GIC.
//!
//! What the cells of an `interrupts` property mean is said by the node of the controller they go
//! to, which the tree may show later. So the walk only notes each [`Claim`] (where it is, in 24
//! bytes) and each [`Controller`]; [`Routing`] then reads the claims.
//!
//! Three properties claim (specification 2.4): `interrupts`, a list for the one controller in
//! force; `interrupts-extended`, a list in which each entry names its controller; and
//! `interrupt-map`, by which a bus (PCI) hands its children's interrupts on.

use heapless::Vec;

use super::intid::{Line, SpiSet};
use crate::dt::{DtError, Property, ValidBlob, ValueFault};

/// Room for properties that claim interrupts.
const MAX_CLAIMS: usize = 128;
/// Room for nodes with `#interrupt-cells`.
const MAX_CONTROLLERS: usize = 16;

/// Which controller a node's `interrupts` go to (specification 2.4.1, `interrupt-parent`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InterruptParent {
    /// Nothing says so.
    Unknown,
    /// The one with this phandle.
    Phandle(u32),
    /// The node at this offset: a parent that is a controller itself.
    Node(u32),
}

/// A node with `#interrupt-cells`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Controller {
    /// Offset of the node.
    pub(super) at: u32,
    pub(super) phandle: Option<u32>,
    pub(super) interrupt_cells: u32,
    /// `#address-cells`, which entries of an `interrupt-map` carry too; 0 when it has none.
    pub(super) address_cells: u32,
    pub(super) is_gic: bool,
}

/// The three forms of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimForm {
    /// `interrupts`
    List,
    /// `interrupts-extended`
    Extended,
    /// `interrupt-map`, each entry of which begins with `child_cells` cells for the child.
    Map { child_cells: u32 },
}

/// A property that claims interrupts, by its place in the blob.
#[derive(Clone, Copy, Debug)]
struct Claim {
    node_at: u32,
    value_offset: u32,
    value_len: u32,
    parent: InterruptParent,
    form: ClaimForm,
}

/// A claim that was noted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClaimIndex(usize);

/// All claims and all controllers.
pub(super) struct Routing<'a> {
    blob: ValidBlob<'a>,
    claims: Vec<Claim, MAX_CLAIMS>,
    controllers: Vec<Controller, MAX_CONTROLLERS>,
}

impl<'a> Routing<'a> {
    pub(super) fn new(blob: ValidBlob<'a>) -> Self {
        Self {
            blob,
            claims: Vec::new(),
            controllers: Vec::new(),
        }
    }

    /// Notes a controller.
    pub(super) fn add_controller(&mut self, controller: Controller) -> Result<(), DtError<'a>> {
        self.controllers
            .push(controller)
            .map_err(|controller| DtError::TooMany {
                node: self.blob.path(controller.at),
                what: "nodes with \"#interrupt-cells\"",
                capacity: MAX_CONTROLLERS,
            })
    }

    /// Notes that the node at `node_at` claims interrupts by `property`.
    pub(super) fn add_claim(
        &mut self,
        node_at: u32,
        property: &Property<'a>,
        form: ClaimForm,
        parent: InterruptParent,
    ) -> Result<ClaimIndex, DtError<'a>> {
        let index = ClaimIndex(self.claims.len());
        self.claims
            .push(Claim {
                node_at,
                value_offset: property.offset,
                value_len: property.len(),
                parent,
                form,
            })
            .map_err(|claim| DtError::TooMany {
                node: self.blob.path(claim.node_at),
                what: "properties that claim interrupts",
                capacity: MAX_CLAIMS,
            })?;
        Ok(index)
    }

    /// The SPIs of all claims.
    pub(super) fn claimed_spis(&self) -> Result<SpiSet, DtError<'a>> {
        let mut spis = SpiSet::EMPTY;
        for claim in &self.claims {
            for target in self.targets(claim) {
                if let Target::Gic(line) = target.map_err(|fault| self.malformed(claim, fault))? {
                    spis.insert(line.intid);
                }
            }
        }
        Ok(spis)
    }

    /// The first `N` lines of a claim, all of which must go to the GIC.
    pub(super) fn lines<const N: usize>(
        &self,
        index: ClaimIndex,
    ) -> Result<[Line; N], DtError<'a>> {
        let claim = &self.claims[index.0];
        let mut lines = Vec::<Line, N>::new();
        for target in self.targets(claim).take(N) {
            let line = match target {
                Ok(Target::Gic(line)) => Ok(line),
                Ok(Target::Elsewhere) if claim.parent == InterruptParent::Unknown => {
                    Err(ValueFault::NoInterruptParent)
                }
                Ok(Target::Elsewhere) => Err(ValueFault::NotForGic),
                Err(fault) => Err(fault),
            }
            .map_err(|fault| self.malformed(claim, fault))?;
            // At most N are taken, so there is room.
            let _ = lines.push(line);
        }
        let found = lines.len() as u32;
        lines.into_array().map_err(|_| {
            let needed = N as u32;
            self.malformed(claim, ValueFault::TooFew { found, needed })
        })
    }

    /// As [`Self::lines`], and each CPU must have its own.
    pub(super) fn per_cpu_lines<const N: usize>(
        &self,
        index: ClaimIndex,
    ) -> Result<[Line; N], DtError<'a>> {
        let lines = self.lines(index)?;
        if lines.iter().all(|line| line.intid.is_per_cpu()) {
            Ok(lines)
        } else {
            Err(self.malformed(&self.claims[index.0], ValueFault::NotPerCpu))
        }
    }

    fn targets(&self, claim: &Claim) -> Targets<'_, 'a> {
        let start = claim.value_offset as usize;
        Targets {
            routing: self,
            form: claim.form,
            parent: claim.parent,
            cells: Cells(&self.blob.bytes()[start..start + claim.value_len as usize]),
        }
    }

    fn find(&self, parent: InterruptParent) -> Result<Option<&Controller>, ValueFault> {
        let found = match parent {
            InterruptParent::Unknown => return Ok(None),
            InterruptParent::Phandle(phandle) => self
                .controllers
                .iter()
                .find(|controller| controller.phandle == Some(phandle))
                .ok_or(ValueFault::DanglingPhandle(phandle))?,
            InterruptParent::Node(at) => {
                return Ok(self
                    .controllers
                    .iter()
                    .find(|controller| controller.at == at));
            }
        };
        Ok(Some(found))
    }

    fn malformed(&self, claim: &Claim, fault: ValueFault) -> DtError<'a> {
        DtError::Malformed {
            node: self.blob.path(claim.node_at),
            property: match claim.form {
                ClaimForm::List => "interrupts",
                ClaimForm::Extended => "interrupts-extended",
                ClaimForm::Map { .. } => "interrupt-map",
            },
            offset: claim.value_offset,
            fault,
        }
    }
}

/// Where one interrupt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Gic(Line),
    Elsewhere,
}

/// The interrupts of one claim. Ends after the first fault.
struct Targets<'r, 'a> {
    routing: &'r Routing<'a>,
    form: ClaimForm,
    parent: InterruptParent,
    cells: Cells<'a>,
}

impl Targets<'_, '_> {
    fn read(&mut self) -> Result<Target, ValueFault> {
        let (parent, address_follows) = match self.form {
            ClaimForm::List => (self.parent, false),
            ClaimForm::Extended => (InterruptParent::Phandle(self.cells.take()?), false),
            ClaimForm::Map { child_cells } => {
                self.cells.skip(child_cells)?;
                (InterruptParent::Phandle(self.cells.take()?), true)
            }
        };
        let Some(controller) = self.routing.find(parent)? else {
            // Nobody knows how long an entry is.
            self.cells = Cells(&[]);
            return Ok(Target::Elsewhere);
        };
        if address_follows {
            self.cells.skip(controller.address_cells)?;
        }
        if !controller.is_gic {
            self.cells.skip(controller.interrupt_cells)?;
            // An entry without cells would be read for ever.
            if self.form == ClaimForm::List && controller.interrupt_cells == 0 {
                self.cells = Cells(&[]);
            }
            return Ok(Target::Elsewhere);
        }
        // The GIC's node was refused unless it has at least three.
        let (kind, number, flags) = (self.cells.take()?, self.cells.take()?, self.cells.take()?);
        self.cells
            .skip(controller.interrupt_cells.saturating_sub(3))?;
        Line::from_cells(kind, number, flags).map(Target::Gic)
    }
}

impl Iterator for Targets<'_, '_> {
    type Item = Result<Target, ValueFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cells.0.is_empty() {
            return None;
        }
        let target = self.read();
        if target.is_err() {
            self.cells = Cells(&[]);
        }
        Some(target)
    }
}

/// Cells that have not been read yet.
struct Cells<'a>(&'a [u8]);

impl Cells<'_> {
    fn take(&mut self) -> Result<u32, ValueFault> {
        let Some((cell, rest)) = self.0.split_first_chunk() else {
            return Err(self.cut());
        };
        self.0 = rest;
        Ok(u32::from_be_bytes(*cell))
    }

    fn skip(&mut self, count: u32) -> Result<(), ValueFault> {
        for _ in 0..count {
            self.take()?;
        }
        Ok(())
    }

    fn cut(&self) -> ValueFault {
        ValueFault::Length {
            len: self.0.len() as u32,
            expected: "a whole entry, in the last one",
        }
    }
}
