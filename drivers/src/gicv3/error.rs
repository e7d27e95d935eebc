//! What can go wrong while the interrupt controller is set up, and where.
//!
//! Each error names the frame (which CPU's) and the step, because the reader has a boot log and
//! nothing else. All of them are fatal to the CPU concerned; none is caused by a user.

use super::types::IntId;
use crate::affinity::Affinity;
use core::fmt;

/// The part of the interrupt controller concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The distributor, of which there is one.
    Distributor,
    /// The redistributor of a CPU.
    Redistributor(Affinity),
    /// The CPU interface (system registers) of a CPU.
    CpuInterface(Affinity),
}

/// What the driver was waiting for when it gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `CTLR.RWP` to clear after interrupts or groups were disabled.
    RegisterWrite,
    /// `GICR_WAKER.ChildrenAsleep` to clear after the CPU was declared awake.
    Wake,
}

/// Why the interrupt controller, or one CPU's part of it, cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GicError {
    /// The frame identifies itself as neither GICv3 nor GICv4 (`PIDR2.ArchRev`): a wrong address,
    /// or a GICv2.
    WrongRevision {
        /// Index of the redistributor region looked at; `None` for the distributor.
        region: Option<usize>,
        /// The architecture revision read there.
        revision: u8,
    },
    /// More redistributor regions than the driver keeps.
    TooManyRegions {
        /// How many there are.
        given: usize,
    },
    /// No redistributor in any region belongs to this CPU.
    NoRedistributor(Affinity),
    /// Group 0 was asked for, but `GICD_CTLR.DS` is 0: Group 0 belongs to firmware.
    Group0NotOurs,
    /// `GICD_CTLR.ARE` does not stay set: a GIC in legacy mode.
    NoAffinityRouting,
    /// The hardware did not finish in a bounded number of looks.
    Stuck {
        /// Whose hardware.
        frame: Frame,
        /// What it was to finish.
        step: Step,
    },
    /// The interrupt is not one of this frame's lines.
    NoSuchLine {
        /// The frame asked.
        frame: Frame,
        /// The interrupt asked for.
        interrupt: IntId,
    },
    /// `ICC_SRE_EL1.SRE` does not stay set: a higher exception level withholds the system
    /// registers.
    NoSystemRegisters(Affinity),
    /// `ICC_CTLR_EL1.EOImode` does not stay set: drop and deactivate cannot be separated.
    NoSplitEoi(Affinity),
    /// `ICC_PMR_EL1` does not hold the value that masks ordinary interrupts.
    PriorityMaskRefused {
        /// The CPU.
        cpu: Affinity,
        /// What it read after `PMR_OFF` was written.
        read: u8,
    },
    /// With this binary point an NMI would not preempt an ordinary interrupt.
    BinaryPointTooCoarse {
        /// The CPU.
        cpu: Affinity,
        /// The binary point register (0 or 1).
        register: u8,
        /// What it read after 0 was written.
        read: u8,
    },
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Distributor => write!(f, "GIC distributor"),
            Self::Redistributor(cpu) => write!(f, "GIC redistributor of {cpu}"),
            Self::CpuInterface(cpu) => write!(f, "GIC CPU interface of {cpu}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RegisterWrite => "CTLR.RWP did not clear",
            Self::Wake => "WAKER.ChildrenAsleep did not clear",
        })
    }
}

impl fmt::Display for GicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu_interface = |cpu: &Affinity| Frame::CpuInterface(*cpu);
        match self {
            Self::WrongRevision {
                region: None,
                revision,
            } => {
                write!(
                    f,
                    "GIC distributor: architecture revision {revision}, not 3 or 4"
                )
            }
            Self::WrongRevision {
                region: Some(region),
                revision,
            } => write!(
                f,
                "GIC redistributor region {region}: architecture revision {revision}, not 3 or 4"
            ),
            Self::TooManyRegions { given } => write!(
                f,
                "GIC: {given} redistributor regions, at most {} are supported",
                super::MAX_REGIONS
            ),
            Self::NoRedistributor(cpu) => {
                write!(f, "GIC: no redistributor has the MPIDR of {cpu}")
            }
            Self::Group0NotOurs => {
                write!(
                    f,
                    "GIC distributor: Group 0 belongs to firmware (GICD_CTLR.DS = 0)"
                )
            }
            Self::NoAffinityRouting => {
                write!(
                    f,
                    "GIC distributor: affinity routing (GICD_CTLR.ARE) does not stay on"
                )
            }
            Self::Stuck { frame, step } => write!(f, "{frame}: {step}"),
            Self::NoSuchLine { frame, interrupt } => write!(f, "{frame}: has no {interrupt}"),
            Self::NoSystemRegisters(cpu) => {
                write!(
                    f,
                    "{}: ICC_SRE_EL1.SRE does not stay on",
                    cpu_interface(cpu)
                )
            }
            Self::NoSplitEoi(cpu) => {
                write!(
                    f,
                    "{}: ICC_CTLR_EL1.EOImode does not stay on",
                    cpu_interface(cpu)
                )
            }
            Self::PriorityMaskRefused { cpu, read } => write!(
                f,
                "{}: ICC_PMR_EL1 reads {read:#x} after {:#x} was written",
                cpu_interface(cpu),
                cpu::priority::PMR_OFF
            ),
            Self::BinaryPointTooCoarse {
                cpu,
                register,
                read,
            } => write!(
                f,
                "{}: ICC_BPR{register}_EL1 stays at {read}, an NMI could not preempt",
                cpu_interface(cpu)
            ),
        }
    }
}

impl core::error::Error for GicError {}
