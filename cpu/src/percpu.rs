//! Data of one CPU, and the list of CPUs.
//!
//! A reference to *this* CPU's data is worth something only while the thread cannot be migrated: entry
//! code has it by construction, everybody else through a guard of [`crate::guard`].

use crate::cell::Local32;
use crate::counters::Counters;
use crate::trace::Ring;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// The most CPUs a Petrel machine has.
pub const MAX_CPUS: usize = 128;

/// Data of one CPU.
#[derive(Debug)]
#[repr(C)]
pub struct PerCpu {
    /// Top of the stack that a stack overflow is reported on; read by the vectors' assembly.
    overflow_top: u64,
    irq_top: u64,
    nmi_top: u64,
    mpidr: u64,
    /// What the floors above keep for this CPU: see [`PerCpu::set_above`].
    above: AtomicPtr<()>,
    index: u32,
    /// 1 while this CPU may hold references into tables that an epoch protects.
    pub watching: Local32,
    /// The last epoch this CPU was seen quiescent in.
    pub(crate) quiet_epoch: AtomicU64,
    /// What it counts about its entries.
    pub counters: Counters,
    /// What happened on it.
    pub trace: Ring,
}

/// The tops of a CPU's own stacks, as addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct StackTops {
    /// For ordinary handlers.
    pub irq: u64,
    /// For NMI and SError handlers.
    pub nmi: u64,
    /// For the report of an overflow.
    pub overflow: u64,
}

impl PerCpu {
    /// Data of CPU `index` with this `mpidr` (affinity fields).
    pub const fn new(index: u32, mpidr: u64, stacks: StackTops) -> Self {
        Self {
            overflow_top: stacks.overflow,
            irq_top: stacks.irq,
            nmi_top: stacks.nmi,
            mpidr,
            above: AtomicPtr::new(core::ptr::null_mut()),
            index,
            watching: Local32::new(1),
            quiet_epoch: AtomicU64::new(0),
            counters: Counters::new(),
            trace: Ring::new(index as u16),
        }
    }

    /// Makes the data of CPU `index` where it stays: it is too large for a stack.
    ///
    /// # Safety
    /// `place` is zeroed memory for one `PerCpu`, the caller's alone, never freed.
    pub unsafe fn place(
        place: *mut Self,
        index: u32,
        mpidr: u64,
        stacks: StackTops,
    ) -> &'static Self {
        // SAFETY: zeroes are a valid `PerCpu`; the memory is the caller's.
        let cpu = unsafe { &mut *place };
        cpu.overflow_top = stacks.overflow;
        cpu.irq_top = stacks.irq;
        cpu.nmi_top = stacks.nmi;
        cpu.mpidr = mpidr;
        cpu.index = index;
        cpu.watching.poke(1);
        cpu.trace.set_cpu(index as u16);
        cpu
    }

    /// Its number, 0 for the one that booted.
    #[inline(always)]
    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// Its affinity, as in `MPIDR_EL1`.
    pub fn mpidr(&self) -> u64 {
        self.mpidr
    }

    /// Keeps an address for the floors above, who know of what. Once, while the CPU is made.
    pub fn set_above(&self, data: *mut ()) {
        self.above.store(data, Ordering::Release);
    }

    /// What [`PerCpu::set_above`] was given; null before.
    #[inline(always)]
    pub fn above(&self) -> *mut () {
        self.above.load(Ordering::Relaxed)
    }

    /// The tops of its stacks.
    #[inline(always)]
    pub fn stacks(&self) -> StackTops {
        StackTops {
            irq: self.irq_top,
            nmi: self.nmi_top,
            overflow: self.overflow_top,
        }
    }

    /// Where the top of the overflow stack lies, for the vectors' assembly.
    pub const fn overflow_offset() -> usize {
        core::mem::offset_of!(Self, overflow_top)
    }
}

static ONLINE: AtomicU32 = AtomicU32::new(0);
static CPUS: [AtomicPtr<PerCpu>; MAX_CPUS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; MAX_CPUS];

/// Puts a CPU on the list: from now on epochs wait for it. CPUs come in the order of their index.
///
/// # Panics
/// If the CPU is not the next one.
pub fn publish(cpu: &'static PerCpu) {
    let index = cpu.index();
    assert_eq!(index, count(), "CPUs come online in order");
    CPUS[index].store(core::ptr::from_ref(cpu).cast_mut(), Ordering::Release);
    ONLINE.store(index as u32 + 1, Ordering::SeqCst);
}

/// How many CPUs are on the list.
pub fn count() -> usize {
    ONLINE.load(Ordering::SeqCst) as usize
}

/// The CPU with that number, if it is on the list.
pub fn get(index: usize) -> Option<&'static PerCpu> {
    let cpu = CPUS.get(index)?.load(Ordering::Acquire);
    // SAFETY: only `publish` stores here, and what it stores is a `&'static PerCpu`.
    unsafe { cpu.as_ref() }
}

/// All CPUs on the list, in order.
pub fn all() -> impl Iterator<Item = &'static PerCpu> {
    (0..count()).filter_map(get)
}
