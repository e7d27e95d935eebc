//! Where to put a task, and whom to take one from.
//!
//! Loads are counts: the tasks that are ready or current on a CPU
//! ([`Cpu::load`](crate::Cpu::load)). They are read without locks, so they may be old; the
//! functions are pure, and a decision made on old numbers is corrected by the next one.
//!
//! Two rules with a gap between them keep tasks where they are warm, and keep them from travelling
//! back and forth:
//!
//! - A woken task returns to its last CPU unless that has **two** tasks more than the least loaded
//!   one ([`place`]). So a short hand-over (wake another, then block) stays on one CPU, without an
//!   interrupt to a second.
//! - A CPU takes a task from one that has at least **two** more ([`steal_from`]). Afterwards the
//!   difference is smaller than it was and not negative, so no decision ever answers the last one
//!   by its reverse.
//!
//! An idle CPU has no timer running and cannot notice that it should steal. A busy one has a tick,
//! at the end of each quantum while others wait: it asks [`wake_thief`] whom to send an SGI to. So
//! what `place` left unequal lasts one quantum.

use crate::cpu_set::{CpuId, CpuSet};

/// How many more tasks than another a CPU has before one of them should move.
const IMBALANCE: u32 = 2;

/// The CPU for a task that may run on `allowed` and was last on `last` (for a new one: where its
/// creator runs). `None` if no CPU in `loads` is allowed. `loads` has each CPU that is up, once; of
/// equals the first.
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
    match last_load {
        Some(load) if load - least_load < IMBALANCE => Some(last),
        _ => Some(cpu),
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

/// The CPU that should be told to take a task from `me`: the least loaded, if [`steal_from`] would
/// let it. Of equals the first after `me`.
pub fn wake_thief(loads: impl IntoIterator<Item = (CpuId, u32)>, me: CpuId) -> Option<CpuId> {
    extreme(
        loads,
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
    fn a_woken_task_stays_unless_two_behind() {
        assert_eq!(place(loads(&[0, 1]), CpuSet::ALL, cpu(1)), Some(cpu(1)));
        assert_eq!(place(loads(&[0, 2]), CpuSet::ALL, cpu(1)), Some(cpu(0)));
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
                    prop_assert!(all[chosen.index()] < least.unwrap() + IMBALANCE);
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

        /// The two sides agree: whoever is told to steal may, and somebody is told whenever
        /// somebody may.
        #[test]
        fn the_thief_that_is_woken_may_steal(
            all in proptest::collection::vec(0u32..6, 1..8),
            me in 0usize..8,
        ) {
            match wake_thief(loads(&all), cpu(me)) {
                Some(thief) => prop_assert!(all[me] >= all[thief.index()] + IMBALANCE),
                None => for (other, &load) in all.iter().enumerate() {
                    prop_assert!(me >= all.len() || other == me || all[me] < load + IMBALANCE);
                },
            }
        }
    }
}
