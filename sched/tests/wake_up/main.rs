//! No wake-up is lost, and no task runs on two stacks: every order of steps, tried.
//!
//! A task on CPU 0 waits for a condition. Around it are CPU 1, which can take it over, and wakers:
//! other CPUs, interrupts on CPU 0, the timer. Each is written as a program of small steps, the
//! smallest that another can see: a lock, an operation on the task's atomic word, a change under a
//! lock, the end of a switch. The explorer runs every interleaving that locks and interrupt masking
//! allow, with the scheduler's own code in the steps, and remembers the states it has seen. (What
//! lies below a step, single memory accesses and their order, is `src/state/tests.rs`.)
//!
//! The last tests plant a bug in the programs, one rule of the crate's documentation broken each,
//! and expect it to be found.

#[path = "../common/mod.rs"]
mod common;
mod world;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use world::{Act, Actor, Bug, From, Program, Wait, World};

/// Prints how a failure was reached.
struct Trace(Vec<String>);

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("steps:\n  {}", self.0.join("\n  "));
        }
    }
}

/// Runs `program` in every order of its steps; how many states it can be in.
fn explore(program: &Program) -> usize {
    let mut seen = HashSet::new();
    let mut paths: Vec<Vec<Actor>> = vec![Vec::new()];
    while let Some(path) = paths.pop() {
        let mut world = World::new(program.clone());
        let mut trace = Trace(vec![format!("{program:?}")]);
        for &actor in &path {
            trace.0.push(world.name_of_step(actor));
            world.step(actor);
        }
        let mut hasher = DefaultHasher::new();
        format!("{world:?}").hash(&mut hasher);
        if !seen.insert(hasher.finish()) {
            continue;
        }
        let enabled: Vec<Actor> = world
            .actors()
            .filter(|&actor| world.can_step(actor))
            .collect();
        if enabled.is_empty() {
            world.check_end();
        }
        paths.extend(
            enabled
                .into_iter()
                .map(|actor| [&path[..], &[actor]].concat()),
        );
    }
    seen.len()
}

const WAKERS: [(From, Act); 4] = [
    (From::Remote, Act::WakeTo(0)),
    (From::Remote, Act::WakeTo(1)),
    (From::Interrupt, Act::WakeTo(0)),
    (From::Interrupt, Act::WakeTo(1)),
];

/// Each one of `WAKERS`, and each two of them.
fn one_or_two() -> Vec<Vec<(From, Act)>> {
    let pairs = WAKERS.iter().enumerate();
    let pairs = pairs.flat_map(|(at, &a)| WAKERS[at..].iter().map(move |&b| vec![a, b]));
    WAKERS.iter().map(|&one| vec![one]).chain(pairs).collect()
}

/// Explores every way to wait with each group of wakers, with `others` besides; how many states
/// there are in all.
fn explore_all(groups: &[Vec<(From, Act)>], others: &[(From, Act)], ways: &[Wait]) -> usize {
    let mut states = 0;
    for &wait in ways {
        for group in groups {
            let wakers = [&group[..], others].concat();
            states += explore(&Program {
                wait,
                wakers,
                bug: Bug::None,
            });
        }
    }
    println!("{states} states");
    states
}

const WAYS: [Wait; 2] = [Wait::Block, Wait::Sleep];

#[test]
fn no_order_of_steps_loses_a_wake_up() {
    let mut groups = one_or_two();
    groups.push(vec![WAKERS[0], WAKERS[1], WAKERS[2]]);
    groups.push(vec![WAKERS[1], WAKERS[1], WAKERS[3]]);
    let states = explore_all(&groups, &[], &WAYS);
    assert!(
        states > 5_000,
        "only {states} states: the explorer does not explore"
    );
}

/// The timer, which may fire between any two steps, and an event: whoever comes second leaves the
/// task alone.
#[test]
fn a_timeout_and_an_event_wake_once() {
    let timers = [(From::Interrupt, Act::Timer), (From::Interrupt, Act::Timer)];
    let states = explore_all(&one_or_two(), &timers[..1], &[Wait::Sleep])
        + explore_all(&[vec![WAKERS[0]], vec![WAKERS[3]]], &timers, &[Wait::Sleep]);
    assert!(
        states > 3_500,
        "only {states} states: the explorer does not explore"
    );
}

#[test]
fn a_kill_ends_a_task_in_whatever_step_it_is() {
    let states = explore_all(&one_or_two(), &[(From::Remote, Act::Kill)], &WAYS);
    assert!(
        states > 7_000,
        "only {states} states: the explorer does not explore"
    );
}

/// The explorer must find `bug` in at least one program.
fn finds(bug: Bug) {
    let found = one_or_two().into_iter().any(|wakers| {
        let program = Program {
            wait: Wait::Block,
            wakers,
            bug,
        };
        std::panic::catch_unwind(|| explore(&program)).is_err()
    });
    assert!(found, "{bug:?} was not found");
}

#[test]
fn planted_a_token_taken_after_the_look_is_found() {
    finds(Bug::PrepareAfterLook);
}

#[test]
fn planted_a_wake_before_the_condition_is_found() {
    finds(Bug::WakeBeforeCondition);
}

#[test]
fn planted_an_unlock_before_the_switch_is_found() {
    finds(Bug::UnlockBeforeSwitch);
}

#[test]
fn planted_a_waker_that_skips_the_last_cpu_is_found() {
    finds(Bug::SkipLastCpu);
}

#[test]
fn planted_a_forgotten_reschedule_is_found() {
    finds(Bug::ForgetResched);
}
