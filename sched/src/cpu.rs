//! One CPU: its current task, its two queues, and the clock.
//!
//! The operations come in three groups, and the kernel combines them:
//!
//! - **Leave**: `preempt_current`, `yield_current`, `block_current`, `sleep_current_until`,
//!   `exit_current`, `evict_current` take the current task off the CPU and put it where it belongs.
//! - **Come**: [`pick`](Cpu::pick) makes the first ready task current after any of these, or none:
//!   the CPU is idle then. [`hand_over`](Cpu::hand_over) is the short cut past the queue for IPC.
//! - **Elsewhere**: what interrupts and other CPUs do, with the current task running on: enqueue,
//!   wake, steal, change a level, let time pass. Their answer is a [`Resched`].
//!
//! # Quanta
//!
//! A task that becomes current may run for a quantum, or for what a preemption has left it of one.
//! At its end it goes to the back of its level, but only if somebody of its level waits:
//! [`Cpu::next_deadline_ticks`] does not name the end otherwise, and no timer interrupt is taken to
//! find that nothing is to be done. A task that comes later, when the quantum of the current one is
//! long over, finds the end in the past, and the timer fires at once: who was alone has had its
//! turn.
//!
//! Nothing renews a quantum but the back of the queue. In particular a task started by
//! [`Cpu::hand_over`] runs on the rest of the caller's: two tasks that call each other for ever
//! count as one among their equals.
//!
//! For tasks of one level that always want to run, this gives: in whatever interval, the times that
//! any two of them got differ by at most one quantum, whatever higher levels did meanwhile
//! (`tests/fairness.rs`).
//!
//! # Time
//!
//! `now_ticks` is a reading of one monotonic counter, in any unit, that the caller passes in; it is
//! the same counter on all CPUs if deadlines travel between them. A deadline of `u64::MAX` is
//! never.

use crate::cpu_set::CpuId;
use crate::level::Level;
use crate::run_queue::RunQueue;
use crate::sleep_queue::SleepQueue;
use crate::state::Block;
use crate::task::{Links, Place, TaskId, Tasks, misplaced};

mod events;

pub use events::{Removed, Resched};

/// The scheduler of one CPU. Behind a lock of the kernel; see the crate's documentation.
#[derive(Debug)]
pub struct Cpu {
    id: CpuId,
    current: Option<TaskId>,
    /// The current task's level; means nothing while idle.
    current_level: Level,
    quantum_ticks: u64,
    /// When the current task has had its turn.
    quantum_end_ticks: u64,
    ready: RunQueue,
    sleepers: SleepQueue,
}

/// What became of [`Cpu::hand_over_from`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "who was not switched to still has to be woken"]
pub enum Handed {
    /// Nothing was done.
    Not,
    /// The task that was to leave was woken before it was gone, or is to end: it stays current, and its
    /// token is taken. Who tried again would block it, with nobody left to wake it.
    Stays,
    /// It was done; the timer's deadline may be another.
    Rearm,
    /// It was done, and the timer's deadline is what it was.
    Quiet,
}

impl Cpu {
    /// How many sleepers one timer interrupt wakes at most. The rest are due still, so the timer
    /// fires again at once, and other interrupts get their turn between.
    pub const WAKE_BATCH: u32 = 32;

    /// An idle CPU with empty queues.
    pub const fn new(id: CpuId, quantum_ticks: u64) -> Self {
        Self {
            id,
            current: None,
            current_level: Level::LOWEST,
            quantum_ticks,
            quantum_end_ticks: 0,
            ready: RunQueue::new(),
            sleepers: SleepQueue::new(),
        }
    }

    /// Which CPU this is.
    #[inline]
    pub const fn id(&self) -> CpuId {
        self.id
    }

    /// The task that runs; `None` while idle, and between a leave and the pick.
    #[inline]
    pub const fn current(&self) -> Option<TaskId> {
        self.current
    }

    /// The length of a whole quantum.
    #[inline]
    pub const fn quantum_ticks(&self) -> u64 {
        self.quantum_ticks
    }

    /// Changes the length of the quanta that begin from now on.
    pub const fn set_quantum_ticks(&mut self, quantum_ticks: u64) {
        self.quantum_ticks = quantum_ticks;
    }

    /// The ready tasks.
    #[inline]
    pub const fn ready(&self) -> &RunQueue {
        &self.ready
    }

    /// How many tasks want to run here: ready or current. What [`balance`](crate::balance)
    /// compares.
    #[inline]
    pub const fn load(&self) -> u32 {
        self.ready.len() + self.current.is_some() as u32
    }

    /// When the timer has to interrupt: the end of the quantum if anybody waits for it, or the
    /// first sleeper's deadline. In the past if it should have interrupted already; `None` if
    /// nothing will happen by itself.
    #[inline]
    pub const fn next_deadline_ticks(&self) -> Option<u64> {
        let first = self.sleepers.first_deadline_ticks();
        if self.is_contended() && self.quantum_end_ticks < first {
            Some(self.quantum_end_ticks)
        } else if first != u64::MAX {
            Some(first)
        } else {
            None
        }
    }

    // Leave.

    /// Takes the current task off, although it did not ask: to the front of its level with the rest
    /// of its quantum, or to the back if nothing is left. Nothing happens on an idle CPU.
    /// [`pick`](Self::pick) next, which may give the same task.
    #[inline]
    pub fn preempt_current<T: Tasks + ?Sized>(&mut self, tasks: &T, now_ticks: u64) {
        let Some(id) = self.current.take() else {
            return;
        };
        let links = tasks.links(id);
        let left_ticks = self.quantum_end_ticks.saturating_sub(now_ticks);
        links.left_ticks.set(left_ticks);
        links.set_place(Place::Nowhere);
        if left_ticks == 0 {
            self.ready.push_back(tasks, id);
        } else {
            self.ready.push_front(tasks, id);
        }
    }

    /// Takes the current task off at its own wish: to the back of its level, with a whole quantum
    /// to come. [`pick`](Self::pick) next, which gives the same task if it is alone.
    ///
    /// # Panics
    ///
    /// If the CPU is idle.
    #[inline]
    pub fn yield_current<T: Tasks + ?Sized>(&mut self, tasks: &T) {
        let (id, links) = self.running(tasks);
        self.take_off(links);
        links.left_ticks.set(0);
        self.ready.push_back(tasks, id);
    }

    /// Blocks the current task until somebody wakes it. It stays current if the answer is not
    /// [`Block::Blocked`]; otherwise [`pick`](Self::pick) or [`hand_over`](Self::hand_over) next,
    /// and hold the lock until the switch is done.
    ///
    /// # Panics
    ///
    /// If the CPU is idle.
    #[inline]
    pub fn block_current<T: Tasks + ?Sized>(&mut self, tasks: &T) -> Block {
        let (_, links) = self.running(tasks);
        let block = links.state().block();
        if block == Block::Blocked {
            self.take_off(links);
        }
        block
    }

    /// Blocks the current task as [`block_current`](Self::block_current) does, until
    /// `deadline_ticks` at the latest; `u64::MAX` is never. Which of the two it was, the task
    /// learns by looking at its condition first, and at the clock next.
    ///
    /// # Panics
    ///
    /// If the CPU is idle.
    #[inline]
    pub fn sleep_current_until<T: Tasks + ?Sized>(
        &mut self,
        tasks: &T,
        deadline_ticks: u64,
    ) -> Block {
        let (id, links) = self.running(tasks);
        let block = links.state().block();
        if block == Block::Blocked {
            self.take_off(links);
            self.sleepers.insert(tasks, id, deadline_ticks);
        }
        block
    }

    /// Ends the current task: it never runs again, and its wake-ups have no effect. Its number and
    /// its stack may be used anew when the switch is done and no waker knows it any more.
    /// [`pick`](Self::pick) next.
    ///
    /// # Panics
    ///
    /// If the CPU is idle.
    pub fn exit_current<T: Tasks + ?Sized>(&mut self, tasks: &T) -> TaskId {
        let (id, links) = self.running(tasks);
        self.take_off(links);
        links.set_place(Place::Gone);
        id
    }

    /// Takes the current task off because it may not run here any more. It is in no queue then, and
    /// the caller's, who enqueues it on another CPU, but only when the switch is done.
    /// [`pick`](Self::pick) next.
    ///
    /// # Panics
    ///
    /// If the CPU is idle.
    pub fn evict_current<T: Tasks + ?Sized>(&mut self, tasks: &T) -> TaskId {
        let (id, links) = self.running(tasks);
        self.take_off(links);
        id
    }

    // Come.

    /// Makes the first ready task current; `None`: the CPU is idle.
    ///
    /// # Panics
    ///
    /// If a task is current: it has to leave first.
    #[inline]
    pub fn pick<T: Tasks + ?Sized>(&mut self, tasks: &T, now_ticks: u64) -> Option<TaskId> {
        self.expect_nobody(tasks);
        let id = self.ready.pop_highest(tasks)?;
        let links = tasks.links(id);
        let left_ticks = links.left_ticks.get();
        let turn_ticks = if left_ticks == 0 {
            self.quantum_ticks
        } else {
            left_ticks
        };
        self.quantum_end_ticks = now_ticks.saturating_add(turn_ticks);
        self.begin(id, links);
        Some(id)
    }

    /// Makes `to` current at once, on what is left of the quantum of the task that has just
    /// blocked; unless a task of a higher level is ready, which is picked instead while `to` waits
    /// its turn. The task that runs now.
    ///
    /// The caller has claimed the wake-up of `to` ([`Wake::Claimed`](crate::Wake::Claimed)), which
    /// may run here and has left its last CPU. If it claimed first and then could not block itself,
    /// `to` goes to [`enqueue_woken`](Self::enqueue_woken).
    ///
    /// # Panics
    ///
    /// If a task is current, or `to` is in a queue other than this CPU's sleepers.
    #[inline]
    pub fn hand_over<T: Tasks + ?Sized>(
        &mut self,
        tasks: &T,
        to: TaskId,
        now_ticks: u64,
    ) -> TaskId {
        self.expect_nobody(tasks);
        let links = tasks.links(to);
        if links.place() != Place::Nowhere || self.ready.exceeds(links.level()) {
            return self.hand_over_slowly(tasks, to, now_ticks);
        }
        links.set_cpu(self.id);
        self.begin(to, links);
        to
    }

    /// Blocks the current task and makes `to` current in its place, on what is left of its quantum: what
    /// [`block_current`](Self::block_current) and [`hand_over`](Self::hand_over) do together, if nothing
    /// unusual is in the way. `to` is in no queue then, and nobody of a higher level is ready; the load
    /// stays what it was, and, if [`Handed::Quiet`], so does the timer's deadline.
    ///
    /// [`Handed::Not`]: nothing was changed. [`Handed::Stays`]: `from` could not block, and `to` is to go to
    /// [`enqueue_woken`](Self::enqueue_woken).
    ///
    /// The caller has claimed the wake-up of `to`, which last ran here, and may again. `from` is current.
    #[inline(always)]
    pub fn hand_over_from(&mut self, from: &Links, to: &Links, to_id: TaskId) -> Handed {
        let level = to.level();
        if to.place() != Place::Nowhere || self.ready.exceeds(level) {
            return Handed::Not;
        }
        if from.state().block() != Block::Blocked {
            return Handed::Stays;
        }
        from.set_place(Place::Nowhere);
        to.set_place(Place::Running);
        to.state().unblock();
        self.current = Some(to_id);
        self.current_level = level;
        if self.ready.is_empty() {
            Handed::Quiet
        } else {
            Handed::Rearm
        }
    }

    /// [`hand_over`](Self::hand_over) to a task that must leave the sleep queue first, or that may
    /// have to wait.
    #[cold]
    #[inline(never)]
    fn hand_over_slowly<T: Tasks + ?Sized>(
        &mut self,
        tasks: &T,
        to: TaskId,
        now_ticks: u64,
    ) -> TaskId {
        let links = tasks.links(to);
        if self.ready.exceeds(links.level()) {
            let _ = self.enqueue_woken(tasks, to);
            // There is a first: `to` is in the queue itself.
            return self.pick(tasks, now_ticks).unwrap_or(to);
        }
        if self.cancel_sleep(tasks, to) == Removed::Elsewhere {
            misplaced(to, links, "woken and in no queue");
        }
        self.begin(to, links);
        to
    }

    /// Whether somebody ready waits for the current task's quantum to end.
    #[inline]
    const fn is_contended(&self) -> bool {
        self.current.is_some() && self.ready.reaches(self.current_level)
    }

    /// The current task and its node.
    #[inline]
    fn running<'a, T: Tasks + ?Sized>(&self, tasks: &'a T) -> (TaskId, &'a Links) {
        match self.current {
            Some(id) => (id, tasks.links(id)),
            None => nobody_runs(self.id),
        }
    }

    /// Stops the kernel if the current task has not left before another comes.
    #[inline]
    fn expect_nobody<T: Tasks + ?Sized>(&self, tasks: &T) {
        if let Some(id) = self.current {
            misplaced(id, tasks.links(id), "off the CPU before the next comes");
        }
    }

    /// Nobody is current any more, and who was is in no queue.
    #[inline]
    fn take_off(&mut self, links: &Links) {
        self.current = None;
        links.set_place(Place::Nowhere);
    }

    /// Makes `id` current.
    #[inline]
    fn begin(&mut self, id: TaskId, links: &Links) {
        links.set_place(Place::Running);
        links.state().unblock();
        self.current = Some(id);
        self.current_level = links.level();
    }
}

/// Stops the kernel: the idle loop tried to do what only a task can.
#[cold]
#[inline(never)]
fn nobody_runs(cpu: CpuId) -> ! {
    panic!("scheduler: CPU {cpu} is idle, but a task is to leave it")
}
