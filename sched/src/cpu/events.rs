//! What reaches a CPU while its current task runs on: wake-ups, other CPUs' requests, the clock.

use super::Cpu;
use crate::cpu_set::CpuId;
use crate::level::Level;
use crate::state::Wake;
use crate::task::{Place, TaskId, Tasks, misplaced};

/// What the CPU whose queues changed has to do about it. If it is another CPU, both
/// [`Rearm`](Self::Rearm) and [`Needed`](Self::Needed) mean an interrupt to it, whose handler calls
/// [`Cpu::on_timer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[must_use = "a CPU that is not told goes on as before"]
pub enum Resched {
    /// Nothing.
    NotNeeded,
    /// Program its timer again: [`Cpu::next_deadline_ticks`] is earlier than it was.
    Rearm,
    /// Take the current task off and pick.
    Needed,
}

/// Whether a task was where the caller expected it, and was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a task that was taken out belongs to the caller"]
pub enum Removed {
    /// It is the caller's now, in no queue.
    Taken,
    /// It is elsewhere by now, and was not touched.
    Elsewhere,
}

impl Cpu {
    /// Enqueues a task that is the caller's, at the back of its level: a new one, one taken out
    /// elsewhere, or one whose wake-up the caller claimed and that has left its last CPU.
    ///
    /// # Panics
    ///
    /// If the task is in a queue.
    #[inline]
    pub fn enqueue<T: Tasks + ?Sized>(&mut self, tasks: &T, id: TaskId) -> Resched {
        let links = tasks.links(id);
        let was_contended = self.is_contended();
        links.left_ticks.set(0);
        links.set_cpu(self.id);
        self.ready.push_back(tasks, id);
        self.verdict(was_contended)
    }

    /// Enqueues a task whose wake-up the caller claimed ([`Wake::Claimed`]) on this CPU, where it
    /// last ran; if it had a deadline, that is forgotten. [`Resched::Needed`] if it is of a higher
    /// level than the current task, or the CPU is idle.
    ///
    /// # Panics
    ///
    /// If the task is in a queue other than this CPU's sleepers.
    #[inline]
    pub fn enqueue_woken<T: Tasks + ?Sized>(&mut self, tasks: &T, id: TaskId) -> Resched {
        let _ = self.cancel_sleep(tasks, id);
        self.enqueue(tasks, id)
    }

    /// Takes a task whose wake-up the caller claimed out of the sleep queue, to
    /// [`enqueue`](Self::enqueue) it on another CPU. [`Removed::Elsewhere`]: it had no deadline, or
    /// the clock was faster; it is the caller's all the same.
    ///
    /// # Panics
    ///
    /// If the task sleeps on another CPU.
    #[inline]
    pub fn cancel_sleep<T: Tasks + ?Sized>(&mut self, tasks: &T, id: TaskId) -> Removed {
        let links = tasks.links(id);
        if links.place() != Place::Sleeping {
            return Removed::Elsewhere;
        }
        if links.cpu() != self.id {
            misplaced(id, links, "woken with the lock of its CPU");
        }
        self.sleepers.remove(tasks, id);
        Removed::Taken
    }

    /// Lets time pass: wakes the sleepers that are due, and says whether the current task has to
    /// make room. For the timer interrupt, and for the one by which another CPU tells of a
    /// [`Resched`]. Program the timer again afterwards.
    #[inline]
    pub fn on_timer<T: Tasks + ?Sized>(&mut self, tasks: &T, now_ticks: u64) -> Resched {
        if self.sleepers.first_deadline_ticks() <= now_ticks {
            self.wake_due(tasks, now_ticks);
        }
        let must_leave = match self.current {
            None => !self.ready.is_empty(),
            Some(_) if self.ready.exceeds(self.current_level) => true,
            Some(_) => self.is_contended() && now_ticks >= self.quantum_end_ticks,
        };
        if must_leave {
            Resched::Needed
        } else {
            Resched::NotNeeded
        }
    }

    /// Wakes sleepers that are due, one batch at most. Not inlined: most timer interrupts end a
    /// quantum and wake nobody.
    #[inline(never)]
    fn wake_due<T: Tasks + ?Sized>(&mut self, tasks: &T, now_ticks: u64) {
        for _ in 0..Self::WAKE_BATCH {
            let Some(id) = self.sleepers.pop_due(tasks, now_ticks) else {
                break;
            };
            // Left: an event came first. Its waker finds the task in no queue and enqueues it.
            if tasks.links(id).state().wake() == Wake::Claimed {
                let _ = self.enqueue(tasks, id);
            }
        }
    }

    /// Changes the level of `id`, whose CPU this is (read [`Links::cpu`](crate::Links::cpu) again
    /// under the lock). A ready task that rises goes to the back of its new level, one that falls
    /// to the front (POSIX, `pthread_setschedprio`), so that a level lent and taken back costs no
    /// turn. A task that waits, or is on its way, has the new level when it is enqueued.
    pub fn set_level<T: Tasks + ?Sized>(&mut self, tasks: &T, id: TaskId, level: Level) -> Resched {
        let links = tasks.links(id);
        let was_contended = self.is_contended();
        links.set_level(level);
        match links.place() {
            _ if links.cpu() != self.id => {}
            Place::Running => self.current_level = level,
            Place::Ready(queued) if queued != level => {
                self.ready.remove(tasks, id);
                if level > queued {
                    self.ready.push_back(tasks, id);
                } else {
                    self.ready.push_front(tasks, id);
                }
            }
            _ => {}
        }
        self.verdict(was_contended)
    }

    /// Takes the ready task `id` out, to enqueue it on another CPU.
    pub fn migrate_out<T: Tasks + ?Sized>(&mut self, tasks: &T, id: TaskId) -> Removed {
        let links = tasks.links(id);
        match links.place() {
            Place::Ready(_) if links.cpu() == self.id => {
                self.ready.remove(tasks, id);
                Removed::Taken
            }
            _ => Removed::Elsewhere,
        }
    }

    /// Takes out a ready task that may run on `thief`, to enqueue it there: the first in order of
    /// running, of the [first few](crate::RunQueue::MOVABLE_SCAN).
    pub fn take_for<T: Tasks + ?Sized>(&mut self, tasks: &T, thief: CpuId) -> Option<TaskId> {
        self.ready.pop_movable(tasks, thief)
    }

    /// What a change of the ready tasks or of the current level asks for.
    #[inline]
    const fn verdict(&self, was_contended: bool) -> Resched {
        if self.current.is_none() {
            if self.ready.is_empty() {
                Resched::NotNeeded
            } else {
                Resched::Needed
            }
        } else if self.ready.exceeds(self.current_level) {
            Resched::Needed
        } else if !was_contended && self.is_contended() {
            Resched::Rearm
        } else {
            Resched::NotNeeded
        }
    }
}
