//! Interrupts by number: who handles which, and sending software-generated ones.
//!
//! The table of handlers is read in any context, NMI included, without a lock, and replaced as a
//! whole (`cpu::epoch`). Whether an interrupt is an NMI is its priority's matter, not the table's.

use crate::mm::heap::{OutOfMemory, try_box};
use crate::smp::{self, Cpu};
use crate::{clock, deferred, panic};
use alloc::boxed::Box;
use core::ops::Deref;
use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Relaxed},
};
use cpu::epoch::{EpochCell, synchronize};
use cpu::guard::Pinned;
use cpu::lock::{Lock, Preempt};
use cpu::mask::Mechanism;
use cpu::percpu::PerCpu;
use drivers::affinity::Affinity;
use drivers::gicv3::{Class, Groups, IntId, Line, SystemRegisters, sgi};
use entry::frame::Frame;
use spin::Once;

/// INTIDs below this can be signalled; specials and LPIs are above.
const INTIDS: usize = 1020;

/// What a handler learns. It runs in `NoIrq` on the IRQ stack, or in `NoNmi` on the NMI stack.
pub(crate) struct Interrupt<'a> {
    /// Its number.
    pub(crate) intid: u32,
    /// What was interrupted.
    pub(crate) frame: &'a Frame,
    /// This CPU.
    pub(crate) cpu: &'static Cpu,
    /// What was given with the handler.
    pub(crate) argument: usize,
}

// SAFETY: only `dispatch` makes one, for a handler, which is neither migrated nor switched out.
unsafe impl Pinned for Interrupt<'_> {}

/// Handles an interrupt. Must not sleep; as an NMI also take no lock but of class `Nmi`.
pub(crate) type Handler = fn(&Interrupt<'_>);

#[derive(Clone, Copy)]
struct Entry {
    handler: Handler,
    argument: usize,
}

#[derive(Clone)]
struct Table([Entry; INTIDS]);

static NOBODY: Table = Table(
    [Entry {
        handler: unexpected,
        argument: 0,
    }; INTIDS],
);
static TABLE: EpochCell<Table> = EpochCell::new(&NOBODY);
/// Who replaces the table; a table that was replaced once is on the heap.
static WRITER: Lock<(), Preempt> = Lock::new(());
static UNEXPECTED: AtomicU64 = AtomicU64::new(0);

/// The software-generated interrupts in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Sgi {
    /// Look at need_resched and at the timer.
    Reschedule = 0,
    /// Do deferred work.
    Deferred = 1,
    /// Self-test and workloads, ordinary.
    Test = 2,
    /// Workloads: an ordinary call to another CPU.
    Call = 3,
    /// Stop: the kernel panics. NMI.
    Stop = 8,
    /// Self-test and workloads, NMI.
    TestNmi = 9,
    /// The storm's. NMI.
    StormNmi = 10,
}

impl Sgi {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::Reschedule,
        Self::Deferred,
        Self::Test,
        Self::Call,
        Self::Stop,
        Self::TestNmi,
        Self::StormNmi,
    ];

    /// Its INTID.
    pub(crate) const fn intid(self) -> IntId {
        match IntId::sgi(self as u32) {
            Some(intid) => intid,
            None => panic!("SGIs are 0 to 15"),
        }
    }

    /// How urgent it is meant to be; see [`effective`].
    pub(crate) const fn class(self) -> Class {
        match self {
            Self::Reschedule | Self::Deferred | Self::Test | Self::Call => Class::Ordinary,
            Self::Stop | Self::TestNmi | Self::StormNmi => Class::Nmi,
        }
    }
}

/// Whom an SGI goes to.
#[derive(Clone, Copy)]
pub(crate) enum To {
    /// One CPU, this one included.
    Cpu(&'static PerCpu),
    /// All CPUs but this one.
    Others,
}

/// Mechanism and groups, fixed at boot.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    /// How ordinary interrupts are masked.
    pub(crate) mechanism: Mechanism,
    /// Which groups ordinary interrupts and NMIs are in.
    pub(crate) groups: Groups,
}

static SETUP: Once<Setup> = Once::new();

/// Fixes mechanism and groups. Before any interrupt.
pub(crate) fn set_up(setup: Setup) {
    SETUP.call_once(|| setup);
}

/// Mechanism and groups.
pub(crate) fn setup() -> Setup {
    match SETUP.get() {
        Some(setup) => *setup,
        None => Setup {
            mechanism: Mechanism::Daif,
            groups: Groups::ALL_IRQ,
        },
    }
}

/// The class that an interrupt meant to be of `class` has under the mechanism in use: without
/// priority masking there are no NMIs.
pub(crate) fn effective(class: Class) -> Class {
    match setup().mechanism {
        Mechanism::Pmr => class,
        Mechanism::Daif => Class::Ordinary,
    }
}

/// Whether there are NMIs.
pub(crate) fn has_nmis() -> bool {
    setup().mechanism == Mechanism::Pmr
}

/// What to write to send each SGI to one target, worked out once.
pub(crate) struct Bells([Option<sgi::Request>; 16]);

impl Bells {
    /// Those of the CPU with that `mpidr`. When mechanism and groups are fixed.
    pub(crate) fn of(mpidr: u64) -> Self {
        let mut bells = Self([None; 16]);
        for sgi in Sgi::ALL {
            bells.0[sgi as usize] = request(sgi, sgi::Target::Cpu(Affinity::from_mpidr(mpidr)));
        }
        bells
    }

    /// That of `sgi`.
    #[inline(always)]
    pub(crate) fn get(&self, sgi: Sgi) -> Option<sgi::Request> {
        self.0[sgi as usize]
    }
}

fn request(sgi: Sgi, target: sgi::Target) -> Option<sgi::Request> {
    let group = setup().groups.of(effective(sgi.class()));
    sgi::Request::new(sgi.intid(), target, group)
}

/// Sends `sgi`. Any context.
#[inline]
pub(crate) fn send(sgi: Sgi, to: To) {
    let request = match to {
        To::Cpu(cpu) => smp::of(cpu).bells.get(sgi),
        To::Others => request(sgi, sgi::Target::AllButSelf),
    };
    if let Some(request) = request {
        sgi::send(&SystemRegisters, request);
    }
}

/// Runs the handler of `intid`. `NoIrq` or `NoNmi`, with the proof of it.
#[inline(always)]
pub(crate) fn dispatch(intid: u32, frame: &Frame, proof: &impl Pinned) {
    let table = TABLE.read(proof);
    let cpu = smp::this(proof);
    match table.0.get(intid as usize) {
        Some(entry) => (entry.handler)(&Interrupt {
            intid,
            frame,
            cpu,
            argument: entry.argument,
        }),
        None => unexpected(&Interrupt {
            intid,
            frame,
            cpu,
            argument: 0,
        }),
    }
}

/// Has `handler(argument)` called for `intid` from now on; waits until nobody runs the old one.
/// Threads, and the boot CPU before there are threads.
///
/// # Errors
/// [`OutOfMemory`]; then nothing has changed.
pub(crate) fn set_handler(
    intid: IntId,
    handler: Handler,
    argument: usize,
) -> Result<(), OutOfMemory> {
    replace(intid, Entry { handler, argument })
}

/// Has nobody handle `intid` from now on; waits until nobody runs the old handler.
///
/// # Errors
/// [`OutOfMemory`]; then nothing has changed.
pub(crate) fn clear_handler(intid: IntId) -> Result<(), OutOfMemory> {
    replace(intid, NOBODY.0[0])
}

fn replace(intid: IntId, entry: Entry) -> Result<(), OutOfMemory> {
    // A `Table` is too large for a stack.
    let old = {
        let writer = WRITER.lock();
        let mut next: Box<core::mem::MaybeUninit<Table>> = try_box_uninit()?;
        let current = TABLE.read(writer.pinned());
        // SAFETY: copies a whole table into new memory of its size.
        let next = unsafe {
            core::ptr::copy_nonoverlapping(current, next.as_mut_ptr(), 1);
            next.assume_init()
        };
        let next = Box::leak(next);
        if let Some(slot) = next.0.get_mut(intid.raw() as usize) {
            *slot = entry;
        }
        TABLE.replace(next)
    };
    synchronize(smp::prod_and_relax());
    if !core::ptr::eq(old, &raw const NOBODY) {
        // SAFETY: it was leaked by an earlier call, replaced once, and nobody sees it any more.
        drop(unsafe { Box::from_raw(core::ptr::from_ref(old).cast_mut()) });
    }
    Ok(())
}

/// Memory for a table.
fn try_box_uninit() -> Result<Box<core::mem::MaybeUninit<Table>>, OutOfMemory> {
    try_box(core::mem::MaybeUninit::uninit())
}

/// Shared interrupts that somebody has, a bit each.
static TAKEN: [AtomicU32; INTIDS.div_ceil(32)] = [const { AtomicU32::new(0) }; INTIDS.div_ceil(32)];

/// A shared interrupt that nobody else has as long as this lives. Its end leaves the line as it is:
/// disable it first.
pub(crate) struct Spi(Line);

impl Spi {
    /// Takes the shared interrupt that `line` is; `None`: somebody has it.
    pub(crate) fn take(line: Line) -> Option<Self> {
        let (word, bit) = taken(line);
        (word.fetch_or(bit, AcqRel) & bit == 0).then(|| Self(line))
    }
}

impl Deref for Spi {
    type Target = Line;

    #[inline]
    fn deref(&self) -> &Line {
        &self.0
    }
}

impl Drop for Spi {
    fn drop(&mut self) {
        let (word, bit) = taken(self.0);
        word.fetch_and(!bit, AcqRel);
    }
}

fn taken(line: Line) -> (&'static AtomicU32, u32) {
    let intid = line.interrupt().raw();
    (&TAKEN[intid as usize / 32 % TAKEN.len()], 1 << (intid % 32))
}

/// Sets the kernel's own handlers. Once, by the boot CPU.
///
/// # Errors
/// [`OutOfMemory`].
pub(crate) fn set_own_handlers() -> Result<(), OutOfMemory> {
    set_handler(Sgi::Reschedule.intid(), clock::on_reschedule, 0)?;
    set_handler(Sgi::Deferred.intid(), deferred::handle, 0)?;
    set_handler(Sgi::Stop.intid(), panic::on_stop, 0)
}

/// Interrupts that came and that nobody handles.
pub(crate) fn unexpected_count() -> u64 {
    UNEXPECTED.load(Relaxed)
}

#[cold]
#[inline(never)]
fn unexpected(interrupt: &Interrupt<'_>) {
    UNEXPECTED.fetch_add(1, Relaxed);
    log::warn!(
        "interrupt {} on CPU {} has no handler",
        interrupt.intid,
        interrupt.cpu.index()
    );
}
