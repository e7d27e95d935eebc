//! Software-generated interrupts: how one CPU gets another's attention.
//!
//! An SGI carries nothing but its number; what it is about lies in memory. So sending it first
//! publishes all earlier stores: a handler that runs because of the SGI sees them. That is also why
//! this does not use `arm-gic`'s `send_sgi`, whose `asm!` is `nomem`: the compiler may move the
//! stores behind it.
//!
//! What is sent where is encoded once, by [`Request::new`], and may be kept: sending is then three
//! instructions, from any context.
//!
//! An SGI reaches a CPU only if the group asked for is the group that the CPU's redistributor has
//! the SGI in (IHI 0069, 4.4.1); otherwise it is dropped without a trace.

use super::{
    icc::{Icc, IccRegisters},
    types::{Group, IntId, Kind},
};
use crate::{affinity::Affinity, barrier};

/// Who gets an SGI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One CPU, which may be the sender.
    Cpu(Affinity),
    /// Every CPU that is up, except the sender.
    AllButSelf,
}

/// An SGI ready to be sent: number, target and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    group: Group,
    value: u64,
}

/// Fields of ICC_SGI1R_EL1 and ICC_SGI0R_EL1, which share one layout.
mod sgir {
    pub(super) const AFF1_SHIFT: u32 = 16;
    pub(super) const INTID_SHIFT: u32 = 24;
    pub(super) const AFF2_SHIFT: u32 = 32;
    pub(super) const ALL_BUT_SELF: u64 = 1 << 40;
    pub(super) const RANGE_SHIFT: u32 = 44;
    pub(super) const AFF3_SHIFT: u32 = 48;
}

impl Request {
    /// The request to send `interrupt` to `target` as an interrupt of `group`; `None` if it is no
    /// SGI.
    ///
    /// The target list names 16 CPUs of a cluster; a CPU with a higher Aff0 is reached by the range
    /// selector, which exists where `Report::affinity0_values` is 256.
    pub const fn new(interrupt: IntId, target: Target, group: Group) -> Option<Self> {
        if !matches!(interrupt.kind(), Kind::Sgi) {
            return None;
        }
        let whom = match target {
            Target::AllButSelf => sgir::ALL_BUT_SELF,
            Target::Cpu(cpu) => {
                (cpu.aff3() as u64) << sgir::AFF3_SHIFT
                    | (cpu.aff2() as u64) << sgir::AFF2_SHIFT
                    | (cpu.aff1() as u64) << sgir::AFF1_SHIFT
                    | (cpu.aff0() as u64 / 16) << sgir::RANGE_SHIFT
                    | 1 << (cpu.aff0() % 16)
            }
        };
        let value = (interrupt.raw() as u64) << sgir::INTID_SHIFT | whom;
        Some(Self { group, value })
    }

    /// What is written, for traces: the value of ICC_SGI0R_EL1 or ICC_SGI1R_EL1.
    pub const fn register_value(self) -> u64 {
        self.value
    }
}

/// Sends an SGI. Stores made before are visible to its handler; when this returns, the write has
/// been executed, so that an SGI to this very CPU is taken here if the masks allow. Any context.
#[inline(always)]
pub fn send(registers: &impl IccRegisters, request: Request) {
    barrier::publish_stores();
    // Two arms, so that each write names its register as a constant.
    match request.group {
        // SAFETY: raises an interrupt that every CPU that has it enabled is ready for; no mask or
        // priority of this CPU changes.
        Group::Zero => unsafe { registers.write(Icc::Sgi0r, request.value) },
        // SAFETY: as above.
        Group::One => unsafe { registers.write(Icc::Sgi1r, request.value) },
    }
    registers.synchronize();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: Target, group: Group) -> Request {
        Request::new(IntId::sgi(5).unwrap(), target, group).unwrap()
    }

    #[test]
    fn one_cpu_by_its_affinity() {
        let cpu = Target::Cpu(Affinity::from_mpidr(0x12_0034_5603));
        let sent = request(cpu, Group::One);
        assert_eq!(sent.group, Group::One);
        assert_eq!(sent.value, 0x0012_0034_0556_0008);
    }

    #[test]
    fn a_cpu_beyond_the_first_sixteen_of_its_cluster() {
        let cpu = Target::Cpu(Affinity::from_mpidr(0x25));
        assert_eq!(request(cpu, Group::One).value, 2 << 44 | 5 << 24 | 1 << 5);
    }

    #[test]
    fn everyone_else_and_group_zero() {
        let sent = request(Target::AllButSelf, Group::Zero);
        assert_eq!((sent.group, sent.value), (Group::Zero, 1 << 40 | 5 << 24));
    }

    #[test]
    fn only_sgis() {
        let ppi = IntId::ppi(0).unwrap();
        assert_eq!(Request::new(ppi, Target::AllButSelf, Group::One), None);
    }
}
