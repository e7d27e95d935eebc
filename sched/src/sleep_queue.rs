//! Who waits for the clock: a pairing heap through the tasks' own links.
//!
//! What the kernel does most with timeouts is to set them and to take them back unused. So
//! insertion must be O(1), the first deadline must be at hand (the timer is programmed from it at
//! every switch), and an arbitrary sleeper must come out cheaply. A sorted list inserts in O(n), a
//! binary heap needs an array, a timing wheel rounds deadlines and must be ticked; the pairing heap
//! (Fredman, Sedgewick, Sleator and Tarjan 1986) has insertion in O(1), removal in O(log n)
//! amortised, and three links per node. A single pop may take O(n), once for n insertions made
//! since the last one.
//!
//! Each node has a list of children; no child is due before its parent. The children of a node are
//! linked by `next`; `prev` leads back, from the first child to the parent. Among equal deadlines
//! the order of insertion decides: every insertion is numbered.

use crate::task::{Links, Place, TaskId, Tasks, misplaced};

/// The sleeping tasks of one CPU. Under that CPU's lock.
#[derive(Debug)]
pub struct SleepQueue {
    root: Option<TaskId>,
    /// The root's deadline; `u64::MAX` if there is none.
    first_ticks: u64,
    /// The number of the next insertion.
    next_order: u64,
}

impl SleepQueue {
    /// A queue with nobody in it.
    pub const fn new() -> Self {
        Self {
            root: None,
            first_ticks: u64::MAX,
            next_order: 0,
        }
    }

    /// When the first sleeper is due; `u64::MAX` if nobody is, ever.
    #[inline]
    pub const fn first_deadline_ticks(&self) -> u64 {
        self.first_ticks
    }

    /// Puts `id` to sleep until `deadline_ticks`; `u64::MAX` is never. O(1).
    ///
    /// # Panics
    ///
    /// If the task is not [`Place::Nowhere`].
    #[inline]
    pub fn insert<T: Tasks + ?Sized>(&mut self, tasks: &T, id: TaskId, deadline_ticks: u64) {
        let links = tasks.links(id);
        if links.place() != Place::Nowhere {
            misplaced(id, links, "in no queue");
        }
        links.set_place(Place::Sleeping);
        links.deadline_ticks.set(deadline_ticks);
        links.order.set(self.next_order);
        links.child.set(None);
        self.next_order += 1;
        let root = match self.root {
            None => id,
            Some(root) => meld(tasks, root, id),
        };
        self.set_root(tasks, Some(root));
    }

    /// Takes out the first sleeper if it is due at `now_ticks`. O(log n) amortised.
    #[inline]
    pub fn pop_due<T: Tasks + ?Sized>(&mut self, tasks: &T, now_ticks: u64) -> Option<TaskId> {
        if self.first_ticks > now_ticks {
            return None;
        }
        let id = self.root?;
        self.remove(tasks, id);
        Some(id)
    }

    /// Takes out `id`, whenever it is due. O(log n) amortised.
    ///
    /// # Panics
    ///
    /// If the task is not [`Place::Sleeping`]. That it sleeps in *this* queue is the caller's to
    /// know.
    pub fn remove<T: Tasks + ?Sized>(&mut self, tasks: &T, id: TaskId) {
        let links = tasks.links(id);
        if links.place() != Place::Sleeping {
            misplaced(id, links, "sleeping");
        }
        links.set_place(Place::Nowhere);
        let orphans = meld_siblings(tasks, links.child.get());
        let root = if self.root == Some(id) {
            orphans
        } else {
            cut(tasks, id, links);
            // Not the root, so there is one.
            self.root
                .map(|root| orphans.map_or(root, |orphan| meld(tasks, root, orphan)))
        };
        self.set_root(tasks, root);
    }

    #[inline]
    fn set_root<T: Tasks + ?Sized>(&mut self, tasks: &T, root: Option<TaskId>) {
        self.root = root;
        self.first_ticks = root.map_or(u64::MAX, |id| tasks.links(id).deadline_ticks.get());
    }
}

impl Default for SleepQueue {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes one heap of two: the later root becomes the first child of the earlier. The earlier root.
#[inline]
fn meld<T: Tasks + ?Sized>(tasks: &T, a: TaskId, b: TaskId) -> TaskId {
    let (a_links, b_links) = (tasks.links(a), tasks.links(b));
    let key = |links: &Links| (links.deadline_ticks.get(), links.order.get());
    let (parent, parent_links, child, child_links) = if key(a_links) <= key(b_links) {
        (a, a_links, b, b_links)
    } else {
        (b, b_links, a, a_links)
    };
    let sibling = parent_links.child.get();
    child_links.next.set(sibling);
    child_links.prev.set(Some(parent));
    if let Some(sibling) = sibling {
        tasks.links(sibling).prev.set(Some(child));
    }
    parent_links.child.set(Some(child));
    parent
}

/// Takes `id`, which is not the root, with its subtree off its parent.
#[inline]
fn cut<T: Tasks + ?Sized>(tasks: &T, id: TaskId, links: &Links) {
    let (before, next) = (links.prev.id(), links.next.get());
    let before_links = tasks.links(before);
    // A sibling in front never has `id` as its child, so this tells the parent from it.
    if before_links.child.get() == Some(id) {
        before_links.child.set(next);
    } else {
        before_links.next.set(next);
    }
    if let Some(next) = next {
        tasks.links(next).prev.set(Some(before));
    }
}

/// Makes one heap of a list of siblings: melds them in pairs from the front, then the pairs from
/// the back. This order is what makes the cost logarithmic. The pairs wait on a stack, linked by
/// `next`.
fn meld_siblings<T: Tasks + ?Sized>(tasks: &T, first: Option<TaskId>) -> Option<TaskId> {
    let mut rest = first;
    let mut pairs = None;
    while let Some(a) = rest {
        let pair = match tasks.links(a).next.get() {
            None => {
                rest = None;
                a
            }
            Some(b) => {
                rest = tasks.links(b).next.get();
                meld(tasks, a, b)
            }
        };
        tasks.links(pair).next.set(pairs);
        pairs = Some(pair);
    }
    let mut heap = pairs?;
    pairs = tasks.links(heap).next.get();
    while let Some(pair) = pairs {
        pairs = tasks.links(pair).next.get();
        heap = meld(tasks, heap, pair);
    }
    Some(heap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu_set::CpuSet;
    use crate::level::Level;
    use crate::testing::Table;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    const TASKS: u32 = 40;

    fn table(count: u32) -> Table {
        Table::new(count, |_| Links::new(Level::LOWEST, CpuSet::ALL))
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Insert(u32, u64),
        PopDue(u64),
        Remove(u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        // Few deadlines, so that many are equal.
        let ticks = prop_oneof![9 => 0u64..12, 1 => Just(u64::MAX)];
        prop_oneof![
            5 => (0..TASKS, ticks.clone()).prop_map(|(id, at)| Op::Insert(id, at)),
            3 => ticks.prop_map(Op::PopDue),
            2 => (0..TASKS).prop_map(Op::Remove),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Against a sorted set of (deadline, number of insertion, task).
        #[test]
        fn sleepers_leave_in_order_of_deadline_then_of_arrival(
            ops in proptest::collection::vec(op(), 0..300),
        ) {
            let tasks = table(TASKS);
            let mut queue = SleepQueue::new();
            let mut model = BTreeSet::new();
            for (number, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Insert(id, at) => {
                        if model.iter().all(|&(_, _, other)| other != TaskId(id)) {
                            queue.insert(&tasks, TaskId(id), at);
                            model.insert((at, number, TaskId(id)));
                        }
                    }
                    Op::PopDue(now) => {
                        let first = model.first().copied();
                        let due = first.filter(|&(at, _, _)| at <= now);
                        prop_assert_eq!(queue.pop_due(&tasks, now), due.map(|(_, _, id)| id));
                        due.inspect(|entry| assert!(model.remove(entry)));
                    }
                    Op::Remove(id) => {
                        let found = model.iter().find(|entry| entry.2 == TaskId(id)).copied();
                        if let Some(entry) = found {
                            queue.remove(&tasks, TaskId(id));
                            model.remove(&entry);
                        }
                    }
                }
                let first = model.first().map_or(u64::MAX, |&(at, _, _)| at);
                prop_assert_eq!(queue.first_deadline_ticks(), first);
                let places = (0..TASKS).map(|id| tasks.links(TaskId(id)).place());
                let sleeping = places.filter(|&place| place == Place::Sleeping);
                prop_assert_eq!(sleeping.count(), model.len());
            }
            let left: Vec<_> = core::iter::from_fn(|| queue.pop_due(&tasks, u64::MAX)).collect();
            prop_assert_eq!(left, model.iter().map(|&(_, _, id)| id).collect::<Vec<_>>());
        }
    }

    /// The amortised bound, measured: n timeouts set in rising order (the worst for the next pop)
    /// and popped touch each node some log n times, not n times.
    #[test]
    fn popping_everything_is_not_quadratic() {
        struct Counted(Table, core::cell::Cell<u64>);
        impl Tasks for Counted {
            fn links(&self, id: TaskId) -> &Links {
                self.1.set(self.1.get() + 1);
                self.0.links(id)
            }
        }
        const COUNT: u32 = 4096;
        let tasks = Counted(table(COUNT), Default::default());
        let mut queue = SleepQueue::new();
        for id in 0..COUNT {
            queue.insert(&tasks, TaskId(id), u64::from(id));
        }
        assert!(
            tasks.1.get() <= 5 * u64::from(COUNT),
            "insertion is O(1): {}",
            tasks.1.get()
        );
        tasks.1.set(0);
        for id in 0..COUNT {
            assert_eq!(queue.pop_due(&tasks, u64::MAX), Some(TaskId(id)));
        }
        let per_pop = tasks.1.get() / u64::from(COUNT);
        assert!(
            per_pop <= 8 * u64::from(COUNT.ilog2()),
            "{per_pop} nodes touched per pop"
        );
    }

    #[test]
    #[should_panic(expected = "task 0 (CPU 0) is Sleeping, but should be in no queue")]
    fn a_task_cannot_sleep_twice() {
        let tasks = table(1);
        let mut queue = SleepQueue::new();
        queue.insert(&tasks, TaskId(0), 1);
        queue.insert(&tasks, TaskId(0), 2);
    }
}
