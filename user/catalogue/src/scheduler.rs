//! Who runs, and in which order.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use rt::object::reply_to_caller;
use rt::sync::Mutex;
use rt::thread::JoinHandle;
use rt::time::Deadline;
use rt::{Endpoint, Error, Message, Notification, Thread, start, thread};

use crate::case::{Case, Outcome, World, Wrong, equal, joined, message};
use crate::stage::{Log, Stage};

pub(crate) const CASES: &[Case] = &[
    ("sel4test SCHED0000", sched0000),
    ("sel4test SCHED0002", sched0002),
    ("sel4test SCHED0003", sched0003),
    ("sel4test SCHED0004", sched0004),
    ("sel4test SCHED0005", sched0005),
    ("sel4test SCHED0006", sched0006),
    ("sel4test SCHED0007", sched0007),
    ("sel4test SCHED0008", sched0008),
    ("sel4test SCHED0009", sched0009),
    ("sel4test SCHED0020", sched0020),
    ("sel4test SCHED0021", sched0021),
];

/// A thread that counts, until its count is this or more.
const ENOUGH: u64 = u64::MAX / 2;

/// Waits until the count has changed.
fn until_it_counts(count: &AtomicU64) {
    let before = count.load(Ordering::Relaxed);
    while count.load(Ordering::Relaxed) == before {
        thread::yield_now();
    }
}

/// A suspended thread does nothing; resumed, it goes on where it was.
fn sched0000(_: &World) -> Outcome {
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let counter = thread::spawn(move || while counted.fetch_add(1, Ordering::Relaxed) < ENOUGH {})?;
    for _ in 0..10 {
        until_it_counts(&count);
        counter.thread().suspend()?;
        let stopped = count.load(Ordering::Relaxed);
        for _ in 0..50 {
            thread::yield_now();
        }
        equal!(
            count.load(Ordering::Relaxed),
            stopped,
            "the count of a suspended thread"
        );
        counter.thread().resume()?;
    }
    until_it_counts(&count);
    count.store(ENOUGH, Ordering::Relaxed);
    joined(counter)
}

/// A thread that resumes itself goes on as if nothing had been.
fn sched0002(_: &World) -> Outcome {
    let before = thread::who_am_i().0;
    start::first_thread().resume()?;
    equal!(thread::who_am_i().0, before, "who goes on");
    Ok(())
}

/// However often it was suspended, one resume is enough; and bits that come meanwhile are not lost.
fn sched0003(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let (log, notification) = (Log::default(), Arc::new(Notification::create()?));
    let (notes, waited) = (log.clone(), notification.clone());
    let waiter = stage.actor(Stage::middle(), move || {
        let bits = waited.wait(Deadline::FOREVER);
        notes.note(1);
        bits
    })?;
    // Before it ran, and when it waits.
    for _ in 0..2 {
        for _ in 0..3 {
            waiter.thread().suspend()?;
        }
        stage.settle()?;
        equal!(log.take(), [], "what it did suspended");
        waiter.thread().resume()?;
        stage.settle()?;
    }
    waiter.thread().suspend()?;
    notification.signal(6)?;
    stage.settle()?;
    equal!(log.take(), [], "what it did with bits, suspended");
    waiter.thread().resume()?;
    waiter.thread().resume()?;
    equal!(joined(waiter)??, 6, "the bits");
    Ok(())
}

/// Threads of all priorities that become ready at once run in the order of their priorities.
fn sched0004(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let log = Log::default();
    let mut threads = Vec::new();
    for level in Stage::levels().rev() {
        let notes = log.clone();
        threads.push(stage.actor(level, move || notes.note(u64::from(level)))?);
    }
    equal!(log.take(), [], "what ran beside a more urgent thread");
    stage.settle()?;
    let expected: Vec<u64> = Stage::levels().map(u64::from).collect();
    equal!(log.take(), expected, "the priorities in the order they ran");
    threads.into_iter().try_for_each(joined)
}

/// A thread's priority can be changed, up to the changer's own and not beyond; the order follows it.
fn sched0005(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let log = Log::default();
    let mut threads = Vec::new();
    for number in 0..3 {
        let notes = log.clone();
        threads.push(stage.actor(Stage::middle() - number, move || notes.note(number.into()))?);
    }
    let own = thread::default_priority();
    for absurd in [own + 1, 31, 32, u32::MAX] {
        equal!(
            threads[0].thread().set_priority(absurd).err(),
            Some(Error::BadArgument),
            "priority {absurd}"
        );
    }
    threads[2].thread().set_priority(own)?;
    threads[0].thread().set_priority(Stage::middle() - 2)?;
    stage.settle()?;
    equal!(log.take(), [2, 1, 0], "the order they ran in");
    threads.into_iter().try_for_each(joined)
}

/// Actors of rising priority that each send, or call, with their number; they wait in that order.
fn senders(
    stage: &Stage,
    endpoint: &Arc<Endpoint>,
    log: &Log,
    body: fn(&Endpoint, Message) -> Result<(), Error>,
) -> Result<Vec<JoinHandle<Result<(), Error>>>, Wrong> {
    let mut threads = Vec::new();
    for number in 1..=4 {
        let (to, notes) = (endpoint.clone(), log.clone());
        threads.push(stage.actor(Stage::middle() + number, move || {
            let sent = body(&to, Message::new(0).word(number.into()));
            notes.note(number.into());
            sent
        })?);
        stage.settle()?;
    }
    Ok(threads)
}

/// What is received, as numbers.
fn number(incoming: rt::Incoming) -> Result<u64, Wrong> {
    Ok(message(incoming)?.0.word_at(0))
}

/// Messages are received in the order in which their senders came, whatever their priorities; the senders
/// then run by their priorities.
fn sched0006(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let (log, endpoint) = (Log::default(), Arc::new(Endpoint::create()?));
    let send = |to: &Endpoint, message| to.send(message, Deadline::FOREVER);
    let threads = senders(&stage, &endpoint, &log, send)?;
    for expected in 1..=4 {
        equal!(
            number(endpoint.receive(Deadline::AT_ONCE)?)?,
            expected,
            "the sender"
        );
    }
    equal!(
        log.take(),
        [],
        "senders that ran beside a more urgent thread"
    );
    stage.settle()?;
    equal!(
        log.take(),
        [4, 3, 2, 1],
        "the order in which senders went on"
    );
    threads
        .into_iter()
        .try_for_each(|thread| Ok(joined(thread)??))
}

/// A server runs at its own priority: called, one more urgent than others that are ready runs before
/// them, one less urgent after them, whoever called.
fn sched0007(_: &World) -> Outcome {
    for (server_level, expected) in [
        (Stage::middle() + 2, [1, 2, 3]),
        (Stage::middle() - 1, [2, 1, 3]),
    ] {
        let stage = Stage::new()?;
        let (log, endpoint) = (Log::default(), Arc::new(Endpoint::create()?));
        let go = Arc::new(Notification::create()?);
        let (from, notes) = (endpoint.clone(), log.clone());
        let server = stage.actor(server_level, move || -> Result<(), Error> {
            from.receive(Deadline::FOREVER)?;
            notes.note(1);
            reply_to_caller(Message::new(0))
        })?;
        let (bell, notes) = (go.clone(), log.clone());
        let middle = stage.actor(Stage::middle(), move || {
            let bits = bell.wait(Deadline::FOREVER);
            notes.note(2);
            bits
        })?;
        stage.settle()?;
        let notes = log.clone();
        let client = stage.actor(Stage::middle() + 1, move || -> Result<(), Error> {
            go.signal(1)?;
            endpoint.call(Message::new(0))?;
            notes.note(3);
            Ok(())
        })?;
        stage.settle()?;
        let mut found = log.take();
        // Replied to, the client is more urgent than the one in the middle, if that has not run yet.
        if server_level > Stage::middle() {
            equal!(found, [1, 3, 2], "server, client, the other");
            found = alloc::vec![1, 2, 3];
        }
        equal!(found, expected, "the order of a server at {server_level}");
        joined(server)??;
        joined(middle)??;
        joined(client)??;
    }
    Ok(())
}

/// Who waits at an endpoint keeps the place in the row when the priority changes, and then runs by the new one.
fn sched0008(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let (log, endpoint) = (Log::default(), Arc::new(Endpoint::create()?));
    let send = |to: &Endpoint, message| to.send(message, Deadline::FOREVER);
    let threads = senders(&stage, &endpoint, &log, send)?;
    for (thread, level) in threads.iter().zip([9, 3, 7, 5]) {
        thread.thread().set_priority(level)?;
    }
    for expected in 1..=4 {
        equal!(
            number(endpoint.receive(Deadline::AT_ONCE)?)?,
            expected,
            "the sender"
        );
    }
    stage.settle()?;
    equal!(
        log.take(),
        [1, 3, 4, 2],
        "the order in which senders went on"
    );
    threads
        .into_iter()
        .try_for_each(|thread| Ok(joined(thread)??))
}

/// Who replies and receives serves callers in the order in which they came.
fn sched0009(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let (log, endpoint) = (Log::default(), Arc::new(Endpoint::create()?));
    let call = |to: &Endpoint, message| to.call(message).map(drop);
    let threads = senders(&stage, &endpoint, &log, call)?;
    let mut incoming = endpoint.receive(Deadline::AT_ONCE)?;
    for expected in 1..=4 {
        equal!(number(incoming)?, expected, "the caller");
        incoming = match endpoint.reply_receive(Message::new(0), Deadline::AT_ONCE) {
            Ok(incoming) => incoming,
            Err(error) => {
                equal!(
                    (error, expected),
                    (Error::TimedOut, 4),
                    "the end of the row"
                );
                break;
            }
        };
    }
    threads
        .into_iter()
        .try_for_each(|thread| Ok(joined(thread)??))
}

/// A thread that becomes more urgent than the one that runs runs at once, and not before.
fn sched0020(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let log = Log::default();
    let notes = log.clone();
    let low = stage.actor(Stage::middle() - 3, move || notes.note(2))?;
    let raised = low.thread().duplicate(rt::Rights::ALL)?;
    let (itself, own) = (Arc::new(Mutex::new(None::<Thread>)), log.clone());
    let sinking = itself.clone();
    let gate = Arc::new(Notification::create()?);
    let opened = gate.clone();
    let high = stage.actor(Stage::middle(), move || -> Result<(), Error> {
        opened.wait(Deadline::FOREVER)?;
        raised.set_priority(Stage::middle() - 1)?;
        own.note(1);
        if let Some(thread) = sinking.lock().take() {
            thread.set_priority(Stage::middle() - 2)?;
        }
        own.note(3);
        Ok(())
    })?;
    *itself.lock() = Some(high.thread().duplicate(rt::Rights::ALL)?);
    gate.signal(1)?;
    stage.settle()?;
    equal!(
        log.take(),
        [1, 2, 3],
        "raised, still below; the other lowered; after that"
    );
    joined(low)?;
    joined(high)?.map_err(Wrong::from)
}

/// Threads of equal priority on one CPU all get on, though none ever yields.
fn sched0021(_: &World) -> Outcome {
    const THREADS: u64 = 6;
    const ROUNDS: u64 = 3;
    let stage = Stage::new()?;
    let counts: Arc<[AtomicU64; THREADS as usize]> = Arc::default();
    let mut threads = Vec::new();
    for own in 0..THREADS as usize {
        let counts = counts.clone();
        threads.push(stage.actor(Stage::middle(), move || {
            for round in 1..=ROUNDS {
                counts[own].store(round, Ordering::Relaxed);
                // Until each of the others was let run.
                while counts
                    .iter()
                    .any(|count| count.load(Ordering::Relaxed) < round)
                {
                    core::hint::spin_loop();
                }
            }
        })?);
    }
    threads.into_iter().try_for_each(joined)
}
