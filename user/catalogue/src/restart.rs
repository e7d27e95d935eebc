//! Ends and new beginnings of processes, and what those who knew them are told.

use alloc::string::String;

use rt::object::{Object, ProcessState};
use rt::service::files;
use rt::service::supervisor::Supervisor;
use rt::time::Deadline;
use rt::{Endpoint, Error, Message, Notification};

use crate::assistant::{self, Assistant};
use crate::case::{Case, Outcome, World, Wrong, equal, hold, joined, message};
use crate::probe::{Place, Probe};

pub(crate) const CASES: &[Case] = &[
    ("hubris test_panic", test_panic),
    ("hubris test_restart", test_restart),
    ("hubris test_restart_taskgen", test_restart_taskgen),
    (
        "hubris test_refresh_task_id_basic",
        test_refresh_task_id_basic,
    ),
    (
        "hubris test_refresh_task_id_off_by_one",
        test_refresh_task_id_off_by_one,
    ),
    (
        "hubris test_supervisor_fault_notification",
        test_supervisor_fault_notification,
    ),
    ("hubris test_task_status", test_task_status),
    (
        "hubris test_task_fault_injection",
        test_task_fault_injection,
    ),
    ("sel4test SERSERV_CLI_PROC_005", serserv_cli_proc_005),
];

/// What a panic ends with.
const PANICKED: (u32, u64) = (ProcessState::Exited as u32, rt::panic::STATUS);

/// A program that panics ends, with a status that says so.
fn test_panic(world: &World) -> Outcome {
    let assistant = Assistant::start(world)?;
    assistant.ask(assistant::PANIC, 0)?;
    let report = assistant.process.wait()?;
    equal!((report.state, report.status), PANICKED, "state and status");
    Ok(())
}

/// A program that is started anew has nothing of what it had before.
fn test_restart(world: &World) -> Outcome {
    let first = Assistant::start(world)?;
    equal!(
        first.ask(assistant::STORE, 5)?,
        0,
        "what a new one had stored"
    );
    equal!(
        first.ask(assistant::STORE, 6)?,
        5,
        "what it had stored then"
    );
    drop(first);
    let second = Assistant::start(world)?;
    equal!(
        second.ask(assistant::STORE, 7)?,
        0,
        "what the next one had stored"
    );
    Ok(())
}

/// Whoever knew a program that has ended is told that it is gone, and never reaches the one that came after it.
fn test_restart_taskgen(world: &World) -> Outcome {
    let first = Assistant::start(world)?;
    let old = first.requests.sender(0)?;
    first.ask(assistant::PANIC, 0)?;
    first.process.wait()?;
    let second = Assistant::start(world)?;
    for _ in 0..2 {
        let asked = old.call(Message::new(assistant::ECHO).word(1)).err();
        equal!(asked, Some(Error::Gone), "a request to the old one");
        let sent = old
            .send(Message::new(assistant::NOTE), Deadline::AT_ONCE)
            .err();
        equal!(sent, Some(Error::Gone), "a message to the old one");
    }
    let noted = second.requests.call(Message::new(assistant::NOTED))?;
    equal!(noted.word_at(0), 0, "messages that reached the new one");
    Ok(())
}

fn supervisor() -> Result<core::mem::ManuallyDrop<Supervisor>, Wrong> {
    Supervisor::own().ok_or(Wrong(String::from("no supervisor")))
}

/// Who looks a service up again that has not died finds the same.
fn test_refresh_task_id_basic(_: &World) -> Outcome {
    let supervisor = supervisor()?;
    let (_, generation) = supervisor.lookup_generation(files::NAME)?;
    let (_, again) = supervisor.lookup_generation(files::NAME)?;
    equal!(again, generation, "the generation");
    Ok(())
}

/// Who looks a service up again that has died once finds the next one; the old handle says that it is gone.
fn test_refresh_task_id_off_by_one(_: &World) -> Outcome {
    let supervisor = supervisor()?;
    let (old, generation) = supervisor.lookup_generation(files::NAME)?;
    supervisor.kill(files::NAME)?;
    // It answers until it has ended; then nobody receives there any more.
    let end = loop {
        match old.call(Message::new(0)) {
            Ok(_) => rt::thread::yield_now(),
            Err(error) => break error,
        }
    };
    equal!(end, Error::Gone, "what the old handle says");
    let (new, next) = supervisor.lookup_generation(files::NAME)?;
    equal!(next, generation + 1, "the next generation");
    new.call(Message::new(0))?;
    equal!(
        old.call(Message::new(0)).err(),
        Some(Error::Gone),
        "the old handle afterwards"
    );
    Ok(())
}

/// Who watches a process is told when it has ended, by the bits that were asked for, however it ended.
fn test_supervisor_fault_notification(_: &World) -> Outcome {
    let bell = Notification::create()?;
    for refused in [true, false] {
        let probe = Probe::new(Place::Elsewhere, &[0])?;
        probe.process().watch(&bell, 1 << 9)?;
        equal!(bell.poll()?, 0, "bits while it lives");
        if refused {
            probe.refuse()?;
        } else {
            probe.process().kill(0)?;
        }
        equal!(bell.wait(Deadline::FOREVER)?, 1 << 9, "bits after its end");
        probe.process().watch(&bell, 1 << 10)?;
        equal!(
            bell.wait(Deadline::FOREVER)?,
            1 << 10,
            "bits of who comes later"
        );
    }
    Ok(())
}

/// What a process is doing, and what it ended with, is told to who may look.
fn test_task_status(world: &World) -> Outcome {
    let assistant = Assistant::start(world)?;
    assistant.ask(assistant::ECHO, 0)?;
    let report = assistant.process.report()?;
    let found = (report.state, report.threads);
    equal!(
        found,
        (ProcessState::Alive as u32, 1),
        "state and threads while it lives"
    );
    equal!(rt::abi::start::text(&report.name), "catalogue", "its name");
    assistant.process.kill(1234)?;
    let report = assistant.process.wait()?;
    let found = (report.state, report.status, report.threads);
    equal!(
        found,
        (ProcessState::Killed as u32, 1234, 0),
        "state, status and threads after it"
    );
    assistant.process.kill(1)?;
    equal!(
        assistant.process.report()?.status,
        1234,
        "its status after another kill"
    );
    Ok(())
}

/// A program can be ended in the middle of whatever it does: computing, waiting, waiting for its fault's reply.
fn test_task_fault_injection(world: &World) -> Outcome {
    // `b` to itself.
    let spinning = Probe::new(Place::Elsewhere, &[0x1400_0000])?;
    spinning.starts(rt::object::Registers::default())?;
    let faulted = Probe::new(Place::Elsewhere, &[0])?;
    let waiting = Assistant::start(world)?;
    for process in [spinning.process(), faulted.process(), &waiting.process] {
        process.kill(3)?;
        let report = process.wait()?;
        let found = (report.state, report.status);
        equal!(found, (ProcessState::Killed as u32, 3), "state and status");
    }
    Ok(())
}

/// When a server ends, clients whose requests wait, and those that wait for replies, are told that it is gone.
fn serserv_cli_proc_005(world: &World) -> Outcome {
    let server = Assistant::start(world)?;
    // The first is never answered, so the others wait in the row.
    let mut clients = alloc::vec::Vec::new();
    let meeting = Endpoint::create()?;
    for number in 0..4 {
        let (to, from) = (server.requests.sender(0)?, meeting.sender(0)?);
        clients.push(rt::thread::spawn(
            move || -> Result<Option<Error>, Error> {
                from.send(Message::new(0), Deadline::FOREVER)?;
                let request = Message::new(assistant::KEEP_WAITING).word(number);
                Ok(to.call(request).err())
            },
        )?);
        message(meeting.receive(Deadline::FOREVER)?)?;
    }
    server.process.kill(0)?;
    server.process.wait()?;
    for client in clients {
        equal!(
            joined(client)??,
            Some(Error::Gone),
            "what a client was told"
        );
    }
    hold!(
        server.requests.owned().inspect().is_ok(),
        "the handle itself is lost"
    );
    Ok(())
}
