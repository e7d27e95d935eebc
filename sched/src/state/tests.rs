//! The protocol under `loom`: every interleaving of single memory accesses, and every value that
//! the C11 memory model lets a load return.
//!
//! Conditions are written and read relaxed, so that whatever order there is comes from the
//! protocol. A lost wake-up shows as a deadlock. The last three tests weaken the protocol on
//! purpose and expect that.

use super::*;
use loom::sync::atomic::{AtomicU32 as LoomWord, AtomicUsize};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::sync::Arc;
use std::vec::Vec;

impl Word for LoomWord {
    fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        LoomWord::fetch_or(self, bits, order)
    }

    fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        LoomWord::fetch_and(self, bits, order)
    }

    fn replace(&self, old: u32, new: u32, success: Ordering, failure: Ordering) -> bool {
        self.compare_exchange(old, new, success, failure).is_ok()
    }

    fn load(&self, order: Ordering) -> u32 {
        LoomWord::load(self, order)
    }
}

/// A task, the condition it waits for (a count), and what stands for the run queue: `true` while it
/// is ready.
struct Task<W: Word> {
    state: TaskState<W>,
    condition: AtomicUsize,
    ready: Mutex<bool>,
    made_ready: Condvar,
}

impl<W: Word> Task<W> {
    fn new(word: W) -> Arc<Self> {
        Arc::new(Self {
            state: TaskState(word),
            condition: AtomicUsize::new(0),
            ready: Mutex::new(false),
            made_ready: Condvar::new(),
        })
    }

    /// What a waker does with its answer.
    fn deliver(&self, wake: Wake) {
        if wake == Wake::Claimed {
            let mut ready = self.ready.lock().unwrap();
            assert!(!*ready, "made ready twice");
            *ready = true;
            self.made_ready.notify_one();
        }
    }

    fn satisfy_and_wake(&self) {
        self.condition.fetch_add(1, Relaxed);
        self.deliver(self.state.wake());
    }

    /// Blocks once; returns when it is made ready, or at once.
    fn block(&self) -> Block {
        let block = self.state.block();
        if block == Block::Blocked {
            let mut ready = self.ready.lock().unwrap();
            while !*ready {
                ready = self.made_ready.wait(ready).unwrap();
            }
            *ready = false;
            drop(ready);
            self.state.unblock();
        }
        block
    }

    fn wait_until(&self, count: usize) {
        while self.condition.load(Relaxed) < count {
            assert_ne!(self.block(), Block::Killed);
        }
    }
}

/// Runs `wakers` beside a task that waits until each has satisfied its part. All schedules with up
/// to two preemptions: all of them without that bound take half a minute for two wakers, and find
/// nothing more.
fn one_task_waits_for<W: Word + Send + Sync + 'static>(wakers: usize, word: fn() -> W) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let task = Task::new(word());
        let threads: Vec<_> = (0..wakers)
            .map(|_| {
                let task = task.clone();
                thread::spawn(move || task.satisfy_and_wake())
            })
            .collect();
        task.wait_until(wakers);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

fn word() -> LoomWord {
    LoomWord::new(0)
}

#[test]
fn a_wake_up_is_never_lost() {
    one_task_waits_for(1, word);
}

#[test]
fn neither_of_two_wake_ups_is_lost() {
    one_task_waits_for(2, word);
}

/// A waker that comes twice may find its own first token: the second wake-up must not be served by
/// what the first has left.
#[test]
fn a_second_wake_up_of_one_waker_is_not_lost() {
    loom::model(|| {
        let task = Task::new(word());
        let waker = task.clone();
        let thread = thread::spawn(move || {
            waker.satisfy_and_wake();
            waker.satisfy_and_wake();
        });
        task.wait_until(2);
        thread.join().unwrap();
    });
}

/// Preparing before the look takes stale tokens and loses no fresh one.
#[test]
fn preparing_first_loses_nothing() {
    loom::model(|| {
        let task = Task::new(word());
        let waker = task.clone();
        let thread = thread::spawn(move || waker.satisfy_and_wake());
        loop {
            task.state.prepare_to_block();
            if task.condition.load(Relaxed) == 1 {
                break;
            }
            let _ = task.block();
        }
        thread.join().unwrap();
    });
}

/// Who claims a wake-up goes to the CPU on which the task has blocked, and must not see an older
/// one.
#[test]
fn a_claimer_sees_what_the_task_wrote_before_it_blocked() {
    loom::model(|| {
        let task = Task::new(word());
        let waker = task.clone();
        let home = Arc::new(AtomicUsize::new(0));
        let seen = home.clone();
        let thread = thread::spawn(move || {
            let wake = waker.state.wake();
            if wake == Wake::Claimed {
                assert_eq!(seen.load(Relaxed), 1);
            }
            waker.deliver(wake);
        });
        home.store(1, Relaxed);
        let _ = task.block();
        thread.join().unwrap();
    });
}

/// Park and unpark: the token is all there is. Two wakes give one or two returns, never none.
#[test]
fn a_parked_task_returns_without_any_condition() {
    loom::model(|| {
        let task = Task::new(word());
        let waker = task.clone();
        let thread = thread::spawn(move || waker.deliver(waker.state.wake()));
        if task.state.prepare_to_block() == Token::Absent {
            let _ = task.block();
        }
        thread.join().unwrap();
    });
}

#[test]
fn a_killed_task_stops_waiting_whenever_it_is_killed() {
    loom::model(|| {
        let task = Task::new(word());
        let (killer, waker) = (task.clone(), task.clone());
        let threads = [
            thread::spawn(move || killer.deliver(killer.state.kill())),
            thread::spawn(move || waker.deliver(waker.state.wake())),
        ];
        while task.block() != Block::Killed {}
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(task.state.is_killed(), "a wake-up takes no kill back");
        assert_eq!(task.block(), Block::Killed);
    });
}

/// Planted: a word with another implementation of what the protocol asks for.
macro_rules! planted {
    ($name:ident, $fetch_or:expr, $fetch_and:expr, $replace:expr) => {
        struct $name(LoomWord);

        impl Word for $name {
            fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
                $fetch_or(&self.0, bits, order)
            }

            fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
                $fetch_and(&self.0, bits, order)
            }

            fn replace(&self, old: u32, new: u32, success: Ordering, failure: Ordering) -> bool {
                $replace(&self.0, old, new, success, failure)
            }

            fn load(&self, order: Ordering) -> u32 {
                self.0.load(order)
            }
        }
    };
}

fn lazy_or(word: &LoomWord, bits: u32, order: Ordering) -> u32 {
    let seen = word.load(order_of_load(order));
    if seen & bits == bits {
        seen
    } else {
        word.fetch_or(bits, order)
    }
}

fn order_of_load(order: Ordering) -> Ordering {
    if order == AcqRel { Acquire } else { order }
}

fn relaxed_or(word: &LoomWord, bits: u32, _: Ordering) -> u32 {
    word.fetch_or(bits, Relaxed)
}

fn relaxed_and(word: &LoomWord, bits: u32, _: Ordering) -> u32 {
    word.fetch_and(bits, Relaxed)
}

fn look_then_store(word: &LoomWord, old: u32, new: u32, _: Ordering, _: Ordering) -> bool {
    let may_block = word.load(Acquire) == old;
    if may_block {
        word.store(new, Release);
    }
    may_block
}

planted!(
    LazyWake,
    lazy_or,
    <LoomWord as Word>::fetch_and,
    <LoomWord as Word>::replace
);
planted!(
    RelaxedWake,
    relaxed_or,
    relaxed_and,
    <LoomWord as Word>::replace
);
planted!(
    LookThenStore,
    <LoomWord as Word>::fetch_or,
    <LoomWord as Word>::fetch_and,
    look_then_store
);

/// Whether `loom` finds a schedule on which the model hangs or fails.
fn is_found(model: impl FnOnce() + std::panic::UnwindSafe) -> bool {
    std::panic::catch_unwind(model).is_err()
}

/// What the module essay says about a `wake` that only looks.
#[test]
fn planted_a_wake_that_only_looks_is_found() {
    assert!(is_found(|| one_task_waits_for(2, || LazyWake(word()))));
}

#[test]
fn planted_relaxed_wake_ups_are_found() {
    assert!(is_found(|| one_task_waits_for(1, || RelaxedWake(word()))));
}

#[test]
fn planted_a_block_that_looks_and_then_stores_is_found() {
    assert!(is_found(|| one_task_waits_for(1, || LookThenStore(word()))));
}
