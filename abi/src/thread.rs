//! Threads: how one is made, and its registers.

/// What a new thread is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct ThreadStart {
    /// Its first instruction.
    pub entry: u64,
    /// Its SP, a multiple of 16.
    pub stack: u64,
    /// Its `x0`.
    pub argument: u64,
    /// Its `TPIDR_EL0`.
    pub tls: u64,
    /// 0 to 31; at most the creator's own. Larger is more urgent.
    pub priority: u32,
    /// [`USES_FP`] or 0.
    pub flags: u32,
    /// The CPUs it may run on, bit n for CPU n. 0: all.
    pub cpus: [u64; 2],
}

/// The thread may use FP and SIMD registers; they are kept for it at each switch.
pub const USES_FP: u32 = 1 << 0;

/// The registers of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Registers {
    /// x0 to x30.
    pub x: [u64; 31],
    /// SP.
    pub sp: u64,
    /// PC.
    pub pc: u64,
    /// The flags, N, Z, C, V in bits 31 to 28. Others read as they are and are not written.
    pub pstate: u64,
    /// `TPIDR_EL0`.
    pub tls: u64,
}

const _: () = {
    assert!(size_of::<ThreadStart>() == 56);
    assert!(size_of::<Registers>() == 280);
};
