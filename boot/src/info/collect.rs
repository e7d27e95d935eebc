//! The walk itself.

use heapless::Vec;

use super::node::{Node, Place, Scope};
use super::routing::{ClaimForm, ClaimIndex, Controller, Routing};
use super::{
    BootInfo, Conduit, Cpu, CpuStatus, EnableMethod, Gic, MAX_CPUS, MAX_MEMORY_REGIONS,
    MAX_REDISTRIBUTOR_REGIONS, MAX_RESERVED_REGIONS, MAX_VIRTIO_SLOTS, Psci, PsciVersion,
};
use crate::Region;
use crate::dt::{DtError, Event, MAX_DEPTH, Property, ValidBlob, ValueFault};

/// Room for PL011s, of which one becomes the console.
const MAX_UARTS: usize = 8;

/// MPIDR_EL1's affinity fields; the rest of `reg` must be zero (binding `arm/cpus`).
const MPIDR_AFFINITY: u64 = 0xff_00ff_ffff;

/// The kinds of device that the kernel looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gic,
    GicV2,
    Timer,
    Pmu,
    Psci(PsciVersion),
    Uart,
    VirtioMmio,
}

impl Kind {
    /// The kind that a text of `compatible` stands for.
    fn of(model: &str) -> Option<Self> {
        Some(match model {
            "arm,gic-v3" => Self::Gic,
            "arm,cortex-a15-gic" | "arm,gic-400" | "arm,cortex-a7-gic" | "arm,cortex-a9-gic"
            | "arm,eb11mp-gic" | "arm,pl390" => Self::GicV2,
            "arm,armv8-timer" => Self::Timer,
            "arm,armv8-pmuv3" => Self::Pmu,
            "arm,psci-1.0" => Self::Psci(PsciVersion::V1_0),
            "arm,psci-0.2" => Self::Psci(PsciVersion::V0_2),
            "arm,psci" => Self::Psci(PsciVersion::V0_1),
            "arm,pl011" => Self::Uart,
            "virtio,mmio" => Self::VirtioMmio,
            _ => return None,
        })
    }
}

/// Reads the tree from start to end.
pub(super) fn collect<'a>(blob: &ValidBlob<'a>) -> Result<BootInfo<'a>, DtError<'a>> {
    let mut notes = Notes::new(*blob);
    let mut scopes = Vec::<Scope, MAX_DEPTH>::new();
    // The node whose properties are being read.
    let mut open: Option<Node<'a>> = None;

    let mut cursor = blob.cursor();
    loop {
        let event = cursor.step()?;
        match (&mut open, event) {
            (Some(node), Event::Property(property)) if node.place == Place::Chosen => {
                notes.chosen.note(property);
                continue;
            }
            (Some(node), Event::Property(property)) => {
                node.note(property);
                continue;
            }
            // Anything else means that the properties are complete.
            (Some(node), _) => {
                let scope = node.scope(blob, scopes.last())?;
                notes.judge(node, scopes.last())?;
                // A valid blob is no deeper than this.
                let _ = scopes.push(scope);
                open = None;
            }
            (None, _) => {}
        }
        match event {
            Event::Begin { name, at } => open = Some(Node::begin(name, at, scopes.last())),
            Event::End => {
                scopes.pop();
            }
            Event::Property(_) => {}
            Event::Finish => return notes.settle(),
        }
    }
}

/// What has been noted so far.
pub(super) struct Notes<'a> {
    pub(super) blob: ValidBlob<'a>,
    pub(super) routing: Routing<'a>,
    pub(super) chosen: Chosen<'a>,
    pub(super) aliases: Option<u32>,
    pub(super) memory: Vec<Region, MAX_MEMORY_REGIONS>,
    pub(super) reserved: Vec<Region, MAX_RESERVED_REGIONS>,
    pub(super) cpus: Vec<Cpu, MAX_CPUS>,
    pub(super) gic: Option<(u32, Gic)>,
    pub(super) gic_v2: Option<u32>,
    pub(super) timer: Option<Device>,
    pub(super) pmu: Option<Device>,
    pub(super) psci: Option<(u32, Psci)>,
    pub(super) uarts: Vec<(Device, Region), MAX_UARTS>,
    pub(super) virtio: Vec<(Device, Region), MAX_VIRTIO_SLOTS>,
}

/// A device whose interrupts are to be settled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Device {
    pub(super) at: u32,
    pub(super) claim: ClaimIndex,
}

/// The properties of `/chosen`.
#[derive(Default)]
pub(super) struct Chosen<'a> {
    pub(super) at: u32,
    pub(super) bootargs: Option<Property<'a>>,
    pub(super) stdout_path: Option<Property<'a>>,
    pub(super) initrd_start: Option<Property<'a>>,
    pub(super) initrd_end: Option<Property<'a>>,
}

impl<'a> Chosen<'a> {
    fn note(&mut self, property: Property<'a>) {
        match property.name_bytes() {
            b"bootargs" => self.bootargs = Some(property),
            b"stdout-path" => self.stdout_path = Some(property),
            b"linux,initrd-start" => self.initrd_start = Some(property),
            b"linux,initrd-end" => self.initrd_end = Some(property),
            _ => {}
        }
    }
}

impl<'a> Notes<'a> {
    fn new(blob: ValidBlob<'a>) -> Self {
        Self {
            blob,
            routing: Routing::new(blob),
            chosen: Chosen::default(),
            aliases: None,
            memory: Vec::new(),
            reserved: Vec::new(),
            cpus: Vec::new(),
            gic: None,
            gic_v2: None,
            timer: None,
            pmu: None,
            psci: None,
            uarts: Vec::new(),
            virtio: Vec::new(),
        }
    }

    /// Notes what matters of a node. `parent` is what the nodes around it hand down.
    // Apart from the walk's frame: see `settle`.
    #[inline(never)]
    fn judge(&mut self, node: &Node<'a>, parent: Option<&Scope>) -> Result<(), DtError<'a>> {
        let Some(parent) = parent else {
            return Ok(());
        };
        match node.place {
            Place::Chosen => self.chosen.at = node.at,
            Place::Aliases => self.aliases = Some(node.at),
            _ => {}
        }
        // Claims count whether or not the device is enabled: the wire is there.
        let claim = self.note_interrupts(node, parent)?;

        if parent.place == Place::Cpus && (node.stem() == "cpu" || node.is_device_type("cpu")) {
            return self.note_cpu(node, parent);
        }
        if !node.is_enabled(Some(parent)) {
            return Ok(());
        }
        if parent.place == Place::ReservedMemory {
            return self.note_reserved(node, parent);
        }
        if parent.place == Place::Root && (node.stem() == "memory" || node.is_device_type("memory"))
        {
            return self.note_memory(node, parent);
        }
        // The most specific comes first.
        let mut models = node.props.compatible.iter().flat_map(Property::texts);
        match models.find_map(Kind::of) {
            Some(kind) => self.note_device(kind, node, parent, claim),
            None => Ok(()),
        }
    }

    /// Notes the interrupts that a node claims and those it controls. Returns the claim for its own.
    fn note_interrupts(
        &mut self,
        node: &Node<'a>,
        parent: &Scope,
    ) -> Result<Option<ClaimIndex>, DtError<'a>> {
        let blob = &self.blob;
        let props = &node.props;
        let interrupt_parent = node.interrupt_parent(blob, parent.inherited_interrupt_parent())?;
        if let Some(property) = props.interrupt_cells {
            let interrupt_cells = node.cell_count(blob, Some(property), 0)?;
            let is_gic = node.is_compatible("arm,gic-v3");
            if is_gic && interrupt_cells < 3 {
                let fault = ValueFault::CellCount {
                    cells: interrupt_cells,
                    of: "interrupt cells",
                    permitted: "3 or more",
                };
                return Err(node.malformed(blob, property, fault));
            }
            self.routing.add_controller(Controller {
                at: node.at,
                phandle: props.phandle.map(|p| node.cell(blob, p)).transpose()?,
                interrupt_cells,
                address_cells: node.cell_count(blob, props.address_cells, 0)?,
                is_gic,
            })?;
            if let Some(map) = props.interrupt_map {
                let child_cells = node.cell_count(blob, props.address_cells, 2)? + interrupt_cells;
                let form = ClaimForm::Map { child_cells };
                self.routing
                    .add_claim(node.at, &map, form, interrupt_parent)?;
            }
        }
        // Where both are there, `interrupts-extended` counts (specification 2.4.1).
        let (property, form) = match (props.interrupts_extended, props.interrupts) {
            (Some(property), _) => (property, ClaimForm::Extended),
            (None, Some(property)) => (property, ClaimForm::List),
            (None, None) => return Ok(None),
        };
        self.routing
            .add_claim(node.at, &property, form, interrupt_parent)
            .map(Some)
    }

    fn note_cpu(&mut self, node: &Node<'a>, parent: &Scope) -> Result<(), DtError<'a>> {
        let mpidr = node.cpu_number(&self.blob, parent)?;
        if let (true, Some(reg)) = (mpidr & !MPIDR_AFFINITY != 0, node.props.reg) {
            let fault = ValueFault::NotOneOf("MPIDR_EL1's affinity fields 0xff00ffffff");
            return Err(node.malformed(&self.blob, reg, fault));
        }
        let status = match node.props.status.map(|status| status.text()) {
            None | Some(Ok("okay" | "ok")) => CpuStatus::Okay,
            Some(Ok("disabled")) => CpuStatus::Disabled,
            Some(_) => CpuStatus::Unusable,
        };
        let enable_method = node.props.enable_method.map(|method| match method.text() {
            Ok("psci") => EnableMethod::Psci,
            Ok("spin-table") => EnableMethod::SpinTable,
            _ => EnableMethod::Other,
        });
        let cpu = Cpu {
            mpidr,
            status,
            enable_method,
        };
        self.cpus
            .push(cpu)
            .map_err(|_| self.too_many(node.at, "CPUs", MAX_CPUS))
    }

    fn note_memory(&mut self, node: &Node<'a>, parent: &Scope) -> Result<(), DtError<'a>> {
        for region in node.regions(&self.blob, parent)?.flatten() {
            if !region.is_empty() {
                self.memory
                    .push(region)
                    .map_err(|_| self.too_many(node.at, "ranges of memory", MAX_MEMORY_REGIONS))?;
            }
        }
        Ok(())
    }

    fn note_reserved(&mut self, node: &Node<'a>, parent: &Scope) -> Result<(), DtError<'a>> {
        // Without `reg` it asks for memory anywhere, for a driver that Petrel does not have.
        if node.props.reg.is_none() {
            return Ok(());
        }
        for region in node.regions(&self.blob, parent)?.flatten() {
            self.reserve(node.at, region)?;
        }
        Ok(())
    }

    pub(super) fn reserve(&mut self, at: u32, region: Region) -> Result<(), DtError<'a>> {
        self.reserved
            .push(region)
            .map_err(|_| self.too_many(at, "reserved ranges", MAX_RESERVED_REGIONS))
    }

    fn note_device(
        &mut self,
        kind: Kind,
        node: &Node<'a>,
        parent: &Scope,
        claim: Option<ClaimIndex>,
    ) -> Result<(), DtError<'a>> {
        let blob = &self.blob;
        let device = claim
            .map(|claim| Device { at: node.at, claim })
            .ok_or(DtError::NoProperty {
                node: blob.path(node.at),
                property: "interrupts",
            });
        match kind {
            Kind::Gic => {
                self.only(node, self.gic.as_ref().map(|&(at, _)| at))?;
                self.gic = Some((node.at, read_gic(blob, node, parent)?));
            }
            Kind::GicV2 => {
                self.gic_v2.get_or_insert(node.at);
            }
            Kind::Timer => {
                self.only(node, self.timer.map(|timer| timer.at))?;
                check_timer_names(blob, node)?;
                self.timer = Some(device?);
            }
            Kind::Pmu => {
                self.only(node, self.pmu.map(|pmu| pmu.at))?;
                self.pmu = Some(device?);
            }
            Kind::Psci(version) => {
                self.only(node, self.psci.map(|(at, _)| at))?;
                let conduit = read_conduit(blob, node)?;
                self.psci = Some((node.at, Psci { conduit, version }));
            }
            Kind::Uart => {
                let [registers] = node.first_regions(blob, parent)?;
                self.uarts
                    .push((device?, registers))
                    .map_err(|_| self.too_many(node.at, "PL011s", MAX_UARTS))?;
            }
            Kind::VirtioMmio => {
                let [registers] = node.first_regions(blob, parent)?;
                self.virtio
                    .push((device?, registers))
                    .map_err(|_| self.too_many(node.at, "virtio-mmio slots", MAX_VIRTIO_SLOTS))?;
            }
        }
        Ok(())
    }

    /// Refuses a second node of a kind of which there may be one.
    fn only(&self, node: &Node<'a>, first: Option<u32>) -> Result<(), DtError<'a>> {
        match first {
            None => Ok(()),
            Some(first) => Err(DtError::Duplicate {
                node: self.blob.path(node.at),
                first: self.blob.path(first),
            }),
        }
    }

    fn too_many(&self, at: u32, what: &'static str, capacity: usize) -> DtError<'a> {
        DtError::TooMany {
            node: self.blob.path(at),
            what,
            capacity,
        }
    }
}

/// Binding `arm,gic-v3`: the distributor, then `#redistributor-regions` ranges of redistributors,
/// then perhaps the GICv2 compatibility frames.
fn read_gic<'a>(blob: &ValidBlob<'a>, node: &Node<'a>, parent: &Scope) -> Result<Gic, DtError<'a>> {
    let count = match node.props.redistributor_regions {
        Some(property) => node.cell(blob, property)? as usize,
        None => 1,
    };
    if count > MAX_REDISTRIBUTOR_REGIONS {
        return Err(DtError::TooMany {
            node: blob.path(node.at),
            what: "ranges of redistributors",
            capacity: MAX_REDISTRIBUTOR_REGIONS,
        });
    }
    let [distributor] = node.first_regions(blob, parent)?;
    let redistributors: Vec<Region, MAX_REDISTRIBUTOR_REGIONS> = node
        .regions(blob, parent)?
        .flatten()
        .skip(1)
        .take(count)
        .collect();
    if redistributors.is_empty() || redistributors.len() < count {
        let reg = node.require(blob, node.props.reg, "reg")?;
        let fault = ValueFault::TooFew {
            found: 1 + redistributors.len() as u32,
            needed: 1 + count.max(1) as u32,
        };
        return Err(node.malformed(blob, reg, fault));
    }
    let stride = node.props.redistributor_stride;
    Ok(Gic {
        distributor,
        redistributors,
        redistributor_stride: stride.map(|stride| node.number(blob, stride)).transpose()?,
        interrupt_cells: {
            let cells = node.props.interrupt_cells;
            node.cell(blob, node.require(blob, cells, "#interrupt-cells")?)?
        },
    })
}

/// Binding `arm,psci`: how the firmware is called.
fn read_conduit<'a>(blob: &ValidBlob<'a>, node: &Node<'a>) -> Result<Conduit, DtError<'a>> {
    let method = node.require(blob, node.props.method, "method")?;
    match method.text() {
        Ok("hvc") => Ok(Conduit::Hvc),
        Ok("smc") => Ok(Conduit::Smc),
        _ => {
            let fault = ValueFault::NotOneOf("\"hvc\", \"smc\"");
            Err(node.malformed(blob, method, fault))
        }
    }
}

/// Binding `arm,armv8-timer`: a tree may leave the secure timer out, but must then name the
/// interrupts that are there. Their order would be another one.
fn check_timer_names<'a>(blob: &ValidBlob<'a>, node: &Node<'a>) -> Result<(), DtError<'a>> {
    match node.props.interrupt_names {
        Some(names) if names.texts().next() != Some("sec-phys") => {
            let fault = ValueFault::NotOneOf("a list that begins with \"sec-phys\"");
            Err(node.malformed(blob, names, fault))
        }
        _ => Ok(()),
    }
}
