//! What tasks of one level are promised: equal time, to within a quantum, over any interval.

mod common;

use common::{Machine, Random, level};
use sched::{Block, CpuSet, Handed, Resched, TaskId, Tasks, Wake};

const QUANTUM: u64 = 1000;
const EQUALS: u8 = 10;
const NOISE: u8 = 20;

/// For each pair of tasks, the least and the most that the difference of their times has ever been.
/// What one got more than the other in an interval is the difference at its end minus the one at
/// its start, so in no interval more than the most minus the least.
struct Fairness {
    tasks: Vec<TaskId>,
    least: Vec<i64>,
    most: Vec<i64>,
}

impl Fairness {
    fn new(tasks: Vec<TaskId>) -> Self {
        let pairs = tasks.len() * tasks.len();
        Self {
            tasks,
            least: vec![0; pairs],
            most: vec![0; pairs],
        }
    }

    fn observe(&mut self, machine: &Machine) {
        let pairs = self
            .tasks
            .iter()
            .flat_map(|&a| self.tasks.iter().map(move |&b| (a, b)));
        for (pair, (a, b)) in pairs.enumerate() {
            let difference = machine.ran(a) as i64 - machine.ran(b) as i64;
            self.least[pair] = self.least[pair].min(difference);
            self.most[pair] = self.most[pair].max(difference);
        }
    }

    /// The most that any task got more than another in any interval observed.
    fn worst(&self) -> u64 {
        self.most
            .iter()
            .zip(&self.least)
            .map(|(most, least)| (most - least) as u64)
            .max()
            .unwrap_or(0)
    }
}

/// Steps the machine to each of its timers and to random times between, and lets `act` do something
/// at each.
fn run(
    machine: &mut Machine,
    random: &mut Random,
    end: u64,
    mut act: impl FnMut(&mut Machine, &mut Random),
) {
    while machine.now < end {
        let pause = machine.now + 1 + random.below(2 * QUANTUM);
        let next = machine
            .next_timer()
            .map_or(pause, |at| at.max(machine.now).min(pause));
        machine.run_until(next);
        machine.serve_timers();
        act(machine, random);
        machine.check();
    }
}

/// Tasks of a higher level wake and sleep at random, one of a lower level never runs, and the
/// equals still share what is left to within one quantum.
#[test]
fn equals_get_equal_time_whatever_higher_levels_do() {
    for (seed, equals, noises) in (0..60).map(|seed| (seed, 2 + seed % 4, seed % 3)) {
        let mut machine = Machine::new(1, QUANTUM);
        let mut random = Random::new(seed);
        let low = machine.start(level(EQUALS - 1), 0);
        let equals: Vec<_> = (0..equals)
            .map(|_| machine.start(level(EQUALS), 0))
            .collect();
        let noises: Vec<_> = (0..noises)
            .map(|_| machine.start(level(NOISE), 0))
            .collect();
        let mut fairness = Fairness::new(equals.clone());
        run(
            &mut machine,
            &mut random,
            300 * QUANTUM,
            |machine, random| {
                fairness.observe(machine);
                match machine.current(0) {
                    // Noise runs: it sleeps soon, sometimes until an instant that is past.
                    Some(id) if noises.contains(&id) && random.once_in(2) => {
                        let until = machine.now + random.below(3 * QUANTUM);
                        let _ = machine
                            .try_leave(0, |sched, tasks| sched.sleep_current_until(tasks, until));
                    }
                    _ => {
                        if let Some(&id) = noises.get(random.below(8) as usize) {
                            let _ = machine.wake(id);
                        }
                    }
                }
            },
        );
        let worst = fairness.worst();
        assert!(worst <= QUANTUM, "seed {seed}: {worst} ticks apart");
        assert_eq!(machine.ran(low), 0, "seed {seed}: a lower level ran");
        let got: u64 = equals.iter().map(|&id| machine.ran(id)).sum();
        assert!(
            got > 10 * QUANTUM,
            "seed {seed}: the equals got {got} ticks in all"
        );
    }
}

/// Yielding and blocking give time away and never take any: nobody waits longer than one quantum of
/// each other task.
#[test]
fn nobody_waits_longer_than_one_quantum_of_each_other() {
    for (seed, count) in (0..60).map(|seed| (seed, 2 + seed % 4)) {
        let mut machine = Machine::new(1, QUANTUM);
        let mut random = Random::new(seed);
        let ids: Vec<_> = (0..count)
            .map(|_| machine.start(level(EQUALS), 0))
            .collect();
        // What each had got, and when it last had its turn.
        let mut last = vec![(0, 0); ids.len()];
        run(
            &mut machine,
            &mut random,
            200 * QUANTUM,
            |machine, random| {
                for (&id, (had, at)) in ids.iter().zip(&mut last) {
                    let got = machine.ran(id);
                    if got > *had {
                        (*had, *at) = (got, machine.now);
                    }
                    let waited = machine.now - *at;
                    assert!(
                        waited <= (count - 1) * QUANTUM,
                        "seed {seed}: {id} waited {waited} ticks"
                    );
                }
                // It has its turn, even if it gives it away before the first tick.
                let current = machine.current(0).unwrap();
                last[current.0 as usize].1 = machine.now;
                match random.below(4) {
                    0 => {
                        machine.cores[0].sched.yield_current(&machine.tasks);
                        machine.pick(0);
                    }
                    // A wake-up of a task that runs leaves a token: its next block returns at once.
                    1 => assert_eq!(machine.wake(current), Wake::Left),
                    2 => match machine.try_leave(0, |sched, tasks| sched.block_current(tasks)) {
                        Block::Blocked => assert_eq!(machine.wake(current), Wake::Claimed),
                        Block::Woken | Block::Killed => {}
                    },
                    _ => {}
                }
            },
        );
    }
}

/// Two tasks that hand the CPU to each other for ever are one among their equals.
#[test]
fn a_pair_that_calls_each_other_gets_the_share_of_one() {
    for seed in 0..20 {
        let mut machine = Machine::new(1, QUANTUM);
        let mut random = Random::new(seed);
        let [server, caller, alone] = [(); 3].map(|()| machine.start(level(EQUALS), 0));
        // The server waits for its first call.
        machine.leave(0, |sched, tasks| sched.block_current(tasks));
        run(&mut machine, &mut random, 200 * QUANTUM, |machine, _| {
            let pair = machine.ran(caller) + machine.ran(server);
            assert!(
                pair.abs_diff(machine.ran(alone)) <= QUANTUM,
                "seed {seed}: {pair}"
            );
            let Some(from) = machine.current(0).filter(|&id| id != alone) else {
                return;
            };
            let to = if from == caller { server } else { caller };
            let core = &mut machine.cores[0];
            assert_eq!(core.sched.block_current(&machine.tasks), Block::Blocked);
            assert_eq!(machine.tasks.links(to).state().wake(), Wake::Claimed);
            assert_eq!(core.sched.hand_over(&machine.tasks, to, machine.now), to);
            machine.program_timer(0);
        });
        assert!(
            machine.ran(server) > 10 * QUANTUM,
            "seed {seed}: the server has run"
        );
    }
}

/// A hand-over is no way past a higher level.
#[test]
fn a_hand_over_does_not_pass_a_higher_level() {
    let mut machine = Machine::new(1, QUANTUM);
    let server = machine.start(level(EQUALS), 0);
    machine.leave(0, |sched, tasks| sched.sleep_current_until(tasks, 100));
    let caller = machine.start(level(EQUALS), 0);
    let high = machine.create(level(NOISE), CpuSet::ALL);
    let core = &mut machine.cores[0];
    assert_eq!(core.sched.enqueue(&machine.tasks, high), Resched::Needed);
    assert_eq!(core.sched.block_current(&machine.tasks), Block::Blocked);
    assert_eq!(machine.tasks.links(server).state().wake(), Wake::Claimed);
    assert_eq!(
        core.sched.hand_over(&machine.tasks, server, machine.now),
        high
    );
    machine.program_timer(0);
    machine.check();
    assert_eq!(
        machine.next_timer(),
        None,
        "the server's deadline is forgotten"
    );
    machine.leave(0, |sched, tasks| sched.block_current(tasks));
    assert_eq!(machine.current(0), Some(server));
    assert_eq!(machine.links(caller).status(), sched::Status::Blocked);
}

/// A hand-over may bring a task from another CPU, once that has switched away from it.
#[test]
fn a_hand_over_brings_the_task_to_this_cpu() {
    let mut machine = Machine::new(2, QUANTUM);
    let [server, caller] = [1, 0].map(|on| machine.start(level(EQUALS), on));
    machine.leave(1, |sched, tasks| sched.block_current(tasks));
    let core = &mut machine.cores[0];
    assert_eq!(core.sched.block_current(&machine.tasks), Block::Blocked);
    assert_eq!(machine.tasks.links(server).state().wake(), Wake::Claimed);
    assert_eq!(
        core.sched.hand_over(&machine.tasks, server, machine.now),
        server
    );
    machine.check();
    assert_eq!(machine.links(caller).status(), sched::Status::Blocked);
}

/// The timer rests while nobody waits for the quantum to end, and starts when somebody comes.
#[test]
fn a_task_that_is_alone_is_not_interrupted() {
    let mut machine = Machine::new(1, QUANTUM);
    let alone = machine.start(level(EQUALS), 0);
    machine.start(level(EQUALS - 1), 0);
    assert_eq!(
        machine.next_timer(),
        None,
        "who waits at a lower level does not count"
    );
    machine.idle_until(10 * QUANTUM);
    let other = machine.start(level(EQUALS), 0);
    assert_eq!(machine.current(0), Some(alone));
    machine.serve_timers();
    assert_eq!(
        machine.current(0),
        Some(other),
        "who was alone for ten quanta has had its turn"
    );
    assert_eq!(machine.next_timer(), Some(11 * QUANTUM));
}

/// The front for who is pushed aside, with the rest of its quantum; the back for who has used it
/// up.
#[test]
fn a_preempted_task_keeps_its_place_and_the_rest_of_its_quantum() {
    let mut machine = Machine::new(1, QUANTUM);
    let [first, second] = [(); 2].map(|()| machine.start(level(EQUALS), 0));
    machine.idle_until(300);
    let high = machine.start(level(NOISE), 0);
    assert_eq!(machine.current(0), Some(high));
    machine.idle_until(5 * QUANTUM);
    machine.leave(0, |sched, tasks| sched.block_current(tasks));
    assert_eq!(machine.current(0), Some(first));
    assert_eq!(machine.next_timer(), Some(5 * QUANTUM + 700));
    machine.idle_until(5 * QUANTUM + 700);
    assert_eq!(machine.current(0), Some(second));
    let _ = machine.wake(high);
    assert_eq!(machine.ran(first), QUANTUM);
}

/// A wake-up begins a whole quantum, whatever an earlier preemption had left.
#[test]
fn a_woken_task_has_a_whole_quantum() {
    let mut machine = Machine::new(1, QUANTUM);
    let [first, second] = [(); 2].map(|()| machine.start(level(EQUALS), 0));
    machine.idle_until(300);
    let high = machine.start(level(NOISE), 0);
    machine.leave(0, |sched, tasks| sched.block_current(tasks));
    machine.leave(0, |sched, tasks| sched.block_current(tasks));
    assert_eq!(machine.wake(first), Wake::Claimed);
    machine.idle_until(300 + QUANTUM);
    assert_eq!(
        machine.current(0),
        Some(first),
        "{second} has used its quantum"
    );
    assert_eq!(machine.next_timer(), Some(300 + 2 * QUANTUM));
    assert_eq!(machine.links(high).status(), sched::Status::Blocked);
}

/// A waker that has locked another CPU than the sleeper's is stopped before it tears that one's
/// queue.
#[test]
#[should_panic(
    expected = "task 0 (CPU 0) is Sleeping, but should be woken with the lock of its CPU"
)]
fn a_waker_at_the_wrong_cpu_is_stopped() {
    let mut machine = Machine::new(2, QUANTUM);
    let sleeper = machine.start(level(EQUALS), 0);
    machine.leave(0, |sched, tasks| sched.sleep_current_until(tasks, 100));
    let _ = machine.cores[1]
        .sched
        .enqueue_woken(&machine.tasks, sleeper);
}

/// The idle loop is no task.
#[test]
#[should_panic(expected = "CPU 0 is idle, but a task is to leave it")]
fn an_idle_cpu_cannot_block() {
    Machine::new(1, QUANTUM).leave(0, |sched, tasks| sched.block_current(tasks));
}

/// A level lent and taken back costs the borrower no turn (POSIX, `pthread_setschedprio`).
#[test]
fn a_level_lent_and_taken_back_costs_no_turn() {
    let mut machine = Machine::new(1, QUANTUM);
    let [current, waiting, last] = [(); 3].map(|()| machine.start(level(EQUALS), 0));
    let set = |machine: &mut Machine, id, to| {
        let resched = machine.cores[0]
            .sched
            .set_level(&machine.tasks, id, level(to));
        machine.obey(0, resched);
        machine.check();
    };
    set(&mut machine, waiting, NOISE);
    assert_eq!(
        machine.current(0),
        Some(waiting),
        "raised above the current task, it runs"
    );
    set(&mut machine, waiting, EQUALS);
    assert_eq!(
        machine.current(0),
        Some(waiting),
        "it runs on: no equal preempts it"
    );
    set(&mut machine, waiting, EQUALS - 1);
    assert_eq!(
        machine.current(0),
        Some(current),
        "lowered below the others, it leaves"
    );
    let order: Vec<_> = machine.cores[0]
        .sched
        .ready()
        .iter(&machine.tasks)
        .collect();
    assert_eq!(order, [last, waiting]);
    set(&mut machine, last, EQUALS - 1);
    let order: Vec<_> = machine.cores[0]
        .sched
        .ready()
        .iter(&machine.tasks)
        .collect();
    assert_eq!(order, [last, waiting], "who falls comes first");
}

/// A timer interrupt wakes a bounded number of sleepers, and none too late: the timer fires again
/// at once.
#[test]
fn many_sleepers_due_at_once_wake_in_order() {
    let mut machine = Machine::new(1, QUANTUM);
    let mut sleepers = Vec::new();
    for _ in 0..100 {
        let id = machine.start(level(EQUALS), 0);
        machine.leave(0, |sched, tasks| {
            sched.sleep_current_until(tasks, 5 * QUANTUM)
        });
        assert_eq!(machine.current(0), None);
        sleepers.push(id);
    }
    assert_eq!(machine.next_timer(), Some(5 * QUANTUM));
    machine.run_until(5 * QUANTUM);
    let core = &mut machine.cores[0];
    let _ = core.sched.on_timer(&machine.tasks, machine.now);
    assert_eq!(core.sched.load(), sched::Cpu::WAKE_BATCH);
    assert_eq!(core.sched.next_deadline_ticks(), Some(5 * QUANTUM));
    machine.idle_until(5 * QUANTUM);
    let current = machine.current(0);
    let woken = current
        .into_iter()
        .chain(machine.cores[0].sched.ready().iter(&machine.tasks));
    assert_eq!(woken.collect::<Vec<_>>(), sleepers);
}

/// Who was woken before he was gone stays, and is told so apart: his token is taken, so that who tried once
/// more would block for ever.
#[test]
fn who_was_woken_stays_and_does_not_try_again() {
    let mut machine = Machine::new(1, QUANTUM);
    let server = machine.start(level(EQUALS), 0);
    machine.leave(0, |sched, tasks| sched.block_current(tasks));
    let caller = machine.start(level(EQUALS), 0);
    assert_eq!(machine.links(caller).state().wake(), Wake::Left);
    assert_eq!(machine.links(server).state().wake(), Wake::Claimed);
    let core = &mut machine.cores[0];
    let [from, to] = [caller, server].map(|id| machine.tasks.links(id));
    assert_eq!(
        core.sched.hand_over_from(from, to, server),
        Handed::Stays,
        "a wake-up is there"
    );
    assert_ne!(
        core.sched.enqueue_woken(&machine.tasks, server),
        Resched::NotNeeded
    );
    machine.program_timer(0);
    machine.check();
    assert_eq!(machine.current(0), Some(caller));
    // The next time there is no wake-up, and he leaves.
    machine.leave(0, |sched, tasks| sched.block_current(tasks));
    assert_eq!(machine.current(0), Some(server));
}
