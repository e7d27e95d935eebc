//! Where to put a task, and whom to take one from.
//!
//! Loads are counts: the tasks that are ready or current on a CPU
//! ([`Cpu::load`](crate::Cpu::load)). They are read without locks, so they may be old; the
//! functions are pure, and a decision made on old numbers is corrected by the next one.
//!
//! # No task waits while a CPU that it may use is idle
//!
//! An idle CPU has no timer running and sleeps until it is told, so it is the others who must think
//! of it. Three habits of the kernel are enough, because there are three ways to begin to wait:
//!
//! - A task is new or woken. [`place`] prefers an idle CPU to a busy one.
//! - A timer has woken it where it slept; or it ran and made room, by preemption or a yield. A CPU
//!   that has called [`on_timer`](crate::Cpu::on_timer), or has *finished the switch* away from a
//!   task that is still ready, asks [`push_to`] if somebody is ready, and gives tasks away as long
//!   as that names a CPU.
//! - It waits already when another CPU runs out of work. That one asks [`steal_from`] before it
//!   goes idle, and again without a victim that had nothing it may take.
//!
//! `tests/simulation.rs` keeps these habits and checks the promise after every event. A waker that
//! is about to block may skip `place` and enqueue the task on its own CPU, or hand the CPU over to
//! it.
//!
//! # No task travels back and forth
//!
//! Between busy CPUs there is a gap: a woken task returns to its last CPU unless that has **two**
//! tasks more than the least loaded, and a task is taken only from a CPU that has at least two
//! more. Afterwards the difference is smaller than it was and not negative, so no decision is
//! answered by its reverse.
//!
//! Levels play no part in it: strict priority is each CPU's own. Who waits below a busy CPU's
//! current task may see a lower level run on another.

use crate::cpu_set::{CpuId, CpuSet};

/// How many more tasks than another a CPU has before one of them should move.
const IMBALANCE: u32 = 2;

/// The CPU for a task that may run on `allowed` and was last on `last` (for a new one: where its
/// creator runs). `None` if no CPU in `loads` is allowed. `loads` has each CPU that is up, once; of
/// equals the first; but the last if that is idle, or nobody is and it has at most one task more.
pub fn place(
    loads: impl IntoIterator<Item = (CpuId, u32)>,
    allowed: CpuSet,
    last: CpuId,
) -> Option<CpuId> {
    let mut least: Option<(CpuId, u32)> = None;
    let mut last_load = None;
    for (cpu, load) in loads {
        if !allowed.contains(cpu) {
            continue;
        }
        if cpu == last {
            last_load = Some(load);
        }
        if least.is_none_or(|(_, least)| load < least) {
            least = Some((cpu, load));
        }
    }
    let (cpu, least_load) = least?;
    let most_load = match least_load {
        0 => 0,
        busy => busy.saturating_add(IMBALANCE - 1),
    };
    if last_load.is_some_and(|load| load <= most_load) {
        Some(last)
    } else {
        Some(cpu)
    }
}

/// The CPU that `me` should take a task from: the busiest, if it has enough more than `me`. Of
/// equals the first after `me` in order of `loads`, which wraps, so that many thieves do not meet
/// at one victim.
pub fn steal_from(loads: impl IntoIterator<Item = (CpuId, u32)>, me: CpuId) -> Option<CpuId> {
    extreme(
        loads,
        me,
        |other, best| other > best,
        |mine, busiest| busiest >= mine.saturating_add(IMBALANCE),
    )
}

/// The CPU that `me` should give a task to: the least loaded of those that `me` has a task for
/// ([`RunQueue::movable_to`](crate::RunQueue::movable_to)), if it has enough less. Of equals the
/// first after `me`.
pub fn push_to(
    loads: impl IntoIterator<Item = (CpuId, u32)>,
    me: CpuId,
    movable_to: CpuSet,
) -> Option<CpuId> {
    let candidates = movable_to.with(me);
    extreme(
        loads
            .into_iter()
            .filter(|&(cpu, _)| candidates.contains(cpu)),
        me,
        |other, best| other < best,
        |mine, idlest| mine >= idlest.saturating_add(IMBALANCE),
    )
}

/// The CPU other than `me` whose load is the most extreme by `beats`, if it and the load of `me`
/// are `enough` apart.
fn extreme(
    loads: impl IntoIterator<Item = (CpuId, u32)>,
    me: CpuId,
    beats: impl Fn(u32, u32) -> bool,
    enough: impl Fn(u32, u32) -> bool,
) -> Option<CpuId> {
    // The best before `me`, then the best after: two slots, so that one pass is enough.
    let mut best: [Option<(CpuId, u32)>; 2] = [None, None];
    let mut mine = None;
    for (cpu, load) in loads {
        if cpu == me {
            mine = Some(load);
            continue;
        }
        let slot = &mut best[usize::from(mine.is_some())];
        if slot.is_none_or(|(_, best)| beats(load, best)) {
            *slot = Some((cpu, load));
        }
    }
    let [before, after] = best;
    let (cpu, load) = match (before, after) {
        (Some(before), Some(after)) if beats(before.1, after.1) => before,
        (before, after) => after.or(before)?,
    };
    enough(mine?, load).then_some(cpu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cpu(number: usize) -> CpuId {
        CpuId::new(number).unwrap()
    }

    fn loads(loads: &[u32]) -> impl Iterator<Item = (CpuId, u32)> + '_ {
        loads
            .iter()
            .enumerate()
            .map(|(number, &load)| (cpu(number), load))
    }

    #[test]
    fn a_woken_task_stays_unless_two_behind_or_another_is_idle() {
        assert_eq!(place(loads(&[1, 2]), CpuSet::ALL, cpu(1)), Some(cpu(1)));
        assert_eq!(place(loads(&[1, 3]), CpuSet::ALL, cpu(1)), Some(cpu(0)));
        assert_eq!(place(loads(&[0, 1]), CpuSet::ALL, cpu(1)), Some(cpu(0)));
        assert_eq!(place(loads(&[0, 0]), CpuSet::ALL, cpu(1)), Some(cpu(1)));
        assert_eq!(place(loads(&[3, 3, 3]), CpuSet::ALL, cpu(2)), Some(cpu(2)));
    }

    #[test]
    fn a_task_is_placed_where_it_is_allowed() {
        let two = CpuSet::only(cpu(2));
        assert_eq!(place(loads(&[0, 0, 9]), two, cpu(0)), Some(cpu(2)));
        assert_eq!(place(loads(&[0, 0]), two, cpu(0)), None);
        assert_eq!(place(loads(&[]), CpuSet::ALL, cpu(0)), None);
    }

    #[test]
    fn thieves_spread_over_equal_victims() {
        assert_eq!(steal_from(loads(&[2, 0, 2, 0]), cpu(1)), Some(cpu(2)));
        assert_eq!(steal_from(loads(&[2, 0, 2, 0]), cpu(3)), Some(cpu(0)));
        assert_eq!(steal_from(loads(&[3, 0, 2, 0]), cpu(1)), Some(cpu(0)));
        assert_eq!(steal_from(loads(&[1, 0]), cpu(1)), None);
        assert_eq!(steal_from(loads(&[5]), cpu(0)), None);
        assert_eq!(
            steal_from(loads(&[5, 0]), cpu(7)),
            None,
            "who is not up does not steal"
        );
    }

    proptest! {
        #[test]
        fn a_placed_task_is_allowed_and_not_two_behind(
            all in proptest::collection::vec(0u32..6, 1..10),
            allowed: u8,
            last in 0usize..10,
        ) {
            let set: CpuSet = (0..8).filter(|bit| allowed >> bit & 1 != 0).map(cpu).collect();
            let mine = loads(&all).filter(|&(cpu, _)| set.contains(cpu));
            let least = mine.map(|(_, load)| load).min();
            match place(loads(&all), set, cpu(last)) {
                None => prop_assert_eq!(least, None),
                Some(chosen) => {
                    prop_assert!(set.contains(chosen));
                    let (load, least) = (all[chosen.index()], least.unwrap());
                    prop_assert!(load < least + IMBALANCE);
                    prop_assert!(load == 0 || least > 0, "an idle CPU was passed over");
                }
            }
        }

        /// Repeated stealing, by whomever, ends, and ends level; and no steal is answered by its
        /// reverse.
        #[test]
        fn balancing_ends_and_never_swings_back(
            mut all in proptest::collection::vec(0u32..20, 1..8),
            thieves in proptest::collection::vec(0usize..8, 200),
        ) {
            let spread = |all: &[u32]| all.iter().map(|&load| u64::from(load).pow(2)).sum::<u64>();
            for thief in thieves {
                let Some(victim) = steal_from(loads(&all), cpu(thief)) else { continue };
                let before = spread(&all);
                all[victim.index()] -= 1;
                all[thief] += 1;
                prop_assert!(spread(&all) < before, "every steal makes the loads more equal");
                prop_assert_ne!(steal_from(loads(&all), victim), Some(cpu(thief)));
                prop_assert_ne!(place(loads(&all), CpuSet::ALL, cpu(thief)), Some(victim));
            }
            let can_steal = |me| steal_from(loads(&all), cpu(me)).is_some();
            let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
            prop_assert_eq!((0..all.len()).any(can_steal), most - least >= IMBALANCE);
        }

        /// The two sides agree: whoever is given a task might have stolen it, and somebody is given
        /// one whenever somebody might.
        #[test]
        fn a_task_is_pushed_where_it_could_be_stolen(
            all in proptest::collection::vec(0u32..6, 1..8),
            me in 0usize..8,
            movable: u8,
        ) {
            let set: CpuSet = (0..8).filter(|bit| movable >> bit & 1 != 0).map(cpu).collect();
            match push_to(loads(&all), cpu(me), set) {
                Some(to) => {
                    prop_assert!(set.contains(to) && to != cpu(me));
                    prop_assert!(all[me] >= all[to.index()] + IMBALANCE);
                    let others = loads(&all).filter(|&(cpu, _)| set.contains(cpu));
                    let least = others.map(|(_, load)| load).min();
                    prop_assert_eq!(Some(all[to.index()]), least);
                }
                None => for (other, load) in loads(&all).filter(|&(cpu, _)| set.contains(cpu)) {
                    prop_assert!(me >= all.len() || other == cpu(me) || all[me] < load + IMBALANCE);
                },
            }
        }
    }
}
