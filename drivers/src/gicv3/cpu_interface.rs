//! The CPU interface: the system registers through which one CPU sees its interrupts.
//!
//! Set-up happens once per CPU, with everything masked, and ends in one known state: split
//! end-of-interrupt, finest binary points, no active priority left over from firmware, ordinary
//! interrupts masked by `PMR_OFF`, and the groups in use on. Each value that hardware or firmware
//! may refuse is read back, because the alternative is an interrupt lost months later; what
//! legitimately differs from machine to machine is returned as a [`Report`], which the CPUs can
//! compare (invariant: all agree, or a CPU is refused).
//!
//! **Group 0 registers** are touched only where Group 0 is ours (`GICD_CTLR.DS` = 1). Elsewhere
//! firmware may route FIQs to EL3 and trap them.
//!
//! **Masking is not done here.** The one write of ICC_PMR_EL1 is the initial one.

use super::{
    error::GicError,
    icc::{Icc, IccRegisters},
    types::{Class, Groups, Security},
};
use crate::affinity::Affinity;
use cpu::priority::{self, PMR_OFF};

const SRE_SYSTEM_REGISTERS: u64 = 1 << 0;
const ENABLE: u64 = 1 << 0;
const PMR_BITS: u64 = 0xff;
const BPR_BITS: u64 = 0b111;

/// ICC_CTLR_EL1.
mod ctlr {
    pub(super) const SPLIT_EOI: u64 = 1 << 1;
    pub(super) const PRIORITY_MASK_HINT: u64 = 1 << 6;
    pub(super) const PRIORITY_BITS_SHIFT: u32 = 8;
    pub(super) const RANGE_SELECTOR: u64 = 1 << 18;
}

/// What this CPU's interface turned out to be. Equal on all CPUs of a machine that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Implemented priority bits, from the top (`ICC_CTLR_EL1.PRIbits` + 1): 4 to 8.
    pub priority_bits: u8,
    /// ICC_BPR0_EL1 after 0 was written; `None` where Group 0 is not ours.
    pub binary_point0: Option<u8>,
    /// ICC_BPR1_EL1 after 0 was written.
    pub binary_point1: u8,
    /// Whether the GIC uses ICC_PMR_EL1 to choose a CPU (`ICC_CTLR_EL1.PMHE`), and firmware does
    /// not let us turn it off: then a PMR write that opens the mask needs a DSB after it.
    pub priority_mask_hint: bool,
    /// How many values of affinity level 0 an SGI can be sent to: 16 or 256.
    pub affinity0_values: u16,
}

/// A CPU's interface after set-up.
#[derive(Clone, Copy, Debug)]
pub struct CpuInterface<R> {
    registers: R,
    report: Report,
    security: Security,
}

impl<R: IccRegisters> CpuInterface<R> {
    /// Sets up the calling CPU's interface. `cpu` is its name for errors; `groups` and `security`
    /// are those of the distributor.
    ///
    /// # Errors
    ///
    /// The variants of [`GicError`] that carry a CPU; [`GicError::Group0NotOurs`]. The CPU must not
    /// be used then.
    ///
    /// # Safety
    ///
    /// Context `Critical`, once, while this CPU is brought up and its redistributor is initialized:
    /// the mask and the active priorities change under the caller's feet.
    pub unsafe fn init(
        registers: R,
        cpu: Affinity,
        groups: Groups,
        security: Security,
    ) -> Result<Self, GicError> {
        if groups.use_group0() && security == Security::TwoStates {
            return Err(GicError::Group0NotOurs);
        }
        // SAFETY: the caller vouches that nobody holds a proof about masks or priorities yet.
        let write = |register, value| unsafe { registers.write(register, value) };
        let group0 = security == Security::OneState;

        write(Icc::Sre, registers.read(Icc::Sre) | SRE_SYSTEM_REGISTERS);
        registers.synchronize();
        if registers.read(Icc::Sre) & SRE_SYSTEM_REGISTERS == 0 {
            return Err(GicError::NoSystemRegisters(cpu));
        }

        // Nothing can be signalled from here until the last step.
        write(Icc::Igrpen1, 0);
        if group0 {
            write(Icc::Igrpen0, 0);
        }
        write(Icc::Pmr, PMR_OFF.into());
        write(Icc::Ctlr, ctlr::SPLIT_EOI);
        write(Icc::Bpr1, 0);
        if group0 {
            write(Icc::Bpr0, 0);
        }
        registers.synchronize();

        let report = read_report(&registers, security);
        check(&registers, cpu, &report)?;

        for_each_active_priority(report.priority_bits, security, |register| {
            write(register, 0);
        });
        registers.synchronize();

        write(Icc::Igrpen1, ENABLE);
        if groups.use_group0() {
            write(Icc::Igrpen0, ENABLE);
        }
        registers.synchronize();
        Ok(Self {
            registers,
            report,
            security,
        })
    }

    /// What set-up found.
    pub const fn report(&self) -> Report {
        self.report
    }

    /// The priorities of interrupts that were acknowledged on this CPU and not yet dropped: 0 when
    /// there are none. With up to 5 priority bits, bit n is preemption level n (IHI 0069,
    /// ICC_AP1R0_EL1); with more, the registers are folded and only "none" has a meaning. Any
    /// context.
    pub fn active_priorities(&self) -> u32 {
        let mut active = 0;
        for_each_active_priority(self.report.priority_bits, self.security, |register| {
            active |= self.registers.read(register) as u32;
        });
        active
    }
}

/// Finds the number of implemented priority bits by writing all ones to ICC_PMR_EL1 and counting
/// what stays, which also tells how much of a priority this exception level may see: with
/// `GICD_CTLR.DS` = 0 and FIQs routed to EL3 it is one bit less than [`Report::priority_bits`].
/// `GICD_IPRIORITYR` must not be used for this: QEMU stores all 8 bits there.
///
/// # Safety
///
/// Context `Critical`: for a moment PMR lets everything in, and only PSTATE.I and F keep it out.
/// PMR is put back.
pub unsafe fn probe_priority_bits(registers: &impl IccRegisters) -> u8 {
    let before = registers.read(Icc::Pmr);
    // SAFETY: the caller vouches that interrupts are masked otherwise.
    unsafe { registers.write(Icc::Pmr, PMR_BITS) };
    let stays = registers.read(Icc::Pmr) & PMR_BITS;
    // SAFETY: what was there before.
    unsafe { registers.write(Icc::Pmr, before) };
    stays.count_ones() as u8
}

fn read_report(registers: &impl IccRegisters, security: Security) -> Report {
    let control = registers.read(Icc::Ctlr);
    let binary_point = |register| (registers.read(register) & BPR_BITS) as u8;
    Report {
        priority_bits: (control >> ctlr::PRIORITY_BITS_SHIFT) as u8 % 8 + 1,
        binary_point0: match security {
            Security::OneState => Some(binary_point(Icc::Bpr0)),
            Security::TwoStates => None,
        },
        binary_point1: binary_point(Icc::Bpr1),
        priority_mask_hint: control & ctlr::PRIORITY_MASK_HINT != 0,
        affinity0_values: if control & ctlr::RANGE_SELECTOR == 0 {
            16
        } else {
            256
        },
    }
}

/// Refuses a CPU whose interface did not take what priority masking stands on.
fn check(registers: &impl IccRegisters, cpu: Affinity, report: &Report) -> Result<(), GicError> {
    if registers.read(Icc::Ctlr) & ctlr::SPLIT_EOI == 0 {
        return Err(GicError::NoSplitEoi(cpu));
    }
    let read = (registers.read(Icc::Pmr) & PMR_BITS) as u8;
    if read != PMR_OFF {
        return Err(GicError::PriorityMaskRefused { cpu, read });
    }
    // Group 1 compares bits 7..=BPR1, Group 0 bits 7..=BPR0+1 (IHI 0069, 4.8.4).
    let lowest_bits = [
        (1, Some(report.binary_point1), 0),
        (0, report.binary_point0, 1),
    ];
    for (register, read, above) in lowest_bits {
        if let Some(read) = read
            && !nmi_preempts(u32::from(read) + above)
        {
            return Err(GicError::BinaryPointTooCoarse {
                cpu,
                register,
                read,
            });
        }
    }
    Ok(())
}

/// Whether an NMI preempts an ordinary interrupt, in both views of priorities, when only priority
/// bits `lowest_bit` and up are compared.
const fn nmi_preempts(lowest_bit: u32) -> bool {
    let nmi = Class::Nmi.priority();
    let ordinary = Class::Ordinary.priority();
    let nmi_ns = priority::non_secure_view(nmi);
    let ordinary_ns = priority::non_secure_view(ordinary);
    lowest_bit < 8
        && nmi >> lowest_bit < ordinary >> lowest_bit
        && nmi_ns >> lowest_bit < ordinary_ns >> lowest_bit
}

/// Visits the active-priority registers that exist and are ours: one bit for each preemption level,
/// of which there are 2 to the power of `priority_bits`, at most 128 (IHI 0069, 4.8.3). Written out,
/// so that each register's name is a constant where it is used.
#[inline(always)]
fn for_each_active_priority(priority_bits: u8, security: Security, mut visit: impl FnMut(Icc)) {
    let group0 = security == Security::OneState;
    visit(Icc::Ap1r0);
    if group0 {
        visit(Icc::Ap0r0);
    }
    if priority_bits >= 6 {
        visit(Icc::Ap1r1);
        if group0 {
            visit(Icc::Ap0r1);
        }
    }
    if priority_bits >= 7 {
        visit(Icc::Ap1r2);
        visit(Icc::Ap1r3);
        if group0 {
            visit(Icc::Ap0r2);
            visit(Icc::Ap0r3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fake::FakeIcc, *};

    const CPU: Affinity = Affinity::from_mpidr(0x102);

    fn init(
        registers: &FakeIcc,
        groups: Groups,
        security: Security,
    ) -> Result<CpuInterface<&FakeIcc>, GicError> {
        // SAFETY: a fake has no masks.
        unsafe { CpuInterface::init(registers, CPU, groups, security) }
    }

    #[test]
    fn the_sequence_as_on_qemu() {
        let icc = FakeIcc::like_qemu();
        let interface = init(&icc, Groups::ALL_IRQ, Security::OneState).unwrap();
        let expected = [
            (Icc::Sre, 0b111),
            (Icc::Igrpen1, 0),
            (Icc::Igrpen0, 0),
            (Icc::Pmr, 0xb0),
            (Icc::Ctlr, 0b10),
            (Icc::Bpr1, 0),
            (Icc::Bpr0, 0),
            (Icc::Ap1r0, 0),
            (Icc::Ap0r0, 0),
            (Icc::Igrpen1, 1),
        ];
        assert_eq!(icc.writes(), expected);
        let report = Report {
            priority_bits: 5,
            binary_point0: Some(2),
            binary_point1: 3,
            priority_mask_hint: false,
            affinity0_values: 16,
        };
        assert_eq!(interface.report(), report);
    }

    #[test]
    fn group0_is_enabled_only_when_used() {
        let icc = FakeIcc::like_qemu();
        init(&icc, Groups::ORDINARY_FIQ, Security::OneState).unwrap();
        assert_eq!(icc.writes().last(), Some(&(Icc::Igrpen0, 1)));
    }

    #[test]
    fn group0_registers_are_left_alone_with_two_security_states() {
        let icc = FakeIcc::like_qemu();
        let interface = init(&icc, Groups::ALL_IRQ, Security::TwoStates).unwrap();
        interface.active_priorities();
        let group0 = [
            Icc::Igrpen0,
            Icc::Bpr0,
            Icc::Ap0r0,
            Icc::Ap0r1,
            Icc::Ap0r2,
            Icc::Ap0r3,
        ];
        assert!(
            icc.touched()
                .iter()
                .all(|register| !group0.contains(register))
        );
        assert_eq!(interface.report().binary_point0, None);
    }

    #[test]
    fn group0_is_refused_with_two_security_states() {
        let icc = FakeIcc::like_qemu();
        for groups in [Groups::ORDINARY_FIQ, Groups::NMI_FIQ] {
            let refused = init(&icc, groups, Security::TwoStates).unwrap_err();
            assert_eq!(refused, GicError::Group0NotOurs);
        }
        assert!(icc.touched().is_empty());
    }

    #[test]
    fn every_refusal_of_the_hardware_is_an_error_that_names_the_cpu() {
        let refusals = [
            (
                Icc::Sre,
                1,
                0,
                "GIC CPU interface of CPU 0x102: ICC_SRE_EL1.SRE does not stay on",
            ),
            (
                Icc::Ctlr,
                0b10,
                0,
                "GIC CPU interface of CPU 0x102: ICC_CTLR_EL1.EOImode does not stay on",
            ),
            (
                Icc::Pmr,
                0x80,
                0,
                "GIC CPU interface of CPU 0x102: ICC_PMR_EL1 reads 0x30 after 0xb0 was written",
            ),
            (
                Icc::Bpr1,
                7,
                7,
                "GIC CPU interface of CPU 0x102: ICC_BPR1_EL1 stays at 7, an NMI could not preempt",
            ),
            (
                Icc::Bpr0,
                7,
                6,
                "GIC CPU interface of CPU 0x102: ICC_BPR0_EL1 stays at 6, an NMI could not preempt",
            ),
        ];
        for (register, stuck_bits, stuck_at, message) in refusals {
            let icc = FakeIcc::like_qemu();
            icc.stick(register, stuck_bits, stuck_at);
            let refused = init(&icc, Groups::ALL_IRQ, Security::OneState).unwrap_err();
            assert_eq!(refused.to_string(), message);
            let enabled = icc.writes().contains(&(Icc::Igrpen1, 1));
            assert!(
                !enabled,
                "{register:?}: interrupts enabled on a CPU that is refused"
            );
        }
    }

    #[test]
    fn more_priority_bits_have_more_active_priority_registers() {
        for (bits, highest) in [
            (4, Icc::Ap1r0),
            (6, Icc::Ap1r1),
            (7, Icc::Ap1r3),
            (8, Icc::Ap1r3),
        ] {
            let icc = FakeIcc::like_qemu();
            icc.stick(Icc::Ctlr, 0b111 << 8, (bits - 1) << 8);
            init(&icc, Groups::ALL_IRQ, Security::OneState).unwrap();
            let group1 = [Icc::Ap1r0, Icc::Ap1r1, Icc::Ap1r2, Icc::Ap1r3];
            let written = icc.writes().into_iter().map(|(register, _)| register);
            let cleared = written.filter(|register| group1.contains(register));
            assert_eq!(cleared.max(), Some(highest), "{bits} bits");
        }
    }

    #[test]
    fn active_priorities_of_both_groups() {
        let icc = FakeIcc::like_qemu();
        let interface = init(&icc, Groups::ORDINARY_FIQ, Security::OneState).unwrap();
        assert_eq!(interface.active_priorities(), 0);
        icc.set(Icc::Ap0r0, 1 << 24);
        icc.set(Icc::Ap1r0, 1 << 4);
        assert_eq!(interface.active_priorities(), 1 << 24 | 1 << 4);
    }

    #[test]
    fn probing_the_mask_puts_it_back() {
        let icc = FakeIcc::like_qemu();
        icc.set(Icc::Pmr, 0xb0);
        // SAFETY: a fake has no masks.
        assert_eq!(unsafe { probe_priority_bits(&icc) }, 5);
        assert_eq!(icc.read(Icc::Pmr), 0xb0);
    }

    #[test]
    fn sending_an_sgi_is_one_write() {
        use super::super::{
            sgi::{self, Request, Target},
            types::{Group, IntId},
        };
        let icc = FakeIcc::like_qemu();
        let request = Request::new(IntId::sgi(1).unwrap(), Target::Cpu(CPU), Group::One).unwrap();
        sgi::send(&icc, request);
        assert_eq!(icc.writes(), [(Icc::Sgi1r, request.register_value())]);
    }
}
