//! What programs build to wait for each other: semaphores and monitors, made of notifications and locks.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use rt::sync::Mutex;
use rt::time::Deadline;
use rt::{Error, Notification};

use crate::case::{Case, Outcome, World, equal, hold, joined};
use crate::stage::Stage;

pub(crate) const CASES: &[Case] = &[
    ("sel4test SYNC001", sync001),
    ("sel4test SYNC002", sync002),
    ("sel4test SYNC003", sync003),
    ("sel4test SYNC004", sync004),
];

const THREADS: u64 = 6;
const ROUNDS: u64 = 50;

/// Of one token: a notification with a bit in it.
struct Binary(Notification);

impl Binary {
    fn new() -> Result<Self, Error> {
        let notification = Notification::create()?;
        notification.signal(1)?;
        Ok(Self(notification))
    }

    fn take(&self) -> Result<u64, Error> {
        self.0.wait(Deadline::FOREVER)
    }

    fn put(&self) -> Result<(), Error> {
        self.0.signal(1)
    }
}

/// Of many: a count, and a bell for those who find none.
struct Semaphore {
    count: Mutex<u64>,
    bell: Notification,
}

impl Semaphore {
    fn new(count: u64) -> Result<Self, Error> {
        Ok(Self {
            count: Mutex::new(count),
            bell: Notification::create()?,
        })
    }

    fn take(&self) -> Result<(), Error> {
        loop {
            {
                let mut count = self.count.lock();
                if *count > 0 {
                    *count -= 1;
                    if *count > 0 {
                        // Bits do not count: who finds some left wakes the next.
                        self.bell.signal(1)?;
                    }
                    return Ok(());
                }
            }
            self.bell.wait(Deadline::FOREVER)?;
        }
    }

    fn put(&self) -> Result<(), Error> {
        *self.count.lock() += 1;
        self.bell.signal(1)
    }
}

/// A thread's place in a monitor.
struct Condition(Mutex<Vec<Arc<Notification>>>);

impl Condition {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Waits for [`Condition::wake`], with the lock let go meanwhile.
    fn wait<'a, T>(
        &self,
        lock: &'a Mutex<T>,
        held: rt::sync::MutexGuard<'a, T>,
    ) -> Result<rt::sync::MutexGuard<'a, T>, Error> {
        let place = Arc::new(Notification::create()?);
        self.0.lock().push(place.clone());
        drop(held);
        place.wait(Deadline::FOREVER)?;
        Ok(lock.lock())
    }

    /// Wakes at most so many.
    fn wake(&self, most: usize) -> Result<usize, Error> {
        let mut waiting = self.0.lock();
        let count = waiting.len().min(most);
        for place in waiting.drain(..count) {
            place.signal(1)?;
        }
        Ok(count)
    }
}

/// A binary semaphore lets in one thread at a time, however many want in.
fn sync001(_: &World) -> Outcome {
    let (semaphore, inside) = (Arc::new(Binary::new()?), Arc::new(AtomicU64::new(0)));
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        let (semaphore, inside) = (semaphore.clone(), inside.clone());
        threads.push(rt::thread::spawn(move || -> Outcome {
            for _ in 0..ROUNDS {
                semaphore.take()?;
                let others = inside.fetch_add(1, Ordering::AcqRel);
                rt::thread::yield_now();
                inside.fetch_sub(1, Ordering::AcqRel);
                semaphore.put()?;
                equal!(others, 0, "others inside");
            }
            Ok(())
        })?);
    }
    threads.into_iter().try_for_each(|thread| joined(thread)?)
}

/// A semaphore of three lets in three, and loses no token.
fn sync002(_: &World) -> Outcome {
    const TOKENS: u64 = 3;
    let (semaphore, inside) = (
        Arc::new(Semaphore::new(TOKENS)?),
        Arc::new(AtomicU64::new(0)),
    );
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        let (semaphore, inside) = (semaphore.clone(), inside.clone());
        threads.push(rt::thread::spawn(move || -> Outcome {
            for _ in 0..ROUNDS {
                semaphore.take()?;
                let others = inside.fetch_add(1, Ordering::AcqRel);
                rt::thread::yield_now();
                inside.fetch_sub(1, Ordering::AcqRel);
                semaphore.put()?;
                hold!(
                    others < TOKENS,
                    "expected at most {TOKENS} inside, found {}",
                    others + 1
                );
            }
            Ok(())
        })?);
    }
    threads.into_iter().try_for_each(|thread| joined(thread)?)?;
    equal!(*semaphore.count.lock(), TOKENS, "the tokens that are left");
    Ok(())
}

/// In a monitor, who waits for a condition lets others in, and finds it true when it goes on.
fn sync003(_: &World) -> Outcome {
    struct Buffer {
        full: Condition,
        empty: Condition,
        item: Mutex<Option<u64>>,
    }
    let buffer = Arc::new(Buffer {
        full: Condition::new(),
        empty: Condition::new(),
        item: Mutex::new(None),
    });
    let from = buffer.clone();
    let consumer = rt::thread::spawn(move || -> Outcome {
        for expected in 0..ROUNDS {
            let mut item = from.item.lock();
            while item.is_none() {
                item = from.full.wait(&from.item, item)?;
            }
            equal!(item.take(), Some(expected), "the item");
            drop(item);
            from.empty.wake(1)?;
        }
        Ok(())
    })?;
    for number in 0..ROUNDS {
        let mut item = buffer.item.lock();
        while item.is_some() {
            item = buffer.empty.wait(&buffer.item, item)?;
        }
        *item = Some(number);
        drop(item);
        buffer.full.wake(1)?;
    }
    joined(consumer)?
}

/// A broadcast wakes everybody who waits, and each once.
fn sync004(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let shared = Arc::new((Condition::new(), Mutex::new(0_u64)));
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        let shared = shared.clone();
        threads.push(stage.actor(Stage::middle(), move || -> Result<(), Error> {
            let (condition, woken) = &*shared;
            *condition.wait(woken, woken.lock())? += 1;
            Ok(())
        })?);
    }
    stage.settle()?;
    equal!(*shared.1.lock(), 0, "how many went on before the broadcast");
    equal!(
        shared.0.wake(usize::MAX)? as u64,
        THREADS,
        "how many were woken"
    );
    for thread in threads {
        joined(thread)??;
    }
    equal!(*shared.1.lock(), THREADS, "how many went on after it");
    Ok(())
}
