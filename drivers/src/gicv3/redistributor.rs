//! A redistributor: what one CPU has to itself, its SGIs and PPIs and the link to its CPU interface.
//!
//! Redistributors lie in one or more regions, in an order that need not be that of the CPUs; the
//! only sure way to a CPU's own is to look for its affinity in `GICR_TYPER` (IHI 0069).
//! A frame takes 128 KiB, or 256 KiB where it has virtual LPIs (GICv4), unless the device tree
//! gives a stride. A region ends with its length or with the frame that says it is the last,
//! whichever comes first: a wrong length must not lead into somebody else's registers.
//!
//! `arm-gic` supplies the register blocks, the type register's fields and the single-line
//! configuration. Its iterator knows one region without an end, and its waits have no bound: the
//! walk, the wake-up and the reset are ours.

use super::{
    distributor::{arm_gic_group, arm_gic_trigger, group_word},
    error::{Frame, GicError, Step},
    lines::Lines,
    types::{Class, Groups, IntId, SPI_START, Trigger},
};
use crate::{affinity::Affinity, mmio::Register, wait};
use arm_gic::{
    UniqueMmioPointer,
    gicv3::{
        GicRedistributor,
        registers::{Gicr, GicrCtlr, GicrSgi, Waker},
    },
};
use core::{marker::PhantomData, mem::offset_of, num::NonZeroUsize, ptr::NonNull};

/// A range of redistributor frames, as a device tree's GIC node gives it.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Where the kernel has mapped the first frame.
    pub base: NonNull<u8>,
    /// How long the region is.
    pub len_bytes: usize,
    /// From one frame to the next (`redistributor-stride`); `None`: what the architecture says.
    pub stride_bytes: Option<NonZeroUsize>,
}

const FRAME_BYTES: usize = size_of::<GicrSgi>();
/// With virtual LPIs, two more 64 KiB pages follow (IHI 0069, 12.10).
const FRAME_BYTES_VLPI: usize = 2 * FRAME_BYTES;
const _: () = assert!(FRAME_BYTES == 0x2_0000 && offset_of!(GicrSgi, sgi) == 0x1_0000);
const _: () = assert!(offset_of!(Gicr, waker) == 0x14 && offset_of!(Gicr, pidr2) == 0xffe8);

/// The frame of the CPU `affinity` in `regions`.
///
/// # Safety
///
/// Each region is mapped as Device memory, and nothing else accesses it meanwhile except through
/// [`Lines`].
pub(super) unsafe fn find(
    regions: &[Option<Region>],
    affinity: Affinity,
) -> Result<NonNull<GicrSgi>, GicError> {
    for (index, region) in regions.iter().flatten().enumerate() {
        let mut offset_bytes = 0;
        while offset_bytes + FRAME_BYTES <= region.len_bytes {
            // SAFETY: the frame lies in the region by the loop's condition.
            let registers = unsafe { region.base.add(offset_bytes).cast() };
            // SAFETY: the caller keeps others out; `Lines` never touches what is read here.
            let frame = GicRedistributor::new(unsafe { UniqueMmioPointer::new(registers) });
            let revision = frame.pidr2().arch_rev();
            if !matches!(revision, 3 | 4) {
                return Err(GicError::WrongRevision {
                    region: Some(index),
                    revision,
                });
            }
            let typer = frame.typer();
            if typer.core_mpidr() == affinity.mpidr() {
                return Ok(registers);
            }
            if typer.last_redistributor() {
                break;
            }
            offset_bytes += match region.stride_bytes {
                Some(stride_bytes) => stride_bytes.get(),
                None if typer.virtual_lpis_supported() => FRAME_BYTES_VLPI,
                None => FRAME_BYTES,
            };
        }
    }
    Err(GicError::NoRedistributor(affinity))
}

/// The set-up half of one CPU's redistributor; [`Redistributor::lines`] is the run-time half. It
/// borrows the [`super::Gic`], so that there is never a second one for the same frame.
pub struct Redistributor<'gic> {
    affinity: Affinity,
    registers: NonNull<GicrSgi>,
    lines: Lines,
    groups: Groups,
    gic: PhantomData<&'gic mut super::Gic>,
}

impl Redistributor<'_> {
    /// The redistributor of `affinity` at `registers`, as it was left.
    ///
    /// # Safety
    ///
    /// `registers` is a redistributor frame mapped as Device memory for good, and nothing accesses
    /// it during `'gic` except this value and [`Lines`].
    pub(super) unsafe fn new(
        affinity: Affinity,
        registers: NonNull<GicrSgi>,
        groups: Groups,
    ) -> Self {
        // SAFETY: GICR_CTLR is the first register of the frame; only set-up writes it.
        let control = unsafe { Register::new(registers.cast()) };
        // SAFETY: the block of per-interrupt registers is the second page of the frame, and every
        // redistributor implements INTIDs 0 to 31.
        let lines = unsafe {
            Lines::new(
                Frame::Redistributor(affinity),
                registers.cast::<u8>().add(offset_of!(GicrSgi, sgi)),
                control,
                GicrCtlr::RWP.bits(),
                0..SPI_START,
            )
        };
        Self {
            affinity,
            registers,
            lines,
            groups,
            gic: PhantomData,
        }
    }

    /// Wakes the redistributor and resets its lines: none is enabled when it returns, and all are
    /// ordinary. PPIs are level-triggered.
    ///
    /// Called once per CPU, by that CPU or for it, before its CPU interface is on.
    ///
    /// # Errors
    ///
    /// [`GicError::Stuck`].
    pub fn init(&mut self) -> Result<(), GicError> {
        self.wake()?;
        self.arm_gic().enable_all_interrupts(false); // the extended PPIs too, which stay so
        self.lines.reset(group_word(self.groups.ordinary))?;
        self.lines.settle()
    }

    /// Gives a line its class (priority and group) and its trigger, and leaves it disabled. An SGI
    /// is edge-triggered whatever is asked.
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
        let frame = Frame::Redistributor(self.affinity);
        let refused = GicError::NoSuchLine { frame, interrupt };
        let id = interrupt.for_arm_gic().ok_or(refused)?;
        let mut arm_gic = self.arm_gic();
        arm_gic
            .set_group(id, arm_gic_group(group))
            .map_err(|_| refused)?;
        arm_gic
            .set_trigger(id, arm_gic_trigger(trigger))
            .map_err(|_| refused)
    }

    /// The run-time handle to this CPU's SGIs and PPIs, good for ever and on every CPU.
    pub const fn lines(&self) -> Lines {
        self.lines
    }

    /// The CPU it belongs to.
    pub const fn affinity(&self) -> Affinity {
        self.affinity
    }

    /// Tells the redistributor that its CPU is awake, and waits until it agrees (IHI 0069,
    /// GICR_WAKER). Where firmware keeps `GICR_WAKER` to itself it reads 0, and nothing is done.
    fn wake(&mut self) -> Result<(), GicError> {
        // SAFETY: inside the frame that `new` was promised.
        let waker: Register<u32> = unsafe {
            let offset_bytes = offset_of!(GicrSgi, gicr) + offset_of!(Gicr, waker);
            Register::new(self.registers.cast::<u8>().add(offset_bytes).cast())
        };
        waker.write(waker.read() & !Waker::PROCESSOR_SLEEP.bits());
        wait::poll_until(|| waker.read() & Waker::CHILDREN_ASLEEP.bits() == 0).map_err(|_| {
            GicError::Stuck {
                frame: Frame::Redistributor(self.affinity),
                step: Step::Wake,
            }
        })
    }

    /// `arm-gic`'s driver for the same frame, for the length of one call.
    fn arm_gic(&mut self) -> GicRedistributor<'_> {
        // SAFETY: `new` was promised that only we and `Lines` access the frame, and what is called
        // here (group, trigger, disable-all) touches no register that a `Lines` writes, except
        // disable-all's, which are write-1-to-clear.
        GicRedistributor::new(unsafe { UniqueMmioPointer::new(self.registers) })
    }
}
