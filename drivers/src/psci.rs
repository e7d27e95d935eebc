//! PSCI: asking firmware, or the hypervisor, for CPUs and for the end (DEN 0022).
//!
//! The calls themselves come from the crate `smccc`, whose functions take the conduit as a type.
//! Here it is a value, since only the device tree knows it: HVC where something at EL2 answers, SMC
//! where EL3 does. The choice is a branch, in calls that are made a few times in a life.
//!
//! Each error says which call and, where there is one, about which CPU; the cause has PSCI's name.

use crate::{affinity::Affinity, barrier};
use core::fmt;
pub use smccc::psci::{AffinityState, Error as PsciCause, Version};
use smccc::{
    Call,
    psci::{self, LowestAffinityLevel},
};

/// The instruction by which firmware is called (`method` in the device tree).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// HVC #0: a hypervisor answers.
    Hvc,
    /// SMC #0: the secure monitor answers.
    Smc,
}

/// The calls that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PsciCall {
    /// PSCI_VERSION.
    Version,
    /// CPU_ON for a CPU.
    CpuOn(Affinity),
    /// CPU_OFF, of the caller.
    CpuOff,
    /// AFFINITY_INFO about a CPU.
    AffinityInfo(Affinity),
    /// SYSTEM_OFF.
    SystemOff,
    /// SYSTEM_RESET.
    SystemReset,
}

/// A call that firmware refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PsciError {
    /// Which call.
    pub call: PsciCall,
    /// Firmware's reason; `None` if it claims success of a call that does not return on success.
    pub cause: Option<PsciCause>,
}

impl fmt::Display for PsciCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => f.write_str("PSCI_VERSION"),
            Self::CpuOn(cpu) => write!(f, "CPU_ON of {cpu}"),
            Self::CpuOff => f.write_str("CPU_OFF"),
            Self::AffinityInfo(cpu) => write!(f, "AFFINITY_INFO of {cpu}"),
            Self::SystemOff => f.write_str("SYSTEM_OFF"),
            Self::SystemReset => f.write_str("SYSTEM_RESET"),
        }
    }
}

impl fmt::Display for PsciError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PSCI {}: ", self.call)?;
        match self.cause {
            None => f.write_str("returned, with success"),
            Some(PsciCause::NotSupported) => f.write_str("NOT_SUPPORTED"),
            Some(PsciCause::InvalidParameters) => f.write_str("INVALID_PARAMETERS"),
            Some(PsciCause::Denied) => f.write_str("DENIED"),
            Some(PsciCause::AlreadyOn) => f.write_str("ALREADY_ON"),
            Some(PsciCause::OnPending) => f.write_str("ON_PENDING"),
            Some(PsciCause::InternalFailure) => f.write_str("INTERNAL_FAILURE"),
            Some(PsciCause::NotPresent) => f.write_str("NOT_PRESENT"),
            Some(PsciCause::Disabled) => f.write_str("DISABLED"),
            Some(PsciCause::InvalidAddress) => f.write_str("INVALID_ADDRESS"),
            Some(PsciCause::Unknown(value)) => write!(f, "unknown value {value}"),
        }
    }
}

impl core::error::Error for PsciError {}

/// Firmware, by way of one conduit. On a host there is none, and every call is NOT_SUPPORTED.
#[derive(Clone, Copy, Debug)]
pub struct Psci {
    conduit: Conduit,
}

#[cfg(target_arch = "aarch64")]
use smccc::{Hvc, Smc};

/// What answers where no AArch64 firmware is: as PSCI demands for an unknown call, NOT_SUPPORTED.
#[cfg(not(target_arch = "aarch64"))]
struct NoFirmware;

#[cfg(not(target_arch = "aarch64"))]
impl Call for NoFirmware {
    fn call32(_function: u32, _args: [u32; 7]) -> [u32; 8] {
        [psci::error::NOT_SUPPORTED as u32; 8]
    }

    fn call64(_function: u32, _args: [u64; 17]) -> [u64; 18] {
        [i64::from(psci::error::NOT_SUPPORTED) as u64; 18]
    }
}

#[cfg(not(target_arch = "aarch64"))]
use {NoFirmware as Hvc, NoFirmware as Smc};

impl Psci {
    /// Firmware behind `conduit`. The wrong one is an undefined instruction, or a call into
    /// nowhere: take it from the device tree.
    pub const fn new(conduit: Conduit) -> Self {
        Self { conduit }
    }

    /// The version that firmware implements.
    ///
    /// # Errors
    ///
    /// [`PsciError`], as for all calls here: what was called, and firmware's reason.
    pub fn version(&self) -> Result<Version, PsciError> {
        match self.conduit {
            Conduit::Hvc => version::<Hvc>(),
            Conduit::Smc => version::<Smc>(),
        }
    }

    /// Starts `cpu` at the physical address `entry_pa`, with the MMU off and `context` in x0, in
    /// state Critical, at the exception level of the caller. Returns when firmware has accepted.
    ///
    /// Stores made before are visible to CPUs that use caches; what the new CPU reads with its
    /// caches off must have been cleaned to memory by the caller.
    ///
    /// # Errors
    ///
    /// `ALREADY_ON`, `ON_PENDING` (called twice), `INVALID_PARAMETERS` (no such CPU),
    /// `INVALID_ADDRESS`, `DENIED`, `INTERNAL_FAILURE`.
    ///
    /// # Safety
    ///
    /// `entry_pa` is code that can run on a CPU in that state and that expects `context`.
    pub unsafe fn cpu_on(
        &self,
        cpu: Affinity,
        entry_pa: u64,
        context: u64,
    ) -> Result<(), PsciError> {
        barrier::publish_stores();
        match self.conduit {
            Conduit::Hvc => cpu_on::<Hvc>(cpu, entry_pa, context),
            Conduit::Smc => cpu_on::<Smc>(cpu, entry_pa, context),
        }
    }

    /// Turns the calling CPU off. Returns only if that failed. Context `Critical`: an interrupt
    /// would be lost.
    pub fn cpu_off(&self) -> PsciError {
        match self.conduit {
            Conduit::Hvc => cpu_off::<Hvc>(),
            Conduit::Smc => cpu_off::<Smc>(),
        }
    }

    /// Whether `cpu` is on, off, or about to be on.
    ///
    /// # Errors
    ///
    /// `INVALID_PARAMETERS` (no such CPU), `DISABLED`, `NOT_PRESENT`.
    pub fn affinity_info(&self, cpu: Affinity) -> Result<AffinityState, PsciError> {
        match self.conduit {
            Conduit::Hvc => affinity_info::<Hvc>(cpu),
            Conduit::Smc => affinity_info::<Smc>(cpu),
        }
    }

    /// Powers the machine off. Returns only if that failed. Any context.
    pub fn system_off(&self) -> PsciError {
        match self.conduit {
            Conduit::Hvc => system_off::<Hvc>(),
            Conduit::Smc => system_off::<Smc>(),
        }
    }

    /// Resets the machine. Returns only if that failed. Any context.
    pub fn system_reset(&self) -> PsciError {
        match self.conduit {
            Conduit::Hvc => system_reset::<Hvc>(),
            Conduit::Smc => system_reset::<Smc>(),
        }
    }
}

fn version<C: Call>() -> Result<Version, PsciError> {
    psci::version::<C>().map_err(|cause| failed(PsciCall::Version, cause))
}

fn cpu_on<C: Call>(cpu: Affinity, entry_pa: u64, context: u64) -> Result<(), PsciError> {
    let outcome = psci::cpu_on::<C>(cpu.mpidr(), entry_pa, context);
    outcome.map_err(|cause| failed(PsciCall::CpuOn(cpu), cause))
}

fn affinity_info<C: Call>(cpu: Affinity) -> Result<AffinityState, PsciError> {
    let outcome = psci::affinity_info::<C>(cpu.mpidr(), LowestAffinityLevel::All);
    outcome.map_err(|cause| failed(PsciCall::AffinityInfo(cpu), cause))
}

fn cpu_off<C: Call>() -> PsciError {
    PsciError {
        call: PsciCall::CpuOff,
        cause: psci::cpu_off::<C>().err(),
    }
}

fn system_off<C: Call>() -> PsciError {
    PsciError {
        call: PsciCall::SystemOff,
        cause: psci::system_off::<C>().err(),
    }
}

fn system_reset<C: Call>() -> PsciError {
    PsciError {
        call: PsciCall::SystemReset,
        cause: psci::system_reset::<C>().err(),
    }
}

fn failed(call: PsciCall, cause: PsciCause) -> PsciError {
    PsciError {
        call,
        cause: Some(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, vec::Vec};

    std::thread_local! {
        static ANSWER: Cell<i32> = const { Cell::new(0) };
        static ASKED: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
    }

    /// Answers what it was told to, in the way of the calling convention: 32-bit calls leave the
    /// upper half of x0 zero, 64-bit calls sign-extend.
    struct Fake;

    impl Call for Fake {
        fn call32(function: u32, args: [u32; 7]) -> [u32; 8] {
            let args = args.map(u64::from);
            ASKED.set([&[function.into()], &args[..3]].concat());
            [ANSWER.get() as u32; 8]
        }

        fn call64(function: u32, args: [u64; 17]) -> [u64; 18] {
            ASKED.set([&[function.into()], &args[..3]].concat());
            [i64::from(ANSWER.get()) as u64; 18]
        }
    }

    const CPU: Affinity = Affinity::from_mpidr(0x1_8000_0203);

    #[test]
    fn cpu_on_passes_its_arguments() {
        ANSWER.set(0);
        assert_eq!(cpu_on::<Fake>(CPU, 0x4020_0000, 7), Ok(()));
        assert_eq!(ASKED.take(), [0xc400_0003, 0x1_0000_0203, 0x4020_0000, 7]);
    }

    #[test]
    fn every_reason_has_its_name_and_names_the_cpu() {
        let reasons = [
            (-1, "NOT_SUPPORTED"),
            (-2, "INVALID_PARAMETERS"),
            (-3, "DENIED"),
            (-4, "ALREADY_ON"),
            (-5, "ON_PENDING"),
            (-6, "INTERNAL_FAILURE"),
            (-7, "NOT_PRESENT"),
            (-8, "DISABLED"),
            (-9, "INVALID_ADDRESS"),
            (-77, "unknown value -77"),
        ];
        for (answer, name) in reasons {
            ANSWER.set(answer);
            let refused = cpu_on::<Fake>(CPU, 0, 0).unwrap_err();
            assert_eq!(
                refused.to_string(),
                std::format!("PSCI CPU_ON of CPU 0x100000203: {name}")
            );
            let refused = affinity_info::<Fake>(CPU).unwrap_err();
            let message = std::format!("PSCI AFFINITY_INFO of CPU 0x100000203: {name}");
            assert_eq!(refused.to_string(), message);
        }
    }

    #[test]
    fn affinity_states() {
        for (answer, state) in [
            (0, AffinityState::On),
            (1, AffinityState::Off),
            (2, AffinityState::OnPending),
        ] {
            ANSWER.set(answer);
            assert_eq!(affinity_info::<Fake>(CPU), Ok(state));
        }
        assert_eq!(ASKED.take(), [0xc400_0004, 0x1_0000_0203, 0, 0]);
    }

    #[test]
    fn the_version_is_two_numbers() {
        ANSWER.set(0x1_0001);
        let version = version::<Fake>().unwrap();
        assert_eq!((version.major, version.minor), (1, 1));
    }

    #[test]
    fn what_should_not_return_is_an_error_even_with_success() {
        for (call, function, name) in [
            (cpu_off::<Fake> as fn() -> PsciError, 0x8400_0002, "CPU_OFF"),
            (system_off::<Fake>, 0x8400_0008, "SYSTEM_OFF"),
            (system_reset::<Fake>, 0x8400_0009, "SYSTEM_RESET"),
        ] {
            ANSWER.set(0);
            assert_eq!(
                call().to_string(),
                std::format!("PSCI {name}: returned, with success")
            );
            assert_eq!(ASKED.take()[0], function);
            ANSWER.set(-3);
            assert_eq!(call().to_string(), std::format!("PSCI {name}: DENIED"));
        }
    }

    #[cfg(not(target_arch = "aarch64"))]
    #[test]
    fn a_host_has_no_firmware() {
        for conduit in [Conduit::Hvc, Conduit::Smc] {
            let psci = Psci::new(conduit);
            let unsupported = Some(PsciCause::NotSupported);
            assert_eq!(psci.version().unwrap_err().cause, unsupported);
            assert_eq!(psci.system_off().cause, unsupported);
        }
    }
}
