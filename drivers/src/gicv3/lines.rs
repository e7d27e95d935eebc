//! The run-time half of the distributor and of a redistributor: what may be done to one interrupt
//! line at any moment, from any CPU, in any context.
//!
//! Enable and pending state have a register to set and one to clear, in which a 0 bit means "leave
//! alone"; a priority is a byte of its own (IHI 0069, 12.1.3). So every operation is one
//! store that cannot undo another CPU's, an NMI handler may do it in the middle of the same
//! operation, and no lock exists that it could want. What would need a read-modify-write (group,
//! trigger) is not here: it belongs to set-up.
//!
//! Both kinds of frame lay these registers out alike, with one bit (or byte) per INTID counted from
//! 0; the asserts below hold `arm-gic`'s two register blocks to that, and one piece of code serves
//! both.

use super::{
    error::{Frame, GicError, Step},
    types::{Class, IntId},
};
use crate::{barrier, mmio::Register, wait};
use arm_gic::gicv3::registers::{Gicd, Sgi};
use core::{mem::offset_of, ops::Range, ptr::NonNull};

/// The lines of one frame: the SPIs, or the SGIs and PPIs of one CPU. A handle to be copied to
/// wherever it is needed.
#[derive(Clone, Copy)]
pub struct Lines {
    frame: Frame,
    /// Start of the block with the per-interrupt registers.
    registers: NonNull<u8>,
    control: Register<u32>,
    /// The bit of `control` that says a disable is still on its way.
    write_pending: u32,
    first: u32,
    end: u32,
}

// SAFETY: every run-time operation is a single access to a device register, which the hardware takes
// from any CPU at any time; `new` was promised that the registers stay mapped.
unsafe impl Send for Lines {}
// SAFETY: as above.
unsafe impl Sync for Lines {}

/// Offsets of the first register of each array. One bit per interrupt, except the priorities.
mod offset {
    use super::{Gicd, Sgi, offset_of};

    macro_rules! same_in_both {
        ($($name:ident = $field:ident;)*) => {
            $(
                pub(super) const $name: usize = offset_of!(Gicd, $field);
                const _: () = assert!($name == offset_of!(Sgi, $field));
            )*
        };
    }

    same_in_both! {
        GROUP = igroupr;
        SET_ENABLE = isenabler;
        CLEAR_ENABLE = icenabler;
        SET_PENDING = ispendr;
        CLEAR_PENDING = icpendr;
        SET_ACTIVE = isactiver;
        CLEAR_ACTIVE = icactiver;
        PRIORITY = ipriorityr;
        TRIGGER = icfgr;
    }
}

impl Lines {
    /// The lines `intids` of the frame whose per-interrupt registers start at `registers`.
    ///
    /// # Safety
    ///
    /// `registers` is the start of a `Gicd` or `Sgi` block mapped as Device memory for good,
    /// `control` its control register, and it implements `intids`.
    pub(super) const unsafe fn new(
        frame: Frame,
        registers: NonNull<u8>,
        control: Register<u32>,
        write_pending: u32,
        intids: Range<u32>,
    ) -> Self {
        Self {
            frame,
            registers,
            control,
            write_pending,
            first: intids.start,
            end: intids.end,
        }
    }

    /// The INTIDs that are lines of this frame.
    pub const fn intids(&self) -> Range<u32> {
        self.first..self.end
    }

    /// The handle to one interrupt line.
    ///
    /// # Errors
    ///
    /// [`GicError::NoSuchLine`] if the interrupt is not a line of this frame.
    pub fn line(&self, interrupt: IntId) -> Result<Line, GicError> {
        let intid = interrupt.raw();
        if !self.intids().contains(&intid) {
            return Err(GicError::NoSuchLine {
                frame: self.frame,
                interrupt,
            });
        }
        // SAFETY: both stay inside the block that `new` was promised, as `intid` is a line of it.
        let (word, priority) = unsafe {
            let word = self.registers.add(4 * (intid as usize / 32));
            let priority = self.registers.add(offset::PRIORITY + intid as usize);
            (word, Register::new(priority))
        };
        Ok(Line {
            word,
            mask: 1 << (intid % 32),
            priority,
            interrupt,
        })
    }

    /// Waits, for a bounded time, until disables made before are in effect everywhere (`CTLR.RWP`,
    /// IHI 0069, GICD_CTLR and GICR_CTLR).
    ///
    /// # Errors
    ///
    /// [`GicError::Stuck`] if the hardware does not say so.
    pub fn settle(&self) -> Result<(), GicError> {
        wait::poll_until(|| self.control.read() & self.write_pending == 0).map_err(|_| {
            GicError::Stuck {
                frame: self.frame,
                step: Step::RegisterWrite,
            }
        })
    }

    /// Set-up: every line disabled and idle, in the group of which `groups` has all-ones (1) or
    /// zeros (0), at the priority of ordinary interrupts, level-triggered. Leaves the enabling to
    /// whoever owns a line.
    pub(super) fn reset(&mut self, groups: u32) -> Result<(), GicError> {
        self.fill(offset::CLEAR_ENABLE, 1, u32::MAX);
        self.settle()?;
        self.fill(offset::CLEAR_PENDING, 1, u32::MAX);
        self.fill(offset::CLEAR_ACTIVE, 1, u32::MAX);
        self.fill(offset::GROUP, 1, groups);
        self.fill(
            offset::PRIORITY,
            8,
            u32::from_le_bytes([Class::Ordinary.priority(); 4]),
        );
        // Writes to the configuration of SGIs, which are edge-triggered by nature, are ignored.
        self.fill(offset::TRIGGER, 2, 0);
        Ok(())
    }

    /// Writes `word` to each register of an array with `bits` per interrupt that holds our lines.
    fn fill(&mut self, array: usize, bits: u32, word: u32) {
        for index in self.first * bits / 32..(self.end * bits).div_ceil(32) {
            // SAFETY: a register of implemented lines, inside the block that `new` was promised.
            let register: Register<u32> =
                unsafe { Register::new(self.registers.add(array + 4 * index as usize).cast()) };
            register.write(word);
        }
    }
}

/// One interrupt line. Checked when it was made, so that what is done to it cannot fail; each
/// operation is a single access, lock-free, and fit for every exception context.
#[derive(Clone, Copy)]
pub struct Line {
    /// Start of the block of registers, advanced by the line's word index: the line's word of each
    /// one-bit array is at that array's offset from here.
    word: NonNull<u8>,
    mask: u32,
    priority: Register<u8>,
    interrupt: IntId,
}

// SAFETY: as for `Lines`.
unsafe impl Send for Line {}
// SAFETY: as for `Lines`.
unsafe impl Sync for Line {}

impl Line {
    /// Which interrupt it is.
    pub const fn interrupt(&self) -> IntId {
        self.interrupt
    }

    /// Lets the interrupt be signalled. Stores made before are visible to its handler.
    #[inline]
    pub fn enable(&self) {
        barrier::publish_stores();
        self.write_one(offset::SET_ENABLE);
    }

    /// Keeps the interrupt from being signalled; it may still become pending. It can arrive until
    /// [`Lines::settle`] has returned.
    #[inline]
    pub fn disable(&self) {
        self.write_one(offset::CLEAR_ENABLE);
    }

    /// Whether the interrupt is enabled.
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.bit(offset::SET_ENABLE)
    }

    /// Makes the interrupt pending, as if its line had risen: an edge-triggered one once, a
    /// level-triggered one until [`Line::clear_pending`]. Stores made before are visible to its
    /// handler; when this returns, the GIC knows, and on the CPU it is routed to it is taken at
    /// once if the masks allow.
    #[inline]
    pub fn set_pending(&self) {
        barrier::publish_stores();
        self.write_one(offset::SET_PENDING);
        barrier::complete_accesses();
    }

    /// Takes back a pending state that software or an edge set. An asserted level keeps it pending.
    #[inline]
    pub fn clear_pending(&self) {
        self.write_one(offset::CLEAR_PENDING);
    }

    /// Whether the interrupt is pending (and may be active too).
    #[inline]
    pub fn is_pending(&self) -> bool {
        self.bit(offset::SET_PENDING)
    }

    /// Whether the interrupt was acknowledged and not yet deactivated.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.bit(offset::SET_ACTIVE)
    }

    /// Gives the interrupt the priority of `class`; its group stays. A pending interrupt may be
    /// signalled with the old one still; disable and settle first if that matters.
    #[inline]
    pub fn set_priority(&self, class: Class) {
        self.priority.write(class.priority());
    }

    /// The priority stored for the interrupt, as the GIC shows it to us: with unimplemented low
    /// bits, or with `GICD_CTLR.DS` = 0, it can differ from what was written.
    #[inline]
    pub fn priority(&self) -> u8 {
        self.priority.read()
    }

    #[inline]
    fn write_one(&self, array: usize) {
        self.register(array).write(self.mask);
    }

    #[inline]
    fn bit(&self, array: usize) -> bool {
        self.register(array).read() & self.mask != 0
    }

    #[inline]
    fn register(&self, array: usize) -> Register<u32> {
        // SAFETY: `array` is one of the one-bit arrays in `offset`, and `Lines::line` has advanced
        // `word` by an index that is implemented; see the essay for why any write is harmless.
        unsafe { Register::new(self.word.add(array).cast()) }
    }
}
