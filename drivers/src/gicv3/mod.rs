//! GICv3 with priority masking, on the register blocks of `arm-gic`.
//!
//! An interrupt passes three parts on its way: the **distributor** (one, for shared interrupts),
//! the **redistributor** of a CPU (its own interrupts) and that CPU's **CPU interface**, a set of
//! system registers. Each part is a file here, and each has two halves:
//!
//! - *Set-up* needs exclusive access and happens while CPUs come up, one at a time: [`Gic`] is kept
//!   behind whatever lock the kernel likes, and [`Gic::redistributor`] borrows it, so that two CPUs
//!   cannot configure at once.
//! - *Run time* is [`Line`] for one interrupt line (from [`Lines`], those of a frame) and [`sgi`] for
//!   interrupts between CPUs: handles that are copied out of [`Gic`] once and then used from any
//!   context, NMI included, without a lock.
//!
//! What acknowledges, drops, deactivates and masks is neither: it belongs to `cpu`, because the
//! compiler must not move memory accesses across it, and because the meaning of a mask is the
//! subject of the whole kernel. This driver leaves each CPU with ordinary interrupts masked
//! (`PMR_OFF`) and all lines disabled; opening up is for those who can answer.
//!
//! The order of bring-up:
//!
//! ```text
//! boot CPU     Gic::new → distributor().init(groups, boot CPU) → redistributor(self).init()
//!                                                             → CpuInterface::init(…)
//! secondary                                                     redistributor(self).init()
//!                                                             → CpuInterface::init(…)
//! any time     distributor().configure(spi, class, trigger), then lines().line(spi)?.enable()
//! ```
//!
//! Message-based interrupts (LPIs), the extended ranges and FEAT_NMI's superpriority are not
//! handled; the extended lines are disabled at set-up and stay so.

mod cpu_interface;
mod distributor;
mod error;
mod icc;
mod lines;
mod redistributor;
pub mod sgi;
mod types;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use cpu_interface::{CpuInterface, Report, probe_priority_bits};
pub use distributor::Distributor;
pub use error::{Frame, GicError, Step};
#[cfg(target_arch = "aarch64")]
pub use icc::SystemRegisters;
pub use icc::{Icc, IccRegisters};
pub use lines::{Line, Lines};
pub use redistributor::{Redistributor, Region};
pub use types::{Ack, Class, Group, Groups, IntId, Kind, Security, Trigger};

use crate::affinity::Affinity;
use core::ptr::NonNull;

/// How many redistributor regions are kept. QEMU's `virt` has one, or two above 123 CPUs; servers
/// have one per socket.
pub const MAX_REGIONS: usize = 8;

/// The interrupt controller's set-up half: the distributor, and where to look for redistributors.
pub struct Gic {
    distributor: Distributor,
    regions: [Option<Region>; MAX_REGIONS],
}

impl Gic {
    /// The GIC whose distributor is mapped at `distributor` and whose redistributors lie in
    /// `regions`. Reads identification registers only; nothing is changed yet.
    ///
    /// # Errors
    ///
    /// [`GicError::WrongRevision`], [`GicError::TooManyRegions`].
    ///
    /// # Safety
    ///
    /// `distributor` is a GICv3 distributor frame of 64 KiB, and each region as long as it says and
    /// full of redistributor frames, or at least readable there; all are mapped as Device memory
    /// for as long as the kernel runs, and nothing but this value and what it gives out accesses
    /// them.
    pub unsafe fn new(distributor: NonNull<u8>, regions: &[Region]) -> Result<Self, GicError> {
        let mut kept = [None; MAX_REGIONS];
        if regions.len() > MAX_REGIONS {
            return Err(GicError::TooManyRegions {
                given: regions.len(),
            });
        }
        for (slot, region) in kept.iter_mut().zip(regions) {
            *slot = Some(*region);
        }
        // SAFETY: passed on to the caller.
        let distributor = unsafe { Distributor::new(distributor.cast())? };
        Ok(Self {
            distributor,
            regions: kept,
        })
    }

    /// The distributor, to set up.
    pub const fn distributor(&mut self) -> &mut Distributor {
        &mut self.distributor
    }

    /// The redistributor of the CPU `affinity`, to set up. Its groups are those that
    /// [`Distributor::init`] was given, so that comes first.
    ///
    /// # Errors
    ///
    /// [`GicError::NoRedistributor`] names the CPU; [`GicError::WrongRevision`] the region that is
    /// no redistributor region.
    pub fn redistributor(&mut self, affinity: Affinity) -> Result<Redistributor<'_>, GicError> {
        // SAFETY: `new` was promised the regions, and `&mut self` is exclusive except for `Lines`.
        let registers = unsafe { redistributor::find(&self.regions, affinity)? };
        let groups = self.distributor.groups();
        // SAFETY: `find` returned a redistributor frame; the result borrows `self`.
        Ok(unsafe { Redistributor::new(affinity, registers, groups) })
    }
}

// SAFETY: the devices are the same from every CPU, and mapped for all of them.
unsafe impl Send for Gic {}
