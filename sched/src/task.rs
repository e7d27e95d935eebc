//! A task as the scheduler sees it: a number, and a node inside the kernel's thread.
//!
//! The queues are *intrusive*: the links between tasks are fields of the tasks. So no queue ever
//! allocates or is full, and taking a task out of the middle costs what it costs at the ends. A
//! task is in one queue at most, hence one pair of links serves the run queue and the sleep queue
//! alike; [`Place`] says in which it is, and every queue checks that before it touches the node.
//!
//! # Why the fields are atomics
//!
//! All of them are written under a lock, so `Cell` would do, but a thread that contains a `Cell` is
//! not `Sync`, and to say that the lock makes it so would take an `unsafe impl`. A relaxed atomic
//! load or store is the same single instruction on AArch64 (`LDR`, `STR`) and on x86, and no order
//! is asked of it, so the node is `Sync` for nothing. A reader without the lock (a debugger, a
//! report) sees old values at worst, never a torn one.

use crate::cpu_set::{CpuId, CpuSet};
use crate::level::Level;
use crate::state::TaskState;
use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// A task by its index in the kernel's thread table. `u32::MAX` is no task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u32);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kernel's thread table, as far as the scheduler needs it.
pub trait Tasks {
    /// The node of `id`. Called several times in every operation: an index, not a search.
    fn links(&self, id: TaskId) -> &Links;
}

/// Which queue a task is in. Written only by the owner of the task (crate documentation, rule 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In no queue: new, blocked without a deadline, or on its way between two queues.
    Nowhere,
    /// In the run queue of its CPU, in the FIFO of this level.
    Ready(Level),
    /// Current on its CPU.
    Running,
    /// In the sleep queue of its CPU.
    Sleeping,
    /// Has ended, and is never enqueued again.
    Gone,
}

/// What a task does, for people: a snapshot that may be old when it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is current on its CPU.
    Running,
    /// It waits for its turn on its CPU.
    Ready,
    /// It waits for a wake-up.
    Blocked,
    /// It waits for a wake-up or its deadline.
    Sleeping,
    /// It is awake and on its way to a run queue.
    Moving,
    /// It has ended.
    Dead,
}

/// The scheduler's part of a thread: 64 bytes, one cache line, owned by the kernel's thread.
#[derive(Debug)]
#[repr(align(64))]
pub struct Links {
    /// Run queue: the task behind. Sleep queue: the next sibling.
    pub(crate) next: Link,
    /// Run queue: the task in front. Sleep queue: the previous sibling, or the parent of a first
    /// child.
    pub(crate) prev: Link,
    /// Sleep queue: the first child.
    pub(crate) child: Link,
    state: TaskState,
    place: AtomicU8,
    level: AtomicU8,
    cpu: AtomicU8,
    /// What a preempted task has left of its quantum; 0: the next one is whole.
    pub(crate) left_ticks: Ticks,
    /// When a sleeper wakes.
    pub(crate) deadline_ticks: Ticks,
    /// Who came first among sleepers with one deadline.
    pub(crate) order: Ticks,
    allowed: [AtomicU64; 2],
}

const _: () = assert!(size_of::<Links>() == 64);

impl Links {
    /// The node of a new task: awake, in no queue, last seen on CPU 0.
    pub const fn new(level: Level, allowed: CpuSet) -> Self {
        let [low, high] = allowed.halves();
        Self {
            next: Link::new(),
            prev: Link::new(),
            child: Link::new(),
            state: TaskState::new(),
            place: AtomicU8::new(place_bits::NOWHERE),
            level: AtomicU8::new(level.get()),
            cpu: AtomicU8::new(0),
            left_ticks: Ticks::new(0),
            deadline_ticks: Ticks::new(0),
            order: Ticks::new(0),
            allowed: [AtomicU64::new(low), AtomicU64::new(high)],
        }
    }

    /// The word that wakers and the task settle wake-ups with. Needs no lock.
    #[inline]
    pub fn state(&self) -> &TaskState {
        &self.state
    }

    /// Which queue the task is in. Steady under the lock of its [`cpu`](Self::cpu).
    #[inline]
    pub fn place(&self) -> Place {
        place_bits::decode(self.place.load(Relaxed))
    }

    /// The CPU that the task is queued or current on, or last was: whose lock it belongs to. Who
    /// comes without that lock reads, locks, and reads again, for the task may have moved
    /// meanwhile.
    #[inline]
    pub fn cpu(&self) -> CpuId {
        CpuId::from_low_bits(self.cpu.load(Relaxed))
    }

    /// The level the task is to have; [`Place::Ready`] tells the one that it is queued at.
    /// [`Cpu::set_level`](crate::Cpu::set_level) changes it.
    #[inline]
    pub fn level(&self) -> Level {
        Level::from_low_bits(self.level.load(Relaxed))
    }

    /// The CPUs that the task may run on. Under the lock of its [`cpu`](Self::cpu), or the two
    /// halves may be of different ages.
    #[inline]
    pub fn allowed(&self) -> CpuSet {
        CpuSet::from_halves(self.allowed.each_ref().map(|half| half.load(Relaxed)))
    }

    /// Whether the task may run on `cpu`. Needs no lock.
    #[inline]
    pub fn allows(&self, cpu: CpuId) -> bool {
        let half = self.allowed[cpu.index() / 64].load(Relaxed);
        half >> (cpu.index() % 64) & 1 != 0
    }

    /// Restricts the task to `allowed`, under the lock of its [`cpu`](Self::cpu). Counts from the
    /// next enqueue; the caller moves the task if it has to: `Ready` with
    /// [`migrate_out`](crate::Cpu::migrate_out), `Running` with
    /// [`evict_current`](crate::Cpu::evict_current) on that CPU, `Sleeping` with a
    /// [`wake`](TaskState::wake), which may always come early.
    pub fn set_allowed(&self, allowed: CpuSet) {
        for (half, bits) in self.allowed.iter().zip(allowed.halves()) {
            half.store(bits, Relaxed);
        }
    }

    /// What the task does, for people. Needs no lock, and promises nothing.
    pub fn status(&self) -> Status {
        match self.place() {
            Place::Running => Status::Running,
            Place::Ready(_) => Status::Ready,
            Place::Gone => Status::Dead,
            _ if self.state.is_claimed() => Status::Moving,
            Place::Sleeping => Status::Sleeping,
            Place::Nowhere if self.state.is_blocked() => Status::Blocked,
            Place::Nowhere => Status::Moving,
        }
    }

    #[inline]
    pub(crate) fn set_place(&self, place: Place) {
        self.place.store(place_bits::encode(place), Relaxed);
    }

    #[inline]
    pub(crate) fn set_level(&self, level: Level) {
        self.level.store(level.get(), Relaxed);
    }

    #[inline]
    pub(crate) fn set_cpu(&self, cpu: CpuId) {
        self.cpu.store(cpu.bits(), Relaxed);
    }
}

/// Stops the kernel: a task is not where its owner believes it to be, so a queue is about to be
/// torn.
#[cold]
#[inline(never)]
pub(crate) fn misplaced(id: TaskId, links: &Links, wanted: &str) -> ! {
    let (place, cpu) = (links.place(), links.cpu());
    panic!("scheduler: task {id} (CPU {cpu}) is {place:?}, but should be {wanted}")
}

/// A link to another task, or to none.
#[derive(Debug)]
pub(crate) struct Link(AtomicU32);

impl Link {
    const NONE: u32 = u32::MAX;

    const fn new() -> Self {
        Self(AtomicU32::new(Self::NONE))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<TaskId> {
        let id = self.0.load(Relaxed);
        (id != Self::NONE).then_some(TaskId(id))
    }

    #[inline]
    pub(crate) fn set(&self, id: Option<TaskId>) {
        self.0.store(id.map_or(Self::NONE, |id| id.0), Relaxed);
    }

    /// The task, where the structure says that there is one.
    #[inline]
    pub(crate) fn id(&self) -> TaskId {
        TaskId(self.0.load(Relaxed))
    }
}

/// A 64-bit field of a node: ticks, or a count.
#[derive(Debug)]
pub(crate) struct Ticks(AtomicU64);

impl Ticks {
    const fn new(ticks: u64) -> Self {
        Self(AtomicU64::new(ticks))
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, ticks: u64) {
        self.0.store(ticks, Relaxed);
    }
}

/// [`Place`] in a byte: the low five bits are the level of a ready task.
mod place_bits {
    use super::{Level, Place};

    pub(super) const NOWHERE: u8 = 0;
    const RUNNING: u8 = 1;
    const SLEEPING: u8 = 2;
    const GONE: u8 = 3;
    const READY: u8 = 1 << 5;

    #[inline]
    pub(super) const fn encode(place: Place) -> u8 {
        match place {
            Place::Nowhere => NOWHERE,
            Place::Running => RUNNING,
            Place::Sleeping => SLEEPING,
            Place::Gone => GONE,
            Place::Ready(level) => READY | level.get(),
        }
    }

    #[inline]
    pub(super) const fn decode(bits: u8) -> Place {
        match bits {
            NOWHERE => Place::Nowhere,
            RUNNING => Place::Running,
            SLEEPING => Place::Sleeping,
            GONE => Place::Gone,
            ready => Place::Ready(Level::from_low_bits(ready)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Block, Wake};
    use proptest::prelude::*;

    #[test]
    fn a_place_survives_its_byte() {
        let ready = (0..32).map(|number| Place::Ready(Level::new(number).unwrap()));
        let others = [Place::Nowhere, Place::Running, Place::Sleeping, Place::Gone];
        for place in ready.chain(others) {
            assert_eq!(place_bits::decode(place_bits::encode(place)), place);
        }
    }

    #[test]
    fn status_tells_where_and_why() {
        let links = Links::new(Level::LOWEST, CpuSet::ALL);
        assert_eq!(links.status(), Status::Moving, "new, and not enqueued yet");
        links.set_place(Place::Running);
        assert_eq!(links.status(), Status::Running);
        assert_eq!(links.state().block(), Block::Blocked);
        links.set_place(Place::Nowhere);
        assert_eq!(links.status(), Status::Blocked);
        links.set_place(Place::Sleeping);
        assert_eq!(links.status(), Status::Sleeping);
        assert_eq!(links.state().wake(), Wake::Claimed);
        assert_eq!(
            links.status(),
            Status::Moving,
            "claimed, and still in the sleep queue"
        );
        links.set_place(Place::Ready(Level::LOWEST));
        assert_eq!(links.status(), Status::Ready);
        links.set_place(Place::Gone);
        assert_eq!(links.status(), Status::Dead);
    }

    proptest! {
        #[test]
        fn a_task_is_allowed_where_its_set_says(bits in proptest::array::uniform2(any::<u64>())) {
            let links = Links::new(Level::LOWEST, CpuSet::EMPTY);
            links.set_allowed(CpuSet::from_halves(bits));
            prop_assert_eq!(links.allowed(), CpuSet::from_halves(bits));
            for cpu in CpuSet::ALL {
                prop_assert_eq!(links.allows(cpu), links.allowed().contains(cpu));
            }
        }
    }
}
