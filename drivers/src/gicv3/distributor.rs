//! The distributor: everything about shared interrupts, set up once by the CPU that boots.
//!
//! Firmware may hand the distributor over in any state. The order below makes sure that nothing
//! half-configured is ever signalled: groups off, affinity routing on (which may only change while
//! they are off, IHI 0069, GICD_CTLR), every line reset, every line routed, and only then the groups
//! on. Lines themselves stay disabled until somebody owns them.
//!
//! **Bits of `GICD_CTLR`.** Seen from non-secure EL1 of a GIC with two security states, and seen in
//! a GIC with one, the bits that we need sit at the same places: 4 is affinity routing for us, 1 is
//! Group 1 for us, 31 is RWP; 0 is Group 0 where it is ours. `arm-gic` names them after a third
//! view, the secure one, where 4 is `ARE_S` and 5 `ARE_NS`: its names are not used for them.
//!
//! `arm-gic` supplies the register block, the type register's fields and the single-line
//! configuration (group, trigger, route). Its control-register methods wait without bound and its
//! default set-up chooses other priorities, so these are ours.

use super::{
    error::{Frame, GicError},
    lines::Lines,
    types::{Class, Group, Groups, IntId, SPI_START, Security, Trigger},
};
use crate::{affinity::Affinity, mmio::Register};
use arm_gic::{
    UniqueMmioPointer,
    gicv3::{self, GicDistributor, SecureIntGroup, registers::Gicd},
};
use core::{mem::offset_of, ptr::NonNull};

/// `GICD_CTLR`, as a non-secure EL1, or a GIC with one security state, sees it.
mod ctlr {
    pub(super) const ENABLE_GROUP0: u32 = 1 << 0;
    pub(super) const ENABLE_GROUP1: u32 = 1 << 1;
    pub(super) const AFFINITY_ROUTING: u32 = 1 << 4;
    pub(super) const ONE_SECURITY_STATE: u32 = 1 << 6;
    pub(super) const WRITE_PENDING: u32 = 1 << 31;
}

const ROUTER: usize = offset_of!(Gicd, irouter);
// IHI 0069, distributor register map: the router of INTID 32 is at 0x6100, the identification at 0xffe8.
const _: () = assert!(ROUTER == 0x6100 && offset_of!(Gicd, pidr2) == 0xffe8);

/// The set-up half of the distributor; [`Distributor::lines`] is the run-time half.
pub struct Distributor {
    registers: NonNull<Gicd>,
    lines: Lines,
    groups: Groups,
}

impl Distributor {
    /// The distributor at `registers`, as firmware left it.
    ///
    /// # Errors
    ///
    /// [`GicError::WrongRevision`] if that is no GICv3 or GICv4 distributor.
    ///
    /// # Safety
    ///
    /// `registers` is a distributor frame mapped as Device memory for good, and nothing but this
    /// value and what comes from it accesses the frame.
    pub(super) unsafe fn new(registers: NonNull<Gicd>) -> Result<Self, GicError> {
        // SAFETY: the caller gives exclusive access, and the pointer ends with this statement.
        let probe = GicDistributor::new(unsafe { UniqueMmioPointer::new(registers) });
        let revision = probe.pidr2().arch_rev();
        if !matches!(revision, 3 | 4) {
            return Err(GicError::WrongRevision {
                region: None,
                revision,
            });
        }
        let intids = SPI_START..SPI_START + probe.typer().num_spis();
        // SAFETY: the frame is a distributor, so its control register is at its start; reading it
        // has no effect, and only set-up writes it.
        let control = unsafe { Register::new(registers.cast()) };
        let frame = Frame::Distributor;
        // SAFETY: as above; the type register says that these SPIs are implemented.
        let lines = unsafe {
            Lines::new(
                frame,
                registers.cast(),
                control,
                ctlr::WRITE_PENDING,
                intids,
            )
        };
        Ok(Self {
            registers,
            lines,
            groups: Groups::ALL_IRQ,
        })
    }

    /// Resets everything, and routes every SPI to `route_to`: no line is enabled when it returns,
    /// all are ordinary and level-triggered, and both groups in use are on.
    ///
    /// Called once, by the CPU that boots, before any CPU interface is on.
    ///
    /// # Errors
    ///
    /// [`GicError::Group0NotOurs`], [`GicError::NoAffinityRouting`], [`GicError::Stuck`].
    pub fn init(&mut self, groups: Groups, route_to: Affinity) -> Result<(), GicError> {
        if groups.use_group0() && self.security() == Security::TwoStates {
            return Err(GicError::Group0NotOurs);
        }
        self.groups = groups;
        let off = self.control().read() & !(ctlr::ENABLE_GROUP0 | ctlr::ENABLE_GROUP1);
        self.write_control(off)?;
        self.write_control(off | ctlr::AFFINITY_ROUTING)?;
        if self.control().read() & ctlr::AFFINITY_ROUTING == 0 {
            return Err(GicError::NoAffinityRouting);
        }
        self.arm_gic().enable_all_interrupts(false); // the extended SPIs too, which stay so
        self.lines.reset(group_word(groups.ordinary))?;
        self.route_all(route_to);
        let group0 = if groups.use_group0() {
            ctlr::ENABLE_GROUP0
        } else {
            0
        };
        self.write_control(off | ctlr::AFFINITY_ROUTING | ctlr::ENABLE_GROUP1 | group0)
    }

    /// Gives a line its class (priority and group) and its trigger, and leaves it disabled.
    ///
    /// # Errors
    ///
    /// [`GicError::NoSuchLine`]; [`GicError::Stuck`] if the line cannot be disabled.
    pub fn configure(
        &mut self,
        interrupt: IntId,
        class: Class,
        trigger: Trigger,
    ) -> Result<(), GicError> {
        let line = self.lines.line(interrupt)?;
        line.disable();
        self.lines.settle()?;
        line.set_priority(class);
        let group = self.groups.of(class);
        let refused = GicError::NoSuchLine {
            frame: Frame::Distributor,
            interrupt,
        };
        let id = interrupt.for_arm_gic().ok_or(refused)?;
        let mut arm_gic = self.arm_gic();
        arm_gic
            .set_group(id, arm_gic_group(group))
            .map_err(|_| refused)?;
        arm_gic
            .set_trigger(id, arm_gic_trigger(trigger))
            .map_err(|_| refused)
    }

    /// Routes a line to one CPU. Takes effect for interrupts that become pending afterwards.
    ///
    /// # Errors
    ///
    /// [`GicError::NoSuchLine`].
    pub fn route(&mut self, interrupt: IntId, to: Affinity) -> Result<(), GicError> {
        self.lines.line(interrupt)?;
        let refused = GicError::NoSuchLine {
            frame: Frame::Distributor,
            interrupt,
        };
        let id = interrupt.for_arm_gic().ok_or(refused)?;
        self.arm_gic()
            .set_routing(id, Some(to.mpidr()))
            .map_err(|_| refused)
    }

    /// The run-time handle to the SPIs.
    pub const fn lines(&self) -> Lines {
        self.lines
    }

    /// How many shared interrupts are implemented (`GICD_TYPER.ITLinesNumber`).
    pub const fn spi_count(&self) -> u32 {
        let intids = self.lines.intids();
        intids.end - intids.start
    }

    /// The groups that [`Distributor::init`] was given.
    pub const fn groups(&self) -> Groups {
        self.groups
    }

    /// How many security states the GIC shows us.
    pub fn security(&self) -> Security {
        if self.control().read() & ctlr::ONE_SECURITY_STATE != 0 {
            Security::OneState
        } else {
            Security::TwoStates
        }
    }

    fn control(&self) -> Register<u32> {
        // SAFETY: `new` was promised a distributor frame; this is its first register.
        unsafe { Register::new(self.registers.cast()) }
    }

    fn write_control(&mut self, value: u32) -> Result<(), GicError> {
        self.control().write(value);
        self.lines.settle()
    }

    /// One 64-bit store for each SPI; `GICD_IROUTER<n>` has the layout of MPIDR_EL1.
    fn route_all(&mut self, to: Affinity) {
        for spi in 0..self.spi_count() as usize {
            // SAFETY: the router of an implemented SPI, within the frame that `new` was promised.
            let router: Register<u64> =
                unsafe { Register::new(self.registers.cast::<u8>().add(ROUTER + 8 * spi).cast()) };
            router.write(to.mpidr());
        }
    }

    /// `arm-gic`'s driver for the same frame, for the length of one call.
    fn arm_gic(&mut self) -> GicDistributor<'_> {
        // SAFETY: `new` was promised a distributor frame that only we access. `&mut self` keeps out all
        // but `Lines`, whose registers nothing called here touches (group, trigger, route), or only
        // through write-1-to-clear (disable-all).
        GicDistributor::new(unsafe { UniqueMmioPointer::new(self.registers) })
    }
}

// SAFETY: the distributor is the same device from every CPU.
unsafe impl Send for Distributor {}

/// The group registers' word for 32 lines in `group`.
pub(super) const fn group_word(group: Group) -> u32 {
    match group {
        Group::Zero => 0,
        Group::One => u32::MAX,
    }
}

/// `arm-gic` names groups from the secure world. Its Non-secure Group 1 sets the bit in IGROUPR and
/// its Secure Group 0 clears it: our One and Zero.
pub(super) const fn arm_gic_group(group: Group) -> gicv3::Group {
    match group {
        Group::Zero => gicv3::Group::Secure(SecureIntGroup::Group0),
        Group::One => gicv3::Group::Group1NS,
    }
}

pub(super) const fn arm_gic_trigger(trigger: Trigger) -> arm_gic::Trigger {
    match trigger {
        Trigger::Level => arm_gic::Trigger::Level,
        Trigger::Edge => arm_gic::Trigger::Edge,
    }
}
