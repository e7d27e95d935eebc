//! What the entry layer asks of a CPU.
//!
//! One trait, two machines: the real CPU and the model. All functions are static, since a machine is
//! always *this* CPU; on the real one each is a single instruction or a few.

use crate::cell::Steps;
use crate::mask::{MaskState, Mechanism};
use crate::percpu::PerCpu;
use crate::thread::Core;

/// Which of the GIC's two groups; with it the vector an interrupt comes by (IHI 0069 H, 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Group 0: FIQ.
    Zero,
    /// Group 1: IRQ.
    One,
}

/// A stack of the CPU, beside those of the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// Ordinary handlers.
    Irq,
    /// NMI and SError handlers.
    Nmi,
}

/// This CPU, with as much of its GIC CPU interface as entry needs.
pub trait Machine: Steps + Sized + 'static {
    /// How ordinary interrupts are masked.
    const MECHANISM: Mechanism;

    /// Reads DAIF and PMR.
    fn masks() -> MaskState;
    /// Writes all of DAIF (bits as in the register).
    fn write_daif(bits: u32);
    /// Sets the given DAIF bits (as in the register), leaves the others.
    fn set_daif<const BITS: u32>();
    /// Clears the given DAIF bits (as in the register), leaves the others.
    fn clear_daif<const BITS: u32>();
    /// Writes `ICC_PMR_EL1`.
    fn write_pmr(pmr: u8);

    /// Reads `ESR_EL1` and `FAR_EL1`. Only before anything was unmasked.
    fn syndrome() -> (u64, u64);

    /// Acknowledges the most urgent interrupt of `group` that PMR lets through: its INTID, now
    /// active; or a special number, 1020 to 1023, if there is none.
    fn acknowledge(group: Group) -> u32;
    /// The priority of the most urgent active interrupt. The 8 bits of `ICC_RPR_EL1` that mean it;
    /// FEAT_GICv3_NMI puts flags above.
    fn running_priority() -> u8;
    /// Drops the running priority (`ICC_EOIRn_EL1` with EOImode 1). `intid` is never special.
    fn drop_priority(group: Group, intid: u32);
    /// Deactivates an interrupt whose priority was dropped (`ICC_DIR_EL1`).
    fn deactivate(intid: u32);

    /// The counter, in ticks.
    fn now() -> u64;
    /// The thread that runs here, or that is being interrupted.
    fn thread() -> &'static Core;
    /// This CPU's data. The reference is this CPU's only as long as the caller cannot be
    /// migrated, which the caller knows: entry code and the guards of this crate.
    fn cpu() -> &'static PerCpu;
    /// Runs `work` on the top of `stack` and comes back with what it gave.
    fn call_on<R>(stack: Stack, work: impl FnOnce() -> R) -> R;
}
