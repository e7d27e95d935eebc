//! Threads, locks, time, and messages within the process.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use rt::object::Reply;
use rt::sync::Mutex;
use rt::time::{Deadline, Duration, now, sleep};
use rt::{Endpoint, Error, Incoming, Message, Notification, thread};

use crate::{Outcome, failed, hold};

const THREADS: u64 = 8;
const ROUNDS: u64 = 2000;

/// How long something may take that is only a matter of time.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many threads are made one after the other.
const ONE_BY_ONE: u64 = 200;

/// Each thread takes a slot and a stack, and gives them back.
pub(crate) fn one_by_one() -> Outcome {
    for round in 0..ONE_BY_ONE {
        let handle = thread::spawn(move || round).map_err(failed("spawn"))?;
        let back = handle.join().map_err(failed("join"))?;
        hold!(back == Some(round), "thread {round} returned {back:?}");
    }
    Ok(alloc::format!("{ONE_BY_ONE} threads, one after the other"))
}

/// Threads that add under a lock lose nothing; FP registers stay each thread's own.
pub(crate) fn locks() -> Outcome {
    let sum = Arc::new(Mutex::new(0_u64));
    let mut handles = Vec::new();
    for number in 1..=THREADS {
        let sum = sum.clone();
        let body = move || {
            let mut float = number as f64;
            for round in 0..ROUNDS {
                let mut held = sum.lock();
                let before = *held;
                if round % 512 == 0 {
                    thread::yield_now();
                }
                *held = before + number;
                float += 0.5;
            }
            float
        };
        handles.push(thread::spawn(body).map_err(failed("spawn"))?);
    }
    for (handle, number) in handles.into_iter().zip(1..) {
        let float = handle.join().map_err(failed("join"))?;
        let expected = f64::from(number) + 0.5 * ROUNDS as f64;
        hold!(
            float == Some(expected),
            "thread {number}: {float:?} is not {expected}"
        );
    }
    let sum = *sum.lock();
    let expected = ROUNDS * THREADS * (THREADS + 1) / 2;
    hold!(sum == expected, "the sum is {sum} and not {expected}");
    Ok(alloc::format!("{THREADS} threads, {ROUNDS} rounds"))
}

/// Sleep, deadlines and timers.
pub(crate) fn time() -> Outcome {
    let before = now();
    sleep(Duration::from_millis(5));
    let slept = before.elapsed();
    hold!(slept >= Duration::from_millis(5), "slept {slept:?}");
    let bell = Notification::create().map_err(failed("notification"))?;
    hold!(bell.poll() == Ok(0), "bits in a new notification");
    let timed_out = bell.wait(Deadline::after(Duration::from_millis(1)));
    hold!(
        timed_out == Err(Error::TimedOut),
        "a wait for nothing: {timed_out:?}"
    );
    bell.set_timer(Deadline::after(Duration::from_millis(2)), 6)
        .map_err(failed("timer"))?;
    bell.signal(1).map_err(failed("signal"))?;
    // The timer may be over before the first look.
    let mut bits = 0;
    while bits != 7 {
        bits |= bell
            .wait(Deadline::after(PATIENCE))
            .map_err(failed("a signal or a timer was lost"))?;
    }
    Ok(alloc::format!("5 ms were {slept:?}"))
}

/// Calls from several threads to one; each gets the answer to its own.
pub(crate) fn calls() -> Outcome {
    let endpoint = Arc::new(Endpoint::create().map_err(failed("endpoint"))?);
    let server = {
        let endpoint = endpoint.clone();
        let body = move || {
            let mut served = 0_u64;
            let result = endpoint.serve(|incoming| match incoming {
                Incoming::Message(message, badge) if message.label() == 1 => {
                    served += 1;
                    let answer = message.word_at(0) * 3 + badge;
                    rt::object::Answer::Reply(Message::new(2).word(answer))
                }
                _ => rt::object::Answer::Stop,
            });
            (served, result)
        };
        thread::spawn(body).map_err(failed("spawn"))?
    };
    let wrong = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for badge in 1..=3 {
        let sender = endpoint.sender(badge).map_err(failed("sender"))?;
        let wrong = wrong.clone();
        let body = move || {
            for word in 0..300 {
                let reply = sender.call(Message::new(1).word(word));
                if !reply.is_ok_and(|reply| reply.word_at(0) == word * 3 + badge) {
                    wrong.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        clients.push(thread::spawn(body).map_err(failed("spawn"))?);
    }
    for client in clients {
        client.join().map_err(failed("join"))?;
    }
    let wrong = wrong.load(Ordering::Relaxed);
    hold!(wrong == 0, "{wrong} calls had wrong answers");
    endpoint
        .send(Message::new(0), Deadline::FOREVER)
        .map_err(failed("send"))?;
    let served = server.join().map_err(failed("join"))?;
    hold!(served == Some((900, Ok(()))), "the server says {served:?}");
    Ok(String::from("900 calls of 3 threads"))
}

/// A reply that is saved and dropped tells the caller so; one that is given, answers it.
pub(crate) fn replies() -> Outcome {
    let endpoint = Arc::new(Endpoint::create().map_err(failed("endpoint"))?);
    let caller = endpoint.clone();
    let client = thread::spawn(move || {
        let first = caller.call(Message::new(1)).map(|reply| reply.label());
        let second = caller.call(Message::new(2)).map(|reply| reply.label());
        (first, second)
    });
    let client = client.map_err(failed("spawn"))?;
    endpoint
        .receive(Deadline::FOREVER)
        .map_err(failed("receive"))?;
    drop(Reply::save().map_err(failed("save"))?);
    endpoint
        .receive(Deadline::FOREVER)
        .map_err(failed("receive"))?;
    let reply = Reply::save().map_err(failed("save"))?;
    hold!(
        Reply::save().err() == Some(Error::NoCaller),
        "a caller was saved twice"
    );
    reply.reply(Message::new(7)).map_err(failed("reply"))?;
    let got = client.join().map_err(failed("join"))?;
    hold!(
        got == Some((Err(Error::Gone), Ok(7))),
        "the caller got {got:?}"
    );
    Ok(String::from("one dropped, one given later"))
}
