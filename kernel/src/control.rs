//! Exception control of a CPU: vectors, the GIC, and the checks that both are as they should be.

use crate::entries::vector_table;
use crate::irq::{self, Sgi};
use crate::mm;
use crate::smp::Cpu;
use crate::{clock, verdict};
use boot::info;
use cpu::cell::NoSteps;
use cpu::counters::Counter;
use cpu::hw::{gic as cpu_interface, slots};
use cpu::lock::{Lock, Preempt};
use cpu::mask::Mechanism;
use cpu::priority;
use cpu::write_sysreg;
use drivers::affinity::Affinity;
use drivers::gicv3::{
    Class, CpuInterface, Gic, GicError, IntId, Lines, Region, Report, Security, SystemRegisters,
    Trigger,
};
use spin::Once;

static GIC: Lock<Option<Gic>, Preempt> = Lock::new(None);
static SPIS: Once<Lines> = Once::new();
/// CPU 0's; all others must be like it.
static REPORT: Once<Report> = Once::new();
static TIMER_PPIS: Once<(IntId, IntId)> = Once::new();

/// Points this CPU's `VBAR_EL1` to the vectors of `mechanism`.
pub(crate) fn install(mechanism: Mechanism) {
    let table = vector_table(mechanism);
    // SAFETY: the table is one, and stays.
    unsafe { write_sysreg!("vbar_el1", table) };
}

/// Maps and sets up the distributor, with the groups that were asked for.
///
/// # Errors
/// A sentence.
pub(crate) fn init_distributor(described: &info::BootInfo<'_>) -> Result<(), &'static str> {
    let map = |region: boot::Region| {
        mm::device::map(region.base(), region.size()).map_err(|_| "the GIC could not be mapped")
    };
    let mut regions = heapless::Vec::<Region, { drivers::gicv3::MAX_REGIONS }>::new();
    for region in &described.gic.redistributors {
        let stride = described.gic.redistributor_stride.unwrap_or(0) as usize;
        let region = Region {
            base: map(*region)?,
            len_bytes: region.size() as usize,
            stride_bytes: core::num::NonZeroUsize::new(stride),
        };
        regions
            .push(region)
            .map_err(|_| "the GIC has too many redistributor regions")?;
    }
    let distributor = map(described.gic.distributor)?;
    // SAFETY: the device tree says that the registers are there, and they were just mapped, for ever.
    let mut gic = unsafe { Gic::new(distributor, &regions) }.unwrap_or_else(|error| stop(error));
    let boot_cpu = Affinity::from_mpidr(cpu::hw::sysreg::affinity());
    gic.distributor()
        .init(irq::setup().groups, boot_cpu)
        .unwrap_or_else(|error| stop(error));
    SPIS.call_once(|| gic.distributor().lines());
    *GIC.lock() = Some(gic);
    let ppi = |line: info::Line| IntId::from_raw(line.intid.number());
    let physical = ppi(described.timer.physical).ok_or("the timer's interrupt is none")?;
    let virtual_ = ppi(described.timer.virtual_).ok_or("the timer's interrupt is none")?;
    TIMER_PPIS.call_once(|| (virtual_, physical));
    Ok(())
}

/// Sets up this CPU's redistributor and CPU interface, its SGIs and its scheduler timer. In and out:
/// `Critical`.
pub(crate) fn init_cpu(cpu: &'static Cpu) {
    let affinity = Affinity::from_mpidr(cpu.percpu().mpidr());
    let (lines, security) = with_gic(|gic| {
        let security = gic.distributor().security();
        let mut redistributor = gic.redistributor(affinity)?;
        redistributor.init()?;
        for sgi in Sgi::ALL {
            let class = irq::effective(sgi.class());
            redistributor.configure(sgi.intid(), class, Trigger::Edge)?;
        }
        redistributor.configure(scheduler_ppi(), Class::Ordinary, Trigger::Level)?;
        redistributor.configure(free_ppi(), irq::effective(Class::Nmi), Trigger::Level)?;
        Ok((redistributor.lines(), security))
    })
    .unwrap_or_else(|error| stop(error));
    let groups = irq::setup().groups;
    // SAFETY: `Critical`; this CPU comes up, and its redistributor was initialized just now.
    let interface = unsafe { CpuInterface::init(SystemRegisters, affinity, groups, security) }
        .unwrap_or_else(|error| stop(error));
    let report = *REPORT.call_once(|| interface.report());
    if interface.report() != report {
        verdict::fail(format_args!(
            "CPU {}: its GIC CPU interface is not like CPU 0's: {:?} and {report:?}",
            cpu.index(),
            interface.report()
        ));
    }
    if u16::from(affinity.aff0()) >= report.affinity0_values {
        verdict::fail(format_args!(
            "CPU {} ({affinity}): SGIs reach only the first {} of a cluster",
            cpu.index(),
            report.affinity0_values
        ));
    }
    clock::disarm_both();
    if report.priority_mask_hint && irq::has_nmis() {
        verdict::fail(format_args!(
            "mask=pmr: ICC_CTLR_EL1.PMHE is set and cannot be cleared, so each PMR write would \
             need a DSB; use mask=daif"
        ));
    }
    if irq::setup().mechanism == Mechanism::Daif {
        // SAFETY: DAIF masks; PMR lets everything in for good.
        unsafe { write_sysreg!("icc_pmr_el1", u64::from(priority::PMR_ON)) };
    }
    cpu.set_gic(lines, interface);
    let own = Sgi::ALL
        .map(Sgi::intid)
        .into_iter()
        .chain([scheduler_ppi()]);
    for intid in own {
        match lines.line(intid) {
            Ok(line) => line.enable(),
            Err(error) => stop(error),
        }
    }
}

/// The scheduler's timer interrupt.
pub(crate) fn scheduler_ppi() -> IntId {
    ppis().0
}

/// The interrupt of the timer that is free for NMIs.
pub(crate) fn free_ppi() -> IntId {
    ppis().1
}

fn ppis() -> (IntId, IntId) {
    match TIMER_PPIS.get() {
        Some(ppis) => *ppis,
        None => panic!("the GIC was asked before it was set up"),
    }
}

/// The shared interrupts' run-time handle.
pub(crate) fn spis() -> Lines {
    match SPIS.get() {
        Some(lines) => *lines,
        None => panic!("the GIC was asked before it was set up"),
    }
}

/// Configures the shared interrupt `intid` for `cpu`, and leaves it disabled.
///
/// # Errors
/// The driver's.
pub(crate) fn configure_spi(
    intid: IntId,
    class: Class,
    trigger: Trigger,
    cpu: &Cpu,
) -> Result<(), GicError> {
    with_gic(|gic| {
        let distributor = gic.distributor();
        distributor.configure(intid, irq::effective(class), trigger)?;
        distributor.route(intid, Affinity::from_mpidr(cpu.percpu().mpidr()))
    })
}

/// How many shared interrupts there are, and how many security states the GIC shows.
pub(crate) fn gic_facts() -> (u32, Security) {
    with_gic(|gic| (gic.distributor().spi_count(), gic.distributor().security()))
}

fn with_gic<R>(work: impl FnOnce(&mut Gic) -> R) -> R {
    match GIC.lock().as_mut() {
        Some(gic) => work(gic),
        None => panic!("the GIC was asked before it was set up"),
    }
}

fn stop(error: GicError) -> ! {
    verdict::fail(format_args!("{error}"))
}

/// Stops if an interrupt is still active where a thread is about to be switched: the next one would
/// run with interrupts blocked. `NoIrq`.
#[inline(always)]
pub(crate) fn check_ledger(cpu: &Cpu) {
    let counters = &cpu.percpu().counters;
    // In this order: an NMI in between adds to both.
    let acknowledged = counters.of(Counter::Acknowledged);
    let deactivated = counters.of(Counter::Deactivated);
    let running = cpu_interface::running_priority();
    if deactivated < acknowledged || running != priority::IDLE {
        ledger_broken(running, acknowledged, deactivated);
    }
}

#[cold]
#[inline(never)]
fn ledger_broken(running: u8, acknowledged: u64, deactivated: u64) -> ! {
    panic!(
        "an interrupt is still active at a switch: running priority {running:#x}, \
         {acknowledged} acknowledged, {deactivated} deactivated"
    );
}

/// Stops if an idle CPU has anything left of what it was interrupted by: it is the state that every
/// path must come back to. `NoIrq`.
#[inline(always)]
pub(crate) fn check_idle(cpu: &Cpu) {
    check_ledger(cpu);
    let core = &cpu.idle.core;
    let (count, paths) = (core.preempt.count::<NoSteps>(), core.path.peek());
    if count != 0 || paths != 0 {
        panic!("idle has something left: preempt count {count:#x}, paths {paths:#x}");
    }
    debug_assert!(slots::irqs_held());
    if let Some(gic) = cpu.gic()
        && gic.active_priorities() != 0
    {
        panic!(
            "active priorities are not empty in idle: {:#x}",
            gic.active_priorities()
        );
    }
}
