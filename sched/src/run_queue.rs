//! Who is ready: a FIFO for each level, and one word that says which are not empty.
//!
//! The FIFOs are doubly linked lists through the tasks' own [`Links`]. The ends are
//! not marked: the first task's `prev` and the last one's `next` hold whatever was there, because
//! the queue itself knows its ends, and not writing them saves touching a second task in the two
//! operations that happen at every switch. Each operation but [`RunQueue::pop_movable`] is a
//! handful of loads and stores, however many tasks are ready.

use crate::cpu_set::{CpuId, CpuSet};
use crate::level::{Level, LevelSet};
use crate::task::{Links, Place, TaskId, Tasks, misplaced};

/// The first and the last task of a level; meaningless while the level is not in the set.
#[derive(Clone, Copy, Debug)]
struct Fifo {
    first: TaskId,
    last: TaskId,
}

impl Fifo {
    const UNUSED: Self = Self {
        first: TaskId(u32::MAX),
        last: TaskId(u32::MAX),
    };
}

/// The ready tasks of one CPU. Under that CPU's lock.
#[derive(Debug)]
pub struct RunQueue {
    occupied: LevelSet,
    len: u32,
    levels: [Fifo; Level::COUNT],
}

impl RunQueue {
    /// How many tasks [`pop_movable`](Self::pop_movable) looks at before it gives up: a thief holds
    /// the victim's lock meanwhile, and may come again.
    pub const MOVABLE_SCAN: usize = 16;

    /// A queue with nobody in it.
    pub const fn new() -> Self {
        Self {
            occupied: LevelSet::EMPTY,
            len: 0,
            levels: [Fifo::UNUSED; Level::COUNT],
        }
    }

    /// How many tasks are ready.
    #[inline]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether nobody is ready.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The highest level that has a ready task.
    #[inline]
    pub const fn highest_level(&self) -> Option<Level> {
        self.occupied.highest()
    }

    /// Whether a task of `level` or above is ready.
    #[inline]
    pub const fn reaches(&self, level: Level) -> bool {
        self.occupied.reaches(level)
    }

    /// Whether a task above `level` is ready.
    #[inline]
    pub const fn exceeds(&self, level: Level) -> bool {
        self.occupied.exceeds(level)
    }

    /// Puts `id` behind all others of its level.
    ///
    /// # Panics
    ///
    /// If the task is not [`Place::Nowhere`].
    #[inline]
    pub fn push_back<T: Tasks + ?Sized>(&mut self, tasks: &T, id: TaskId) {
        let links = tasks.links(id);
        let level = self.admit(links, id);
        let fifo = &mut self.levels[level.index()];
        if self.occupied.contains(level) {
            links.prev.set(Some(fifo.last));
            tasks.links(fifo.last).next.set(Some(id));
        } else {
            self.occupied.insert(level);
            fifo.first = id;
        }
        fifo.last = id;
    }

    /// Puts `id` before all others of its level.
    ///
    /// # Panics
    ///
    /// If the task is not [`Place::Nowhere`].
    #[inline]
    pub fn push_front<T: Tasks + ?Sized>(&mut self, tasks: &T, id: TaskId) {
        let links = tasks.links(id);
        let level = self.admit(links, id);
        let fifo = &mut self.levels[level.index()];
        if self.occupied.contains(level) {
            links.next.set(Some(fifo.first));
            tasks.links(fifo.first).prev.set(Some(id));
        } else {
            self.occupied.insert(level);
            fifo.last = id;
        }
        fifo.first = id;
    }

    /// Takes out the first task of the highest level.
    #[inline]
    pub fn pop_highest<T: Tasks + ?Sized>(&mut self, tasks: &T) -> Option<TaskId> {
        let level = self.highest_level()?;
        let fifo = &mut self.levels[level.index()];
        let id = fifo.first;
        let links = tasks.links(id);
        if id == fifo.last {
            self.occupied.remove(level);
        } else {
            fifo.first = links.next.id();
        }
        self.dismiss(links);
        Some(id)
    }

    /// Takes out `id`, wherever it stands.
    ///
    /// # Panics
    ///
    /// If the task is not [`Place::Ready`]. That it is ready in *this* queue is the caller's to
    /// know.
    #[inline]
    pub fn remove<T: Tasks + ?Sized>(&mut self, tasks: &T, id: TaskId) {
        let links = tasks.links(id);
        let Place::Ready(level) = links.place() else {
            misplaced(id, links, "ready")
        };
        let fifo = &mut self.levels[level.index()];
        match (id == fifo.first, id == fifo.last) {
            (true, true) => self.occupied.remove(level),
            (true, false) => fifo.first = links.next.id(),
            (false, true) => fifo.last = links.prev.id(),
            (false, false) => {
                let (prev, next) = (links.prev.id(), links.next.id());
                tasks.links(prev).next.set(Some(next));
                tasks.links(next).prev.set(Some(prev));
            }
        }
        self.dismiss(links);
    }

    /// Takes out the first task in order of running that may run on `to`, among the first
    /// [`MOVABLE_SCAN`](Self::MOVABLE_SCAN).
    pub fn pop_movable<T: Tasks + ?Sized>(&mut self, tasks: &T, to: CpuId) -> Option<TaskId> {
        let id = {
            let mut front = self.iter(tasks).take(Self::MOVABLE_SCAN);
            front.find(|&id| tasks.links(id).allows(to))?
        };
        self.remove(tasks, id);
        Some(id)
    }

    /// The CPUs for which [`pop_movable`](Self::pop_movable) finds a task.
    pub fn movable_to<T: Tasks + ?Sized>(&self, tasks: &T) -> CpuSet {
        let front = self.iter(tasks).take(Self::MOVABLE_SCAN);
        front.fold(CpuSet::EMPTY, |set, id| {
            set.union(tasks.links(id).allowed())
        })
    }

    /// The ready tasks in the order in which they would run if nothing changed.
    pub fn iter<'a, T: Tasks + ?Sized>(
        &'a self,
        tasks: &'a T,
    ) -> impl Iterator<Item = TaskId> + 'a {
        let mut below = self.occupied;
        let levels = core::iter::from_fn(move || {
            let level = below.highest()?;
            below.remove(level);
            Some(self.levels[level.index()])
        });
        levels.flat_map(move |fifo| {
            core::iter::successors(Some(fifo.first), move |&id| {
                (id != fifo.last).then(|| tasks.links(id).next.id())
            })
        })
    }

    /// Counts a task in and marks its node; its level.
    #[inline]
    fn admit(&mut self, links: &Links, id: TaskId) -> Level {
        if links.place() != Place::Nowhere {
            misplaced(id, links, "in no queue");
        }
        let level = links.level();
        links.set_place(Place::Ready(level));
        self.len += 1;
        level
    }

    /// Counts a task out and marks its node.
    #[inline]
    fn dismiss(&mut self, links: &Links) {
        links.set_place(Place::Nowhere);
        self.len -= 1;
    }
}

impl Default for RunQueue {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Table, level};
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    const TASKS: u32 = 24;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        PushBack(u32),
        PushFront(u32),
        Pop,
        Remove(u32),
        SetLevel(u32, u8),
        PopMovable(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let id = 0..TASKS;
        prop_oneof![
            4 => id.clone().prop_map(Op::PushBack),
            2 => id.clone().prop_map(Op::PushFront),
            2 => Just(Op::Pop),
            2 => id.clone().prop_map(Op::Remove),
            // A level may change while its task is queued: it counts from the next push.
            1 => (id, 0u8..32).prop_map(|(id, level)| Op::SetLevel(id, level)),
            1 => (0usize..4).prop_map(Op::PopMovable),
        ]
    }

    /// The naive queue: a `VecDeque` for each level.
    struct Model([VecDeque<TaskId>; Level::COUNT]);

    impl Model {
        fn order(&self) -> Vec<TaskId> {
            self.0.iter().rev().flatten().copied().collect()
        }

        fn contains(&self, id: TaskId) -> bool {
            self.order().contains(&id)
        }

        fn remove(&mut self, id: TaskId) {
            self.0
                .iter_mut()
                .for_each(|fifo| fifo.retain(|&other| other != id));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn a_run_queue_is_a_fifo_for_each_level(ops in proptest::collection::vec(op(), 0..200)) {
            let tasks = Table::new(TASKS, |id| {
                // Task n may run on CPU n % 4 only, so that a thief must look past some.
                let own = CpuSet::only(CpuId::new(id.0 as usize % 4).unwrap());
                Links::new(level(id.0 as u8 % 5), own)
            });
            let mut queue = RunQueue::new();
            let mut model = Model(Default::default());
            for op in ops {
                match op {
                    Op::PushBack(id) | Op::PushFront(id) if model.contains(TaskId(id)) => {}
                    Op::PushBack(id) => {
                        queue.push_back(&tasks, TaskId(id));
                        model.0[tasks.links(TaskId(id)).level().index()].push_back(TaskId(id));
                    }
                    Op::PushFront(id) => {
                        queue.push_front(&tasks, TaskId(id));
                        model.0[tasks.links(TaskId(id)).level().index()].push_front(TaskId(id));
                    }
                    Op::Pop => {
                        let expected = model.order().first().copied();
                        prop_assert_eq!(queue.pop_highest(&tasks), expected);
                        expected.inspect(|&id| model.remove(id));
                    }
                    Op::Remove(id) => {
                        if model.contains(TaskId(id)) {
                            queue.remove(&tasks, TaskId(id));
                            model.remove(TaskId(id));
                        }
                    }
                    Op::SetLevel(id, number) => tasks.links(TaskId(id)).set_level(level(number)),
                    Op::PopMovable(cpu) => {
                        let cpu = CpuId::new(cpu).unwrap();
                        let order = model.order();
                        let mut front = order.iter().take(RunQueue::MOVABLE_SCAN);
                        let expected = front.find(|id| tasks.links(**id).allows(cpu)).copied();
                        let is_movable = queue.movable_to(&tasks).contains(cpu);
                        prop_assert_eq!(is_movable, expected.is_some());
                        prop_assert_eq!(queue.pop_movable(&tasks, cpu), expected);
                        expected.inspect(|&id| model.remove(id));
                    }
                }
                let order = model.order();
                prop_assert_eq!(queue.iter(&tasks).collect::<Vec<_>>(), order.clone());
                prop_assert_eq!(queue.len() as usize, order.len());
                prop_assert_eq!(queue.is_empty(), order.is_empty());
                let highest = model.0.iter().rposition(|fifo| !fifo.is_empty());
                prop_assert_eq!(queue.highest_level().map(Level::index), highest);
                for id in (0..TASKS).map(TaskId) {
                    let queued = model.0.iter().position(|fifo| fifo.contains(&id));
                    let place = queued.map_or(Place::Nowhere, |at| Place::Ready(level(at as u8)));
                    prop_assert_eq!(tasks.links(id).place(), place);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "task 1 (CPU 0) is Ready(Level(3)), but should be in no queue")]
    fn a_task_cannot_be_queued_twice() {
        let tasks = Table::new(2, |_| Links::new(level(3), CpuSet::ALL));
        let mut queue = RunQueue::new();
        queue.push_back(&tasks, TaskId(1));
        queue.push_front(&tasks, TaskId(1));
    }

    #[test]
    #[should_panic(expected = "task 0 (CPU 0) is Nowhere, but should be ready")]
    fn a_task_cannot_be_taken_out_twice() {
        let tasks = Table::new(1, |_| Links::new(level(3), CpuSet::ALL));
        let mut queue = RunQueue::new();
        queue.push_back(&tasks, TaskId(0));
        queue.remove(&tasks, TaskId(0));
        queue.remove(&tasks, TaskId(0));
    }
}
