//! The part of a thread that entry, guards and the switch know: `TPIDR_EL1` points to it.
//!
//! What would be per-CPU elsewhere lives in the thread where it belongs to the thread: the preempt
//! count (a read-modify-write of a per-CPU count breaks when its owner migrates in the middle), and
//! the stack of paths (a fault handler may sleep and wake up on another CPU).

use crate::cell::{Local32, Local64, Steps};
use crate::percpu::PerCpu;
use core::ops::Range;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Why preemption is off, and whether one is wanted.
///
/// `count` holds three depths; `calm` is 1 as long as nobody asked for a switch. Both zero means: a
/// switch is wanted and permitted.
#[derive(Debug)]
#[repr(C)]
pub struct Preempt {
    count: Local32,
    calm: Local32,
}

/// One `preempt_disable`.
pub const PREEMPT_ONE: u32 = 1;
/// One ordinary interrupt handler.
pub const IRQ_ONE: u32 = 1 << 8;
/// One NMI or SError handler.
pub const NMI_ONE: u32 = 1 << 16;
const PREEMPT_MASK: u32 = 0xff;
const IRQ_MASK: u32 = 0xff << 8;
/// The NMI and SError handlers in a count.
pub const NMI_MASK: u32 = 0xff << 16;

impl Preempt {
    /// Preemption on, no switch wanted.
    pub const fn new() -> Self {
        Self {
            count: Local32::new(0),
            calm: Local32::new(1),
        }
    }

    /// The count, all depths together.
    #[inline(always)]
    #[cfg_attr(not(target_os = "none"), track_caller)]
    pub fn count<M: Steps>(&self) -> u32 {
        self.count.get::<M>()
    }

    /// Puts `one` on top of the count and gives what it was. Not checked for overflow: long before
    /// that the stack would be used up, and one depth would have run into the next.
    #[inline(always)]
    #[cfg_attr(not(target_os = "none"), track_caller)]
    pub fn add<M: Steps>(&self, one: u32) -> u32 {
        let count = self.count.get::<M>();
        self.count.set::<M>(count.wrapping_add(one));
        count
    }

    /// Takes `one` off the count and gives what is left.
    #[inline(always)]
    #[cfg_attr(not(target_os = "none"), track_caller)]
    pub fn sub<M: Steps>(&self, one: u32) -> u32 {
        let count = self.count.get::<M>() - one;
        self.count.set::<M>(count);
        count
    }

    /// Whether a switch is wanted.
    #[inline(always)]
    #[cfg_attr(not(target_os = "none"), track_caller)]
    pub fn need_resched<M: Steps>(&self) -> bool {
        self.calm.get::<M>() == 0
    }

    /// Asks for a switch at the next place where one is permitted.
    #[inline(always)]
    #[cfg_attr(not(target_os = "none"), track_caller)]
    pub fn set_need_resched<M: Steps>(&self) {
        self.calm.set::<M>(0);
    }

    /// The scheduler has looked.
    #[inline(always)]
    #[cfg_attr(not(target_os = "none"), track_caller)]
    pub fn clear_need_resched<M: Steps>(&self) {
        self.calm.set::<M>(1);
    }

    /// A switch is wanted and the count permits it.
    #[inline(always)]
    #[cfg_attr(not(target_os = "none"), track_caller)]
    pub fn wants_switch<M: Steps>(&self) -> bool {
        self.calm.get::<M>() | self.count.get::<M>() == 0
    }

    /// The count, and 0 if a switch is wanted.
    #[inline(always)]
    #[cfg_attr(not(target_os = "none"), track_caller)]
    pub fn both<M: Steps>(&self) -> (u32, u32) {
        (self.count.get::<M>(), self.calm.get::<M>())
    }

    /// Whether an NMI or SError handler runs on this thread's time.
    #[inline(always)]
    #[cfg_attr(not(target_os = "none"), track_caller)]
    pub fn in_nmi<M: Steps>(&self) -> bool {
        self.count.get::<M>() & NMI_MASK != 0
    }

    /// Whether somebody holds preemption off, handlers aside.
    #[inline(always)]
    pub fn is_disabled<M: Steps>(&self) -> bool {
        self.count.get::<M>() & PREEMPT_MASK != 0
    }

    /// Whether an ordinary interrupt handler runs on this thread's time.
    #[inline(always)]
    #[cfg_attr(not(target_os = "none"), track_caller)]
    pub fn in_irq<M: Steps>(&self) -> bool {
        self.count.get::<M>() & IRQ_MASK != 0
    }

    /// The count and need_resched, from outside (reports, tests).
    pub fn peek(&self) -> (u32, bool) {
        (self.count.peek(), self.calm.peek() == 0)
    }

    /// Where `calm` lies, for the idle loop's assembly.
    pub const fn calm_offset() -> usize {
        core::mem::offset_of!(Self, calm)
    }
}

impl Default for Preempt {
    fn default() -> Self {
        Self::new()
    }
}

/// What every thread begins with.
#[derive(Debug)]
#[repr(C)]
pub struct Core {
    /// Where the thread's registers are while it does not run. Written by the switch.
    pub(crate) sp: AtomicU64,
    /// The CPU it runs on, or ran on last.
    cpu: AtomicPtr<PerCpu>,
    /// Preempt count and need_resched.
    pub preempt: Preempt,
    /// The paths it is inside (`abi::path`).
    pub path: Local64,
    stack_bottom: AtomicU64,
    stack_top: AtomicU64,
    /// Where SP is while it is parked, and where it then goes on: see `hw::switch::prepare_user`.
    parked_sp: AtomicU64,
    resume: AtomicU64,
    /// What others want of it before it goes on at EL0; 0: nothing. Any CPU sets it, and sends its
    /// CPU an interrupt afterwards; the bits are the kernel's.
    pub work: AtomicU32,
    id: u32,
}

impl Core {
    /// A thread without a stack yet.
    pub const fn new(id: u32) -> Self {
        Self {
            sp: AtomicU64::new(0),
            cpu: AtomicPtr::new(core::ptr::null_mut()),
            preempt: Preempt::new(),
            path: Local64::new(0),
            stack_bottom: AtomicU64::new(0),
            stack_top: AtomicU64::new(0),
            parked_sp: AtomicU64::new(0),
            resume: AtomicU64::new(0),
            work: AtomicU32::new(0),
            id,
        }
    }

    /// Its id, unique among the living.
    #[inline(always)]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its stack, as addresses.
    pub fn stack(&self) -> Range<u64> {
        self.stack_bottom.load(Relaxed)..self.stack_top.load(Relaxed)
    }

    /// Gives it its stack, before it first runs.
    pub fn set_stack(&self, stack: Range<u64>) {
        self.stack_bottom.store(stack.start, Relaxed);
        self.stack_top.store(stack.end, Relaxed);
    }

    /// Where its registers are, if it does not run.
    pub fn saved_sp(&self) -> u64 {
        self.sp.load(Relaxed)
    }

    /// Sets where its first registers are, before it first runs.
    pub fn set_saved_sp(&self, sp: u64) {
        self.sp.store(sp, Relaxed);
    }

    /// The CPU it runs on, or ran on last; null before it was ever placed.
    #[inline(always)]
    pub fn cpu_ptr(&self) -> *mut PerCpu {
        self.cpu.load(Relaxed)
    }

    /// Says on which CPU it is about to run. By the scheduler, before the switch.
    #[inline(always)]
    pub fn set_cpu(&self, cpu: &'static PerCpu) {
        self.cpu.store(core::ptr::from_ref(cpu).cast_mut(), Relaxed);
    }

    /// Sets where it is parked: its SP then, and the address it goes on at. Before it first runs.
    pub fn set_parked(&self, sp: u64, resume: u64) {
        self.parked_sp.store(sp, Relaxed);
        self.resume.store(resume, Relaxed);
    }

    /// Whether somebody wants something of it before it goes on at EL0.
    #[inline(always)]
    #[cfg_attr(not(target_os = "none"), track_caller)]
    pub fn has_work<M: Steps>(&self) -> bool {
        M::step();
        self.work.load(Relaxed) != 0
    }

    /// Where the CPU pointer lies, for the vectors' assembly.
    pub const fn cpu_offset() -> usize {
        core::mem::offset_of!(Self, cpu)
    }

    /// Where the saved SP lies, for the switch's assembly.
    pub const fn sp_offset() -> usize {
        core::mem::offset_of!(Self, sp)
    }

    /// Where the parked SP and, behind it, the address to go on at lie, for the switch's assembly.
    pub const fn parked_offset() -> usize {
        const RESUME: usize = core::mem::offset_of!(Core, resume);
        const { assert!(RESUME == core::mem::offset_of!(Core, parked_sp) + 8) };
        core::mem::offset_of!(Self, parked_sp)
    }

    /// Where `calm` lies, for the idle loop's assembly.
    pub const fn calm_offset() -> usize {
        core::mem::offset_of!(Self, preempt) + Preempt::calm_offset()
    }
}
