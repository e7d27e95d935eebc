//! From the first Rust instruction to the first workload.
//!
//! Each step needs the ones before it and says in one sentence why it cannot go on. Until there is a
//! UART, sentences go out by semihosting.

use crate::irq::{self, Setup};
use crate::mm::{self, PAGE, TREE, table};
use crate::thread::{self, BOOT};
use crate::{clock, console, control, ipc, object, power, say, selftest, smp, verdict, workload};
use boot::args::{self, Config, Ipc, LogLevel, Mask, Ordinary, Switch};
use boot::dt::ValidBlob;
use boot::info::{self, BootInfo, CpuStatus, PsciVersion};
use boot::memory::{self, Footprint};
use boot::{Region, dt};
use core::sync::atomic::Ordering::Relaxed;
use cpu::hw::{slots, sysreg};
use cpu::mask::Mechanism;
use cpu::percpu;
use cpu::plant::{self, Plant};
use drivers::gicv3::Groups;
use log::LevelFilter;
use spin::Once;

/// The longest device tree that is read: what QEMU reserves for one.
const TREE_BYTES: u64 = 2 << 20;

/// Both are some kilobytes long: made in their place, never on a stack twice.
static INFO: Once<BootInfo<'static>> = Once::new();
static CONFIG: Once<Config<'static>> = Once::new();

/// What the device tree says.
pub(crate) fn info() -> &'static BootInfo<'static> {
    match INFO.get() {
        Some(info) => info,
        None => panic!("the device tree was asked before it was read"),
    }
}

/// What the boot arguments ask for.
pub(crate) fn config() -> &'static Config<'static> {
    match CONFIG.get() {
        Some(config) => config,
        None => panic!("the boot arguments were asked before they were read"),
    }
}

/// The first Rust of the boot CPU. In: `Critical`, MMU on, on the boot stack. `tree_pa` is what the
/// boot loader left in x0, `image_pa` where the image is.
#[unsafe(no_mangle)]
extern "C" fn petrel_kmain(tree_pa: u64, image_pa: u64) -> ! {
    mm::set_image_pa(image_pa);
    BOOT.core.set_stack(boot::arch::boot_stack());
    // SAFETY: the thread is static; from here on `local::thread` may be called.
    unsafe { cpu::write_sysreg!("tpidr_el1", core::ptr::from_ref(&BOOT) as u64) };
    control::install(Mechanism::Daif);
    thread::publish_boot();
    console::init_log();

    let (info, blob) = read_tree(tree_pa);
    open_console(info);
    find_firmware(info);
    say!(
        "petrel {} on {}, {}",
        env!("CARGO_PKG_VERSION"),
        info::model(&blob).unwrap_or("a machine without a name"),
        smp::Cpus(info.cpus.len())
    );
    let config = read_arguments(info.bootargs);
    log::set_max_level(match config.log {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    });

    init_memory(info, tree_pa, blob.bytes().len() as u64);
    if let Err(error) = clock::init() {
        verdict::fail(format_args!("{error}"));
    }
    init_interrupts(info, config);
    let cpu = init_boot_cpu();
    bring_up_others(info, config);
    if let Err(error) = object::reclaim::start().and_then(|()| object::timer::start()) {
        verdict::fail(format_args!("the reclaimer could not be started: {error}"));
    }
    workload::start(config);
    thread::enter_idle(cpu)
}

/// Maps, validates and walks the device tree.
#[inline(never)]
fn read_tree(pa: u64) -> (&'static BootInfo<'static>, ValidBlob<'static>) {
    if pa == 0 {
        verdict::fail(format_args!(
            "no device tree: x0 = 0 (boot the Image, target/petrel.img, not the ELF)"
        ));
    }
    if !pa.is_multiple_of(8) {
        verdict::fail(format_args!(
            "no device tree: x0 = {pa:#x} is not aligned to 8"
        ));
    }
    let start = pa & !(PAGE - 1);
    if table::map(TREE, start, TREE_BYTES, table::RODATA).is_err() {
        verdict::fail(format_args!(
            "the device tree at {pa:#x} could not be mapped"
        ));
    }
    let blob = (TREE + (pa - start)) as *const u8;
    let room = (TREE_BYTES - (pa - start)) as usize;
    // SAFETY: just mapped, for ever, and nobody writes it.
    let blob = match unsafe { dt::from_ptr(blob, room) } {
        Ok(blob) => blob,
        Err(error) => verdict::fail(format_args!("{error}")),
    };
    match INFO.try_call_once(|| BootInfo::collect(&blob)) {
        Ok(info) => (info, blob),
        Err(error) => verdict::fail(format_args!("{error}")),
    }
}

fn open_console(info: &BootInfo<'_>) {
    let registers = info.uart.registers;
    match mm::device::map(registers.base(), registers.size()) {
        // SAFETY: the device tree says that a PL011 is there, and it was just mapped.
        Ok(base) => unsafe { console::set_uart(base, registers.size()) },
        Err(error) => verdict::fail(format_args!("the UART could not be mapped: {error}")),
    }
}

/// Notes how the firmware is called; from here on the machine can be switched off.
fn find_firmware(info: &BootInfo<'_>) {
    match info.psci {
        Some(psci) if psci.version == PsciVersion::V0_1 => verdict::fail(format_args!(
            "device tree: PSCI 0.1 is too old; 0.2 or later is needed"
        )),
        Some(psci) => power::init(psci),
        None => {}
    }
}

/// Reads the boot arguments, and switches a planted bug on if they name one.
#[inline(never)]
fn read_arguments(arguments: &'static str) -> &'static Config<'static> {
    let config = match CONFIG.try_call_once(|| args::parse(arguments)) {
        Ok(config) => config,
        Err(error) => verdict::fail(format_args!("{error}")),
    };
    if let Some(name) = config.plant {
        if !plant::AVAILABLE {
            verdict::fail(format_args!(
                "boot argument plant={name}: this build has no planted bugs"
            ));
        }
        match Plant::from_name(name) {
            Some(plant) => {
                say!("planted: {name}");
                plant::switch_on(Some(plant));
            }
            None => verdict::fail(format_args!("boot argument plant={name}: no such bug")),
        }
    }
    if config.rain == Switch::On && !config.wants_init() {
        verdict::fail(format_args!(
            "boot argument rain=on: it rains over user space, and nothing here starts that"
        ));
    }
    ipc::fast::set_in_use(config.ipc == Ipc::Fast);
    crate::WANTS_TRACE.store(config.trace == Switch::On, Relaxed);
    config
}

#[inline(never)]
fn init_memory(info: &BootInfo<'_>, tree_pa: u64, tree_bytes: u64) {
    let (Some(kernel), Some(device_tree)) = (mm::image_region(), Region::new(tree_pa, tree_bytes))
    else {
        verdict::fail(format_args!(
            "the image or the device tree has no place in memory"
        ));
    };
    let footprint = Footprint {
        kernel,
        device_tree,
        initrd: info.initrd,
    };
    let free = match memory::plan(&info.memory, &info.reserved, &footprint) {
        Ok(free) => free,
        Err(error) => verdict::fail(format_args!("memory: {error}")),
    };
    if let Err(error) = mm::init(&free) {
        verdict::fail(format_args!("memory: {error}"));
    }
    say!(
        "memory: {} MiB free of {} MiB",
        memory::total_bytes(&free) >> 20,
        memory::total_bytes(&info.memory) >> 20
    );
}

/// Fixes mechanism and groups, patches and seals the text, sets up the distributor.
#[inline(never)]
fn init_interrupts(info: &BootInfo<'_>, config: &Config<'_>) {
    let mechanism = match config.mask {
        Mask::Daif => Mechanism::Daif,
        Mask::Pmr | Mask::Auto => Mechanism::Pmr,
        Mask::Fiq | Mask::AllInt => verdict::fail(format_args!(
            "boot argument mask={}: not built yet; there are daif and pmr",
            config.mask.word()
        )),
    };
    let groups = match config.ordinary {
        Ordinary::Group1 => Groups::ALL_IRQ,
        Ordinary::Group0 => Groups::ORDINARY_FIQ,
    };
    irq::set_up(Setup { mechanism, groups });
    // SAFETY: only this CPU runs, in `Critical`, and the text is still writable.
    let slots = unsafe { slots::patch(mechanism) };
    // SAFETY: nothing is written into the text any more, and this CPU is in the high half.
    unsafe {
        boot::arch::seal();
        boot::arch::settle(mm::space::reserved_ttbr());
    }
    control::install(mechanism);
    if let Err(why) = control::init_distributor(info) {
        verdict::fail(format_args!("{why}"));
    }
    let (spis, security) = control::gic_facts();
    say!(
        "interrupts: mask={}, ordinary={}, {spis} SPIs, {security:?}, {slots} mask slots",
        mechanism.name(),
        config.ordinary.word()
    );
}

fn init_boot_cpu() -> &'static smp::Cpu {
    let cpu = match smp::new(0, sysreg::affinity(), &BOOT) {
        Ok(cpu) => cpu,
        Err(error) => verdict::fail(format_args!("CPU 0: {error}")),
    };
    control::init_cpu(cpu);
    percpu::publish(cpu.percpu());
    let handlers = irq::set_own_handlers()
        .and_then(|()| irq::set_handler(control::scheduler_ppi(), clock::on_timer, 0))
        .and_then(|()| selftest::prepare());
    if let Err(error) = handlers {
        verdict::fail(format_args!("interrupt handlers: {error}"));
    }
    selftest::run(cpu);
    cpu
}

fn bring_up_others(info: &BootInfo<'_>, config: &Config<'_>) {
    let most = config.cpus.map_or(usize::MAX, |cpus| cpus.get() as usize);
    let mine = sysreg::affinity();
    let others = info
        .cpus
        .iter()
        .filter(|cpu| cpu.mpidr != mine && cpu.status != CpuStatus::Unusable);
    for (at, described) in others.enumerate().take(most.saturating_sub(1)) {
        if let Err(error) = smp::bring_up(at + 1, described) {
            verdict::fail(format_args!(
                "CPU {} (MPIDR {:#x}): {error}",
                at + 1,
                described.mpidr
            ));
        }
    }
    say!("{} up, self-test passed on each", smp::up());
}
