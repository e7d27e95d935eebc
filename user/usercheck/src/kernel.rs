//! What the kernel must not be talked into: each of these was possible once.

use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use rt::abi::syscall::Call;
use rt::object::PAGE;
use rt::sync::Mutex;
use rt::time::{Deadline, Duration, sleep};
use rt::{Endpoint, Incoming, Message, Notification, Process, Thread, thread};

use crate::{Outcome, failed, hold};

/// How often two threads do something at once that only one may win.
const ROUNDS: u64 = 300;

/// The kernel frees what has ended a little later; by then it has.
const RECLAIMED: Duration = Duration::from_millis(100);

pub(crate) fn check() -> Outcome {
    badges()?;
    forgery()?;
    charges()?;
    timers()?;
    let suspended = suspensions()?;
    Ok(alloc::format!("{suspended} suspensions of each other"))
}

/// A handle to signal certain bits with has no others signalled when something ends.
fn badges() -> Result<(), String> {
    let bell = Notification::create().map_err(failed("notification"))?;
    let signaller = bell.signaller(4).map_err(failed("signaller"))?;
    let child = Process::create("child", 64 << 10).map_err(failed("process"))?;
    child.watch(&signaller, 3).map_err(failed("watch"))?;
    child.kill(0).map_err(failed("kill"))?;
    let bits = bell.wait(Deadline::FOREVER);
    hold!(bits == Ok(4), "bits of badge 4: {bits:?}");
    Ok(())
}

/// Who may write a thread's registers does not make what it sends a message of the kernel's.
fn forgery() -> Result<(), String> {
    /// The register of a message's kind.
    const KIND: usize = 10;
    let endpoint = Arc::new(Endpoint::create().map_err(failed("endpoint"))?);
    for bit in [7, 8] {
        let target = endpoint.clone();
        let send = move || target.send(Message::new(1).word(2), Deadline::FOREVER);
        let sender = thread::spawn(send).map_err(failed("spawn"))?;
        sleep(Duration::from_millis(20));
        sender.thread().suspend().map_err(failed("suspend"))?;
        let mut registers = sender.thread().registers().map_err(failed("registers"))?;
        registers.x[KIND] |= 1 << bit;
        // SAFETY: what the register holds after a send means nothing to who sent.
        unsafe { sender.thread().set_registers(&registers) }.map_err(failed("set registers"))?;
        let incoming = endpoint.receive(Deadline::FOREVER);
        let incoming = incoming.map_err(failed("receive"))?;
        hold!(
            matches!(incoming, Incoming::Message(..)),
            "bit {bit}: a message arrived as {incoming:?}"
        );
        sender.thread().resume().map_err(failed("resume"))?;
        sender.join().map_err(failed("join"))?;
    }
    Ok(())
}

/// A thread costs what it costs, whoever has a handle of it.
fn charges() -> Result<(), String> {
    let used = || Process::own().report().map(|report| report.used);
    let bell = Arc::new(Notification::create().map_err(failed("notification"))?);
    let waited = bell.clone();
    let waiter = thread::spawn(move || waited.wait(Deadline::FOREVER)).map_err(failed("spawn"))?;
    // Until what ended before is reclaimed.
    sleep(RECLAIMED);
    let before = used().map_err(failed("report"))?;
    let handle = u64::from(waiter.thread().handle().0);
    // Its stack, and a handle that is one no longer, stay where they are.
    core::mem::forget(waiter);
    // SAFETY: nobody uses the handle any more.
    unsafe { rt::syscall::plain(Call::HandleClose, [handle]) }.map_err(failed("close"))?;
    sleep(RECLAIMED);
    let after = used().map_err(failed("report"))?;
    bell.signal(1).map_err(failed("signal"))?;
    hold!(
        after + PAGE > before,
        "a thread without a handle: {before} bytes are {after}"
    );
    Ok(())
}

/// A notification has one timer, also when two set it at once.
fn timers() -> Result<(), String> {
    let bell = Arc::new(Notification::create().map_err(failed("notification"))?);
    let due = Deadline::after(Duration::from_millis(300));
    let set = |bits: u64| {
        let bell = bell.clone();
        thread::spawn(move || (0..ROUNDS).try_for_each(|_| bell.set_timer(due, bits)))
    };
    let both = [1, 2].map(set);
    for one in both {
        let one = one.map_err(failed("spawn"))?;
        let set = one.join().map_err(failed("join"))?;
        hold!(set == Some(Ok(())), "a timer was not set: {set:?}");
    }
    bell.wait(Deadline::FOREVER).map_err(failed("wait"))?;
    sleep(Duration::from_millis(20));
    let more = bell.poll();
    hold!(more == Ok(0), "a second timer has rung: {more:?}");
    Ok(())
}

/// Two threads that suspend each other come to their ends, if somebody resumes them.
fn suspensions() -> Result<u64, String> {
    let done = Arc::new(AtomicU64::new(0));
    let count = Arc::new(AtomicU64::new(0));
    let ready = Arc::new(AtomicU64::new(0));
    let others: [Arc<Mutex<Option<Thread>>>; 2] = [Arc::default(), Arc::default()];
    let spawn = |at: usize| {
        let (other, done, count) = (others[at].clone(), done.clone(), count.clone());
        let ready = ready.clone();
        thread::spawn(move || {
            // Nobody else wants the locks any more: whoever has one may be suspended.
            while ready.load(SeqCst) == 0 {
                thread::yield_now();
            }
            let Some(other) = other.lock().take() else {
                return;
            };
            for _ in 0..ROUNDS {
                if other.suspend().is_ok() {
                    count.fetch_add(1, SeqCst);
                    let _ = other.resume();
                }
            }
            done.fetch_add(1, SeqCst);
        })
    };
    let first = spawn(0).map_err(failed("spawn"))?;
    let second = spawn(1).map_err(failed("spawn"))?;
    for (other, of) in [(&others[0], &second), (&others[1], &first)] {
        let rights = rt::Rights::MANAGE;
        *other.lock() = Some(of.thread().duplicate(rights).map_err(failed("duplicate"))?);
    }
    ready.store(1, SeqCst);
    while done.load(SeqCst) != 2 {
        for one in [&first, &second] {
            // One that has ended cannot be resumed.
            let _ = one.thread().resume();
        }
        thread::yield_now();
    }
    for one in [first, second] {
        let _ = one.thread().resume();
        one.join().map_err(failed("join"))?;
    }
    Ok(count.load(SeqCst))
}
