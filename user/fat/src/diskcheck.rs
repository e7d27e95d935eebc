#![no_std]
#![no_main]
//! Reads the disk that the harness makes (`harness/src/disk.rs`), and says whether every byte is as it
//! was put there. A program for scenarios, and for who wants to see the disk at work.
//!
//! `diskcheck times=4` reads everything four times; with `kill=3` another thread kills the driver
//! three times meanwhile; with `write` a file is written, read back and removed each time, and with
//! `keep` once more at the end, to stay; with `hostile` the driver is asked for what no client should ask for;
//! `measure` says how long requests take, in ticks; `expect=corrupt` and `expect=none` are for disks that
//! are damaged or not there.

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rt::object::MemoryKind;
use rt::service::block::Block;
use rt::service::files::{Files, Kind};
use rt::service::session::Connection;
use rt::service::supervisor::Supervisor;
use rt::service::{Error, block, find, request};
use rt::time::{Duration, now, sleep};
use rt::{Memory, Message, Rights, println};

rt::entry!(main);

/// The name of the file service.
const SERVICE: &str = "disk";
/// The name of the driver.
const DRIVER: &str = "blk";
/// How long a service may go on ending as soon as it is talked to.
const PATIENCE: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// How long the driver is left alone between two kills: longer than the supervisor's patience with
/// services that die is short.
const BETWEEN_KILLS: Duration = Duration::from_millis(700);
/// How much is read at once: no whole number of sectors, so that every way of reading is used.
const PIECE_BYTES: usize = 24_000;

/// The small files of the disk.
const TEXTS: [(&str, &str); 3] = [
    ("hello.txt", "Hello from the disk.\n"),
    (
        "A name that is longer than eight.text",
        "Long names work as well.\n",
    ),
    ("docs/deep/er/still.txt", "Four levels down.\n"),
];
/// The large one, and how many words it has; word n is n times [`FACTOR`], modulo 2^32.
const NUMBERS: (&str, usize) = ("numbers.bin", 64 << 10);
const FACTOR: u32 = 2_654_435_761;

/// What is asked for.
#[derive(Default)]
struct Wanted {
    times: u64,
    kills: u64,
    write: bool,
    keep: bool,
    hostile: bool,
    measure: bool,
    expect: Option<&'static str>,
}

fn main() -> Result<(), String> {
    let mut wanted = Wanted {
        times: 1,
        ..Wanted::default()
    };
    for argument in rt::start::arguments().skip(1) {
        let bad = || format!("what is {argument}?");
        match argument.split_once('=') {
            Some(("times", n)) => wanted.times = n.parse().map_err(|_| bad())?,
            Some(("kill", n)) => wanted.kills = n.parse().map_err(|_| bad())?,
            Some(("expect", what)) => wanted.expect = Some(what),
            None if argument == "write" => wanted.write = true,
            None if argument == "keep" => wanted.keep = true,
            None if argument == "measure" => wanted.measure = true,
            None if argument == "hostile" => wanted.hostile = true,
            _ => return Err(bad()),
        }
    }
    match wanted.expect {
        Some(what) => expect(what),
        None if wanted.measure => measure(),
        None => check(&wanted),
    }
}

/// Connects to the file service. One that has just ended is looked for again: it has a successor, or
/// will be found no more.
fn connect() -> Result<Files, Error> {
    let began = now();
    loop {
        match Files::connect(SERVICE) {
            Err(error) if error.is_gone() && began.elapsed() < PATIENCE => sleep(BETWEEN_LOOKS),
            connected => return connected,
        }
    }
}

/// A disk that is to be refused, for the right reason.
fn expect(what: &str) -> Result<(), String> {
    let listed = connect().and_then(|files| files.list("").map(drop));
    let right = match what {
        "corrupt" => listed == Err(Error::Corrupt),
        "none" => listed == Err(Error::NotFound),
        _ => return Err(format!("what is {what}?")),
    };
    let said = listed.map_or_else(|error| error.to_string(), |()| "files".to_string());
    match right {
        true => {
            println!("as expected, the disk has: {said}");
            Ok(())
        }
        false => Err(format!("expected {what}, but: {said}")),
    }
}

/// Reads all of it, so often, while the driver is killed so often.
fn check(wanted: &Wanted) -> Result<(), String> {
    static DONE: AtomicBool = AtomicBool::new(false);
    static KILLED: AtomicU64 = AtomicU64::new(0);
    let files = connect().map_err(|error| format!("{SERVICE}: {error}"))?;
    names(&files)?;
    let kills = wanted.kills;
    let killer = rt::thread::spawn(move || {
        while KILLED.load(Ordering::Relaxed) < kills && !DONE.load(Ordering::Relaxed) {
            sleep(BETWEEN_KILLS);
            if let Some(supervisor) = Supervisor::own()
                && supervisor.kill(DRIVER).is_ok()
            {
                KILLED.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .map_err(|error| error.to_string())?;
    let (mut passes, mut bytes) = (0, 0);
    // While it is killed it is read, however often that is.
    let outcome = loop {
        if passes >= wanted.times && KILLED.load(Ordering::Relaxed) >= kills {
            break Ok(());
        }
        match pass(&files) {
            Ok(read) => bytes += read,
            Err(why) => break Err(why),
        }
        if wanted.write
            && let Err(why) = write(&files).and_then(|()| remove(&files))
        {
            break Err(why);
        }
        passes += 1;
    };
    DONE.store(true, Ordering::Relaxed);
    let joined = killer.join().map_err(|error| error.to_string());
    outcome.and(joined)?;
    if wanted.keep {
        write(&files)?;
    }
    if wanted.hostile {
        hostile()?;
        pass(&files)?;
    }
    let killed = KILLED.load(Ordering::Relaxed);
    println!(
        "{passes} times, {} KiB, {killed} kills: all as it was written",
        bytes / 1024
    );
    Ok(())
}

/// The names that must be there.
fn names(files: &Files) -> Result<(), String> {
    for (folder, name, kind) in [
        ("", "hello.txt", Kind::File),
        ("", "empty.txt", Kind::File),
        ("", "docs", Kind::Directory),
        ("docs", "readme.txt", Kind::File),
        ("docs/deep", "er", Kind::Directory),
    ] {
        let entries = files
            .list(folder)
            .map_err(|error| format!("/{folder}: {error}"))?;
        let found = entries
            .iter()
            .any(|entry| entry.name == name && entry.stat.kind == kind);
        if !found {
            return Err(format!("/{folder} has no {name}"));
        }
    }
    match files.stat("nothing.txt") {
        Err(Error::NotFound) => Ok(()),
        other => Err(format!("nothing.txt: {other:?}")),
    }
}

/// Reads all files once; how many bytes.
fn pass(files: &Files) -> Result<u64, String> {
    let mut bytes = 0;
    for (path, text) in TEXTS {
        let read = files
            .read_all(path, 1000)
            .map_err(|error| format!("{path}: {error}"))?;
        if read != text.as_bytes() {
            return Err(format!("{path} has other bytes"));
        }
        bytes += read.len() as u64;
    }
    let (path, words) = NUMBERS;
    let file = files
        .open(path)
        .map_err(|error| format!("{path}: {error}"))?;
    let mut whole: Vec<u8> = Vec::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = file
            .read_at(whole.len() as u64, &mut piece)
            .map_err(|error| format!("{path} at {}: {error}", whole.len()))?;
        if read == 0 {
            break;
        }
        whole.extend_from_slice(&piece[..read]);
    }
    if whole.len() != words * 4 {
        return Err(format!("{path} has {} bytes", whole.len()));
    }
    for (n, word) in whole.chunks_exact(4).enumerate() {
        if word != (n as u32).wrapping_mul(FACTOR).to_le_bytes() {
            return Err(format!("{path}: word {n} is {word:02x?}"));
        }
    }
    Ok(bytes + whole.len() as u64)
}

/// The file that is written, and its length; byte n of it is n modulo 251.
const WRITTEN: (&str, u32) = ("docs/written at EL0.bin", 100_000);

/// Writes a file, and reads it back.
fn write(files: &Files) -> Result<(), String> {
    let (path, length) = WRITTEN;
    let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
    let wrote = || -> Result<(), Error> {
        // One that an earlier run has left.
        let _ = files.remove(path);
        files.create(path, Kind::File)?;
        let file = files.open(path)?;
        let mut at = 0;
        while at < bytes.len() {
            let end = bytes.len().min(at + PIECE_BYTES);
            at += file.write_at(at as u64, &bytes[at..end])?;
        }
        Ok(())
    };
    let context = |error: Error| format!("{path}: {error}");
    wrote().map_err(context)?;
    let read = files.read_all(path, 1 << 20).map_err(context)?;
    match read == bytes {
        true => Ok(()),
        false => Err(format!("{path} was not read as it was written")),
    }
}

/// Removes it again.
fn remove(files: &Files) -> Result<(), String> {
    let (path, _) = WRITTEN;
    files
        .remove(path)
        .map_err(|error| format!("{path}: {error}"))?;
    match files.stat(path) {
        Err(Error::NotFound) => Ok(()),
        other => Err(format!("{path} was removed, and is {other:?}")),
    }
}

/// Says what requests cost, in ticks of the counter: where QEMU counts instructions, these are instructions.
/// The least of several, because the first ones fault memory in.
fn measure() -> Result<(), String> {
    const TRIES: usize = 8;
    let why = |error: Error| error.to_string();
    let least = |what: &mut dyn FnMut() -> Result<(), Error>| {
        let mut least = u64::MAX;
        for _ in 0..TRIES {
            let began = now();
            what()?;
            least = least.min(now().ticks() - began.ticks());
        }
        Ok(least)
    };
    let files = connect().map_err(why)?;
    let mut block = Block::connect(DRIVER).map_err(why)?;
    let mut sectors = vec![0; 64 << 10];
    for bytes in [512, 4 << 10, 64 << 10] {
        let ticks = least(&mut || block.read(0, &mut sectors[..bytes])).map_err(why)?;
        println!("{bytes} bytes of the disk, by its driver: {ticks} ticks");
    }
    let (path, _) = NUMBERS;
    let file = files.open(path).map_err(why)?;
    for bytes in [512, 4 << 10, 64 << 10] {
        let ticks = least(&mut || file.read_at(0, &mut sectors[..bytes]).map(drop)).map_err(why)?;
        println!("{bytes} bytes of a file, by the service: {ticks} ticks");
    }
    let ticks = least(&mut || files.open("docs/deep/er/still.txt").map(drop)).map_err(why)?;
    println!("opening a file four folders down, and closing it: {ticks} ticks");
    Ok(())
}

/// Asks the driver for what no client should ask for. It refuses each, for the right reason, and serves on.
fn hostile() -> Result<(), String> {
    const BUFFER_BYTES: usize = 4096;
    let why = |error: Error| format!("{DRIVER}: {error}");
    let driver = find(DRIVER).map_err(why)?;
    let session = Connection::open(&driver, block::CONNECT, BUFFER_BYTES).map_err(why)?;
    let geometry = session
        .request(Message::new(block::GEOMETRY))
        .map_err(why)?;
    let sectors = geometry.word_at(1);
    let most = (BUFFER_BYTES / 512) as u64;
    let ask = |label, first, count| session.request(Message::new(label).word(first).word(count));
    let out_of_range = [
        (sectors, 1),
        (sectors - 1, 2),
        (0, most + 1),
        (0, u64::MAX),
        (u64::MAX, 1),
        (u64::MAX, u64::MAX),
        (1, u64::MAX / 512),
    ];
    for label in [block::READ, block::WRITE] {
        for (first, count) in out_of_range {
            refused(
                ask(label, first, count),
                Error::OutOfRange,
                "sectors that are not there",
            )?;
        }
    }
    refused(
        ask(0xdead_beef, 0, 0),
        Error::BadRequest,
        "an unknown request",
    )?;
    // Without a session, without memory, with what is no memory, with memory that cannot be written.
    let read = Message::new(block::READ).word(0).word(1);
    refused(request(&driver, read), Error::BadRequest, "no session")?;
    let connect = || Message::new(block::CONNECT);
    refused(request(&driver, connect()), Error::BadRequest, "no memory")?;
    let kernel = |error: rt::Error| error.to_string();
    let own = || rt::start::own_process().duplicate(Rights::INSPECT.with(Rights::TRANSFER));
    let wrong = connect()
        .give(own().map_err(kernel)?)
        .give(own().map_err(kernel)?);
    refused(
        request(&driver, wrong),
        Error::Kernel(rt::Error::WrongKind),
        "a process as memory",
    )?;
    let memory = Memory::create(BUFFER_BYTES, MemoryKind::Normal).map_err(kernel)?;
    let weak = Rights::READ.with(Rights::INSPECT).with(Rights::TRANSFER);
    let weak = memory.duplicate(weak).map_err(kernel)?;
    let wrong = connect().give(weak).give(own().map_err(kernel)?);
    refused(
        request(&driver, wrong),
        Error::Kernel(rt::Error::NoRight),
        "memory to read only",
    )?;
    // And it serves on.
    ask(block::READ, sectors - 1, 1).map(drop).map_err(why)
}

fn refused(reply: Result<Message, Error>, with: Error, what: &str) -> Result<(), String> {
    match reply {
        Err(error) if error == with => Ok(()),
        Err(error) => Err(format!("{what}: {error}, and not: {with}")),
        Ok(_) => Err(format!("{what} was granted")),
    }
}
