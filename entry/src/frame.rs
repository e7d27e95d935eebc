//! The frame: what a vector saves of the interrupted code.

use cpu::context::Interrupted;
use cpu::machine::Machine;
use cpu::mask::{MaskState, daif};
use cpu::priority::PMR_ON;

/// Registers of the interrupted code, as the vector's assembly lays them on the stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Frame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// SP before the exception; `SP_EL0` if it came from EL0.
    pub sp: u64,
    /// Where the interrupted code goes on.
    pub elr: u64,
    /// PSTATE of the interrupted code.
    pub spsr: u64,
    /// `ICC_PMR_EL1` of the interrupted code.
    pub pmr: u64,
    /// `CNTVCT_EL0` at the vector, [`STAMP_INSTRUCTIONS`] after its first instruction. Not written
    /// by a system call.
    pub when: u64,
    /// A frame record (AAPCS64, 6.4.6), so that a backtrace goes on into the interrupted code. Not
    /// written on entry from EL0, where a backtrace ends.
    pub record: [u64; 2],
}

/// How many instructions a vector executes before it reads the counter.
pub const STAMP_INSTRUCTIONS: u64 = 6;

impl Frame {
    /// Of a program that begins at `entry`, on `stack`, with `argument`: EL0, nothing masked, all other
    /// registers 0.
    pub fn for_user(entry: u64, stack: u64, argument: u64) -> Self {
        let mut frame = Self {
            sp: stack,
            elr: entry,
            pmr: u64::from(PMR_ON),
            ..Self::default()
        };
        frame.x[0] = argument;
        frame
    }

    /// DAIF and PMR of the interrupted code.
    #[inline(always)]
    pub fn masks(&self) -> MaskState {
        MaskState::new(self.spsr as u32, self.pmr as u8)
    }

    /// The context of the interrupted code; `None` if its masks belong to none.
    #[inline(always)]
    pub fn interrupted<M: Machine>(&self) -> Option<Interrupted> {
        Interrupted::new(M::MECHANISM, self.masks())
    }

    /// Whether it is of a program: AArch64 EL0 with nothing masked, and PMR on.
    #[inline(always)]
    pub fn is_el0(&self) -> bool {
        const MODE: u64 = 0b1_1111;
        let masked = self.spsr & (MODE | u64::from(daif::ALL));
        masked | (self.pmr ^ u64::from(PMR_ON)) == 0
    }
}
