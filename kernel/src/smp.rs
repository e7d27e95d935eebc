//! The CPUs: their data in the kernel, and bringing them up.

use crate::clock::Clock;
use crate::mm::{self, heap::OutOfMemory, stacks};
use crate::thread::{self, Thread};
use crate::{control, irq, power, selftest};
use alloc::alloc::Layout;
use alloc::boxed::Box;
use boot::arch::SecondaryStart;
use boot::info;
use core::fmt;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use core::time::Duration;
use cpu::guard::Pinned;
use cpu::hw::{local, sysreg};
use cpu::lock::Yield;
use cpu::percpu::{self, MAX_CPUS, PerCpu, StackTops};
use cpu::thread::Core;
use drivers::affinity::Affinity;
use drivers::gicv3::{CpuInterface, Lines, SystemRegisters};
use drivers::psci::PsciError;
use sched::CpuId;
use spin::{Once, mutex::SpinMutex};

/// How long a CPU may take to come up. QEMU needs a few hundred microseconds.
const COME_UP: Duration = Duration::from_secs(2);
/// How long a thread runs before another of its level gets its turn.
pub(crate) const QUANTUM: Duration = Duration::from_millis(4);

/// One CPU in the kernel.
pub(crate) struct Cpu {
    percpu: &'static PerCpu,
    id: CpuId,
    /// Who is ready, who sleeps, who runs. Taken with IRQs held, kept across a switch.
    pub(crate) queue: SpinMutex<sched::Cpu, Yield>,
    /// `queue.load()`, to look at without the lock.
    pub(crate) load: AtomicU32,
    /// The thread that was switched away from last; for who comes.
    pub(crate) previous: AtomicPtr<Thread>,
    /// Who runs when nobody is ready.
    pub(crate) idle: &'static Thread,
    /// The timer, and what it was set to.
    pub(crate) clock: Clock,
    /// How to send it SGIs.
    pub(crate) bells: irq::Bells,
    lines: Once<Lines>,
    gic: Once<CpuInterface<SystemRegisters>>,
}

impl Cpu {
    /// Its number.
    #[inline(always)]
    pub(crate) fn index(&self) -> usize {
        self.percpu.index()
    }

    /// Its number, as the scheduler has it.
    #[inline(always)]
    pub(crate) fn id(&self) -> CpuId {
        self.id
    }

    /// Its data on the lowest floor.
    #[inline(always)]
    pub(crate) fn percpu(&self) -> &'static PerCpu {
        self.percpu
    }

    /// Its SGIs and PPIs.
    pub(crate) fn lines(&self) -> Option<&Lines> {
        self.lines.get()
    }

    /// Its GIC CPU interface.
    pub(crate) fn gic(&self) -> Option<&CpuInterface<SystemRegisters>> {
        self.gic.get()
    }

    /// Notes its interrupt lines and its CPU interface. Once, while it comes up.
    pub(crate) fn set_gic(&self, lines: Lines, gic: CpuInterface<SystemRegisters>) {
        self.lines.call_once(|| lines);
        self.gic.call_once(|| gic);
    }
}

static CPUS: [AtomicPtr<Cpu>; MAX_CPUS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; MAX_CPUS];

/// The CPU with that number, if it was made.
#[inline(always)]
pub(crate) fn get(index: usize) -> Option<&'static Cpu> {
    let cpu = CPUS.get(index)?.load(Ordering::Acquire);
    // SAFETY: only `new` stores here, what it leaked.
    unsafe { cpu.as_ref() }
}

/// All CPUs that are up.
pub(crate) fn all() -> impl Iterator<Item = &'static Cpu> {
    (0..percpu::count()).filter_map(get)
}

/// So many CPUs, for people.
#[derive(Clone, Copy)]
pub(crate) struct Cpus(pub(crate) usize);

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} CPU{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

/// How many CPUs are up.
pub(crate) fn up() -> Cpus {
    Cpus(percpu::count())
}

/// This CPU, for who is not migrated.
#[inline(always)]
pub(crate) fn this(proof: &impl Pinned) -> &'static Cpu {
    of(proof.cpu())
}

/// The CPU whose data on the lowest floor that is.
#[inline(always)]
pub(crate) fn of(percpu: &'static PerCpu) -> &'static Cpu {
    // SAFETY: each `PerCpu` of this kernel is made by `new`, which stores a `&'static Cpu` there
    // before anybody else has it.
    unsafe { &*percpu.above().cast::<Cpu>() }
}

/// One turn of a wait for another CPU. `yield`, which lets an emulator that runs CPUs in turns give
/// the other its turn; the `isb` of `core::hint::spin_loop` does not.
#[inline(always)]
pub(crate) fn spin() {
    // SAFETY: a hint.
    unsafe { core::arch::asm!("yield", options(nomem, nostack, preserves_flags)) };
}

/// What to do while waiting for the readers of other CPUs (`cpu::epoch::synchronize`): lets others run,
/// and now and then interrupts the other CPUs, since one whose thread never switches passes only when it
/// is interrupted.
pub(crate) fn prod_and_relax() -> impl FnMut() {
    let mut turns = 0_u32;
    move || {
        if turns.is_multiple_of(1024) {
            irq::send(irq::Sgi::Reschedule, irq::To::Others);
        }
        turns = turns.wrapping_add(1);
        thread::relax();
    }
}

/// This CPU, or `None` before there is one. For who is not migrated.
pub(crate) fn try_this() -> Option<&'static Cpu> {
    let percpu = local::thread().cpu_ptr();
    // SAFETY: `Core::set_cpu` stores only `&'static PerCpu`.
    let percpu = unsafe { percpu.as_ref() }?;
    get(percpu.index())
}

/// The thread that runs here, as the lowest floor has it.
#[inline(always)]
pub(crate) fn this_thread_core() -> &'static Core {
    local::thread()
}

/// Why a CPU is not there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CpuError {
    /// No memory for its data.
    NoMemory,
    /// No redistributor, no CPU interface, or no way to call the firmware.
    NoFirmware,
    /// The firmware refused.
    Refused(PsciError),
    /// It was started and never said so.
    Silent,
    /// More than this kernel can number.
    TooMany,
}

impl fmt::Display for CpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => write!(f, "no memory for its data"),
            Self::NoFirmware => write!(f, "the device tree names no PSCI to start it with"),
            Self::Refused(error) => write!(f, "{error}"),
            Self::Silent => write!(f, "it did not come up within {} s", COME_UP.as_secs()),
            Self::TooMany => write!(f, "at most {MAX_CPUS} CPUs can be numbered"),
        }
    }
}

impl From<OutOfMemory> for CpuError {
    fn from(_: OutOfMemory) -> Self {
        Self::NoMemory
    }
}

/// Makes the data of CPU `index`, whose idle thread is `idle`.
///
/// # Errors
/// [`CpuError::NoMemory`], [`CpuError::TooMany`].
pub(crate) fn new(
    index: usize,
    mpidr: u64,
    idle: &'static Thread,
) -> Result<&'static Cpu, CpuError> {
    let id = CpuId::new(index).ok_or(CpuError::TooMany)?;
    let top = || Ok::<u64, CpuError>(stacks::allocate().ok_or(CpuError::NoMemory)?.end);
    let tops = StackTops {
        irq: top()?,
        nmi: top()?,
        overflow: top()?,
    };
    // SAFETY: the layout is not of size 0.
    let place = unsafe { alloc::alloc::alloc_zeroed(Layout::new::<PerCpu>()) };
    if place.is_null() {
        return Err(CpuError::NoMemory);
    }
    // SAFETY: zeroed, of the right size, ours, never freed.
    let percpu = unsafe { PerCpu::place(place.cast(), index as u32, mpidr, tops) };
    let clock = Clock::new();
    let queue = sched::Cpu::new(id, clock.ticks(QUANTUM));
    let cpu = Box::leak(mm::heap::try_box(Cpu {
        percpu,
        id,
        queue: SpinMutex::new(queue),
        load: AtomicU32::new(0),
        previous: AtomicPtr::new(core::ptr::null_mut()),
        idle,
        clock,
        bells: irq::Bells::of(mpidr),
        lines: Once::new(),
        gic: Once::new(),
    })?);
    percpu.set_above(core::ptr::from_ref(cpu).cast_mut().cast());
    idle.core.set_cpu(percpu);
    CPUS[index].store(cpu, Ordering::Release);
    Ok(cpu)
}

/// Brings up the CPU that the device tree describes, as CPU `index`, and waits for it.
///
/// # Errors
/// [`CpuError`].
pub(crate) fn bring_up(index: usize, described: &info::Cpu) -> Result<(), CpuError> {
    let psci = power::psci().ok_or(CpuError::NoFirmware)?;
    let idle = thread::new_idle(index)?;
    let cpu = new(index, described.mpidr, idle)?;
    let start = Box::leak(mm::heap::try_box(SecondaryStart {
        stack_top: idle.core.stack().end,
        thread: core::ptr::from_ref(idle) as u64,
        start: secondary,
    })?);
    let entry = boot::arch::secondary_entry(mm::image_pa());
    let target = Affinity::from_mpidr(described.mpidr);
    // SAFETY: `petrel_secondary` takes the address of a `SecondaryStart`, reads it in the high half
    // with caches on, and brings the CPU to `secondary` below.
    unsafe { psci.cpu_on(target, entry, core::ptr::from_ref(start) as u64) }
        .map_err(CpuError::Refused)?;
    let deadline = sysreg::counter() + cpu.clock.ticks(COME_UP);
    while percpu::count() <= index {
        if sysreg::counter() > deadline {
            return Err(CpuError::Silent);
        }
        spin();
    }
    Ok(())
}

/// The first Rust of a secondary. In: `Critical`, on its idle thread's stack.
extern "C" fn secondary(_: &'static SecondaryStart) -> ! {
    // SAFETY: this CPU runs in the high half, and the text is sealed.
    unsafe { boot::arch::settle(mm::space::reserved_ttbr()) };
    control::install(irq::setup().mechanism);
    let Some(cpu) = try_this() else {
        panic!("a CPU came up without its data");
    };
    control::init_cpu(cpu);
    selftest::run(cpu);
    percpu::publish(cpu.percpu);
    thread::enter_idle(cpu)
}
