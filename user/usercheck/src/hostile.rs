//! Requests that no client should make. Each must get an error, or be ignored, and the services must
//! be as they were.

use alloc::string::String;
use alloc::vec::Vec;

use rt::object::{MemoryKind, Object, Owned, PAGE};
use rt::service::files::Files;
use rt::service::session::MAX_SESSIONS_OF_ONE;
use rt::service::supervisor::{self, Listed, Supervisor};
use rt::service::{Error, block, console, files};
use rt::time::{Deadline, Duration};
use rt::{Endpoint, Memory, Message, Notification, Process, Rights};

use crate::{Outcome, failed, hold};

/// How many messages of rubbish each service gets.
const RUBBISH: u64 = 400;
/// How long an answer may take. Reading the console is the one request that may wait.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn check() -> Outcome {
    let own = Supervisor::own().ok_or("no supervisor")?;
    let before = lives(&own)?;
    let mut answered = 0;
    let to_itself = rt::start::borrow::<Endpoint>(supervisor::NAME).ok_or("no supervisor")?;
    answered += rubbish(&to_itself)?;
    for name in [files::NAME, console::NAME] {
        let service = own.lookup(name).map_err(failed("lookup"))?;
        answered += rubbish(&service)?;
        forged(&service)?;
    }
    let service = own.lookup(console::NAME).map_err(failed("lookup"))?;
    for count in [57, 1 << 32, u64::MAX] {
        let written = rt::service::request(&service, Message::new(console::WRITE).word(count));
        let error = written.err();
        hold!(
            error == Some(Error::BadRequest),
            "a count of {count}: {error:?}"
        );
    }
    let service = own.lookup(files::NAME).map_err(failed("lookup"))?;
    connecting(&service)?;
    within_a_session()?;
    let after = lives(&own)?;
    hold!(before == after, "services died: {before:?}, {after:?}");
    Ok(alloc::format!(
        "{answered} of {} messages answered with errors",
        3 * RUBBISH
    ))
}

/// The services that were asked, with their processes.
fn lives(own: &Supervisor) -> Result<Vec<(String, u32)>, String> {
    let all = own.list().map_err(failed("list"))?;
    let asked = |listed: &Listed| [files::NAME, console::NAME].contains(&&*listed.name);
    let asked = all.into_iter().filter(asked);
    Ok(asked.map(|listed| (listed.name, listed.process)).collect())
}

/// Numbers without a meaning.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// Labels that are almost right, words and handles without a meaning.
fn rubbish(service: &Endpoint) -> Result<u64, String> {
    let labels = [
        files::CONNECT,
        files::OPEN,
        files::READ,
        files::LIST,
        block::CONNECT,
        block::READ,
        supervisor::LOOKUP,
        supervisor::START,
        supervisor::LIST,
    ];
    let mut numbers = Numbers(1);
    let mut answered = 0;
    for _ in 0..RUBBISH {
        let label = labels[numbers.next() as usize % labels.len()] ^ (numbers.next() as u32 & 0x10);
        let mut message = Message::new(label);
        for _ in 0..numbers.next() % 9 {
            message = message.word(match numbers.next() % 3 {
                0 => numbers.next() % 8,
                1 => u64::MAX - numbers.next() % 8,
                _ => numbers.next(),
            });
        }
        for _ in 0..numbers.next() % 5 {
            message = message.give(something(&mut numbers)?);
        }
        match service.call_until(message, Deadline::after(PATIENCE)) {
            Ok(reply) => answered += u64::from(reply.label() != 0),
            Err(error) => return Err(alloc::format!("label {label:#x}: {error}")),
        }
    }
    Ok(answered)
}

/// A handle of some kind.
fn something(numbers: &mut Numbers) -> Result<Owned, String> {
    Ok(match numbers.next() % 4 {
        0 => Endpoint::create().map_err(failed("endpoint"))?.into(),
        1 => Notification::create()
            .map_err(failed("notification"))?
            .into(),
        2 => Memory::create(PAGE as usize, MemoryKind::Normal)
            .map_err(failed("memory"))?
            .into(),
        _ => Process::own()
            .duplicate(Rights::TRANSFER)
            .map_err(failed("process"))?
            .into(),
    })
}

/// A client cannot receive in a service's place, nor take rights it was not given.
fn forged(service: &Endpoint) -> Result<(), String> {
    let received = service.receive(Deadline::AT_ONCE).err();
    hold!(
        received == Some(rt::Error::NoRight),
        "a client receives: {received:?}"
    );
    let more = service.owned().duplicate(Rights::ALL, 0).err();
    hold!(more == Some(rt::Error::NoRight), "more rights: {more:?}");
    Ok(())
}

/// Connecting with less, with more, and too often.
fn connecting(service: &Endpoint) -> Result<(), String> {
    let connect = |memory: Option<Rights>, bytes: usize, process: Option<Rights>| {
        let mut message = Message::new(files::CONNECT);
        if let Some(rights) = memory {
            let memory = Memory::create(bytes, MemoryKind::Normal)?;
            message = message.give(memory.duplicate(rights.with(Rights::TRANSFER))?);
        }
        if let Some(rights) = process {
            let process = Process::own().duplicate(rights.with(Rights::TRANSFER))?;
            message = message.give(process);
        }
        rt::service::request(service, message).map(drop)
    };
    let both = Rights::READ.with(Rights::WRITE).with(Rights::INSPECT);
    let look = Rights::INSPECT;
    for (memory, bytes, process) in [
        (None, 0, None),
        (Some(both), 4096, None),
        (None, 0, Some(look)),
        (Some(look), 4096, Some(look)),
        (Some(both), 4096, Some(Rights::NONE)),
        (Some(both), 2 << 20, Some(look)),
    ] {
        let error = connect(memory, bytes, process).err();
        hold!(
            error.is_some(),
            "connected with {memory:?} of {bytes}, {process:?}"
        );
    }
    let mut sessions = Vec::new();
    for _ in 0..=MAX_SESSIONS_OF_ONE {
        sessions.push(Files::connect(files::NAME));
    }
    let last = sessions.pop().and_then(Result::err);
    hold!(last == Some(Error::Full), "too many sessions: {last:?}");
    Ok(())
}

/// Numbers and paths that make no sense.
fn within_a_session() -> Result<(), String> {
    let files = Files::connect(files::NAME).map_err(failed("connect"))?;
    for path in [
        "..",
        "/bin/../../x",
        "a\nb",
        "/bin",
        "bin/hello/x",
        "nothing",
    ] {
        hold!(files.open(path).is_err(), "opened {path:?}");
    }
    let long = "x".repeat(4096);
    hold!(files.open(&long).is_err(), "opened a name of 4096 bytes");
    let mut open = Vec::new();
    loop {
        match files.open("etc/start") {
            Ok(file) => open.push(file),
            Err(Error::Full) => break,
            Err(error) => return Err(alloc::format!("open: {error}")),
        }
        hold!(
            open.len() <= files::MAX_OPEN,
            "{} files are open",
            open.len()
        );
    }
    let file = open.pop().ok_or("none is open")?;
    let mut bytes = [0; 8];
    hold!(
        file.read_at(u64::MAX - 2, &mut bytes).is_err(),
        "read beyond all numbers"
    );
    hold!(
        file.read_at(1 << 40, &mut bytes) == Ok(0),
        "read beyond the end"
    );
    Ok(())
}
