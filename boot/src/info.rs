//! All that the kernel wants to know of the device tree, from one walk.
//!
//! Looking a node up in a flattened tree means reading the tree from its start, so a kernel that
//! asks for its devices one by one reads it a dozen times. Here it is read once: each node is
//! looked at when its properties are complete, what matters of it is noted, and only what cannot
//! be judged on the way (an interrupt number means nothing before its controller is known, which
//! may stand anywhere in the tree) is settled from those notes at the end.
//!
//! Nothing is guessed and nothing is dropped: a node that is needed and not there, says something
//! unexpected, or is one too many for the room there is, gives a [`DtError`] that names it. What
//! the kernel can do without is an `Option`.
//!
//! Sources: Devicetree Specification v0.4 chapters 2 and 3; the bindings `arm,gic-v3`,
//! `arm,armv8-timer`, `arm,pl011`, `arm,psci`, `arm,pmu`, `arm/cpus` and `virtio,mmio` of the Linux
//! tree (`Documentation/devicetree/bindings`).

mod collect;
mod intid;
mod node;
mod routing;
mod settle;

pub use intid::{Intid, Line, SPI_COUNT, SpiSet, Trigger};

use crate::Region;
use crate::dt::{DtError, ValidBlob};
use heapless::Vec;

/// Room for ranges of RAM.
pub const MAX_MEMORY_REGIONS: usize = 32;
/// Room for reserved ranges.
pub const MAX_RESERVED_REGIONS: usize = 32;
/// Room for CPUs. QEMU's `virt` has a GICv3 for 123 (512 with high memory).
pub const MAX_CPUS: usize = 128;
/// Room for ranges of redistributors.
pub const MAX_REDISTRIBUTOR_REGIONS: usize = 8;
/// Room for virtio-mmio slots. QEMU's `virt` has 32.
pub const MAX_VIRTIO_SLOTS: usize = 32;

/// What the boot protocol hands over, read and judged. Physical addresses throughout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootInfo<'a> {
    /// RAM, as the tree lists it: in any order, and not yet without what is reserved
    /// ([`crate::memory::plan`] does that).
    pub memory: Vec<Region, MAX_MEMORY_REGIONS>,
    /// What must not be used: the memory reservation block, then the children of
    /// `/reserved-memory`.
    pub reserved: Vec<Region, MAX_RESERVED_REGIONS>,
    /// The CPUs, in the tree's order.
    pub cpus: Vec<Cpu, MAX_CPUS>,
    /// The interrupt controller.
    pub gic: Gic,
    /// The generic timer's interrupts.
    pub timer: Timer,
    /// The console.
    pub uart: Uart,
    /// How to call the firmware; `None` when there is none (QEMU at EL3).
    pub psci: Option<Psci>,
    /// The overflow interrupt of the PMU, a PPI.
    pub pmu: Option<Line>,
    /// The boot arguments (`/chosen/bootargs`); empty when there are none.
    pub bootargs: &'a str,
    /// The init image.
    pub initrd: Option<Region>,
    /// virtio-mmio slots, by rising address. A slot may well be empty: its registers tell.
    pub virtio: Vec<VirtioMmio, MAX_VIRTIO_SLOTS>,
    /// SPIs that any node claims, enabled or not.
    pub claimed_spis: SpiSet,
}

impl<'a> BootInfo<'a> {
    /// Walks the tree and collects.
    ///
    /// # Errors
    /// [`DtError`]; its `Display` is one line for the person at the console.
    pub fn collect(blob: &ValidBlob<'a>) -> Result<Self, DtError<'a>> {
        collect::collect(blob)
    }

    /// SPIs that no node claims, of the `implemented` ones that the distributor has
    /// (`32 * GICD_TYPER.ITLinesNumber`, IHI 0069 12.9.38, minus what is beyond INTID 1019): free to
    /// be made pending by software. Take them from the back: a device that the tree keeps quiet
    /// about is more likely in front.
    pub fn spare_spis(&self, implemented: u32) -> impl DoubleEndedIterator<Item = Intid> + '_ {
        self.claimed_spis.absent(implemented)
    }
}

/// What the machine calls itself (`/model`), for the first line on the console. Read by crate `fdt`,
/// which is safe here: the blob is valid, and only the root's own properties are looked at.
pub fn model<'a>(blob: &ValidBlob<'a>) -> Option<&'a str> {
    let tree = fdt::Fdt::new(blob.bytes()).ok()?;
    tree.find_node("/")?.property("model")?.as_str()
}

/// One CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Affinity fields of its MPIDR_EL1 (Aff3 in bits 39:32, Aff2..Aff0 in bits 23:0), other bits 0.
    pub mpidr: u64,
    /// Whether it may be brought up.
    pub status: CpuStatus,
    /// How it is brought up; `None` where the tree does not say, as QEMU for a single CPU.
    pub enable_method: Option<EnableMethod>,
}

/// Whether a CPU may be brought up (specification 3.8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuStatus {
    /// It may.
    Okay,
    /// It is there, and off.
    Disabled,
    /// It is broken, or reserved for somebody else.
    Unusable,
}

/// How a CPU is brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnableMethod {
    /// PSCI CPU_ON.
    Psci,
    /// It spins until an address is written. Petrel does not do that.
    SpinTable,
    /// Something else that Petrel does not do.
    Other,
}

/// The GICv3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gic {
    /// Distributor registers.
    pub distributor: Region,
    /// Ranges of redistributor frames.
    pub redistributors: Vec<Region, MAX_REDISTRIBUTOR_REGIONS>,
    /// Bytes from one redistributor to the next, where it is not what GICR_TYPER.VLPIS implies
    /// (IHI 0069 12.10).
    pub redistributor_stride: Option<u64>,
    /// Cells of an interrupt specifier: 3, or 4 with a partition.
    pub interrupt_cells: u32,
}

/// The four interrupts of the generic timer, all PPIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Secure EL1 physical timer.
    pub secure_physical: Line,
    /// Non-secure EL1 physical timer (CNTP).
    pub physical: Line,
    /// Virtual timer (CNTV).
    pub virtual_: Line,
    /// Non-secure EL2 physical timer.
    pub hypervisor: Line,
}

/// A PL011.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uart {
    /// Its registers.
    pub registers: Region,
    /// Its interrupt.
    pub line: Line,
}

/// The firmware's power interface (DEN 0022).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Psci {
    /// How it is called.
    pub conduit: Conduit,
    /// What it promises to be at least.
    pub version: PsciVersion,
}

/// The instruction that reaches the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `hvc #0`
    Hvc,
    /// `smc #0`
    Smc,
}

/// The newest PSCI version that the node names. Ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PsciVersion {
    /// `arm,psci`: before function numbers were fixed; they stand in the node. Petrel cannot use
    /// it, but says so better when it knows.
    V0_1,
    /// `arm,psci-0.2`
    V0_2,
    /// `arm,psci-1.0`
    V1_0,
}

/// One virtio-mmio slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtioMmio {
    /// Its registers.
    pub registers: Region,
    /// Its interrupt.
    pub line: Line,
}
