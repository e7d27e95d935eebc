//! The watcher: starts one victim after the other, and looks whether anybody else notices.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use callfuzz::board::{Board, CALLS};
use callfuzz::random::Random;
use loader::{Grant, Spec};
use rt::abi::report::{IrqReport, MemoryReport, ProcessReport, ProcessState, ThreadReport};
use rt::abi::syscall::Call;
use rt::message::Incoming;
use rt::object::{Answer, Machine, MemoryKind, Object, Trigger};
use rt::service::files::Files;
use rt::time::{Deadline, Duration};
use rt::{Endpoint, Error, Memory, Message, Notification, Process, Rights, println};

use crate::{PATH, VICTIM};

/// What a victim may be charged.
const QUOTA_BYTES: usize = 1 << 20;
/// How many calls one victim makes at most.
const CALLS_OF_ONE: u64 = 20_000;
/// How many the first one makes, whose end is waited for before the machine's memory is counted.
const CALLS_OF_THE_FIRST: u64 = 2_000;
/// How long to wait between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// After so many looks without a call the victim has stopped itself, and is ended.
const IDLE_LOOKS: u32 = 15;
/// Words of the watcher's own memory that it looks at.
const PATTERN_WORDS: usize = 4096;
/// How often to look whether the machine has its memory again, and how long to wait in between.
const RECLAIM_LOOKS: u32 = 200;
const RECLAIM_PAUSE: Duration = Duration::from_millis(20);
/// How much the kernel's lists, which have grown once and do not shrink, may take more than before.
const LISTS_BYTES: u64 = 1024;
/// A watcher that takes so long from one step to the next stands still.
const STANDSTILL: Duration = Duration::from_secs(15);
/// The victim has ended.
const ENDED: u64 = 1;

/// What the watcher has.
struct Watcher {
    machine: Machine,
    file: Vec<u8>,
    board: Memory,
    /// The board, as the watcher sees it.
    seen: &'static Board,
    echo: Endpoint,
    bell: Notification,
    pattern: Vec<u64>,
    seed: u64,
    nonce: Random,
}

/// How victims ended.
#[derive(Default)]
struct Ends {
    done: u64,
    by_themselves: u64,
    faulted: u64,
    stopped: u64,
}

/// Has so many calls made, with what is drawn by the seed.
pub(crate) fn run(seed: u64, calls: u64) -> Result<(), String> {
    let mut watcher = Watcher::new(seed).map_err(|error| format!("set-up: {error}"))?;
    guard(&watcher.machine).map_err(|error| format!("the watcher's guard: {error}"))?;
    let mut ends = Ends::default();
    // What is made once is made now.
    watcher.victim(0, CALLS_OF_THE_FIRST, &mut ends)?;
    watcher.settle(None)?;
    let before = watcher.memory()?;
    let (mut made, mut number) = (watcher.seen.made(), 1);
    while made < calls {
        let most = made + (calls - made).min(CALLS_OF_ONE);
        watcher.victim(number, most, &mut ends)?;
        made = watcher.seen.made();
        number += 1;
    }
    watcher.settle(Some(&before))?;
    watcher.report(number, &ends)
}

/// How often the watcher has come to a place from which it goes on, and which place that was.
static STEPS: AtomicU64 = AtomicU64::new(0);
static PLACE: AtomicU64 = AtomicU64::new(0);

/// The watcher is at this place. Numbers of lines do.
fn step(place: u32) {
    PLACE.store(place.into(), Relaxed);
    STEPS.fetch_add(1, Relaxed);
}

/// Ends the program if the watcher itself stands still, and says what every thread is doing.
fn guard(machine: &Machine) -> Result<(), Error> {
    let machine = machine.duplicate(Rights::INSPECT)?;
    rt::thread::spawn(move || {
        let mut seen = 0;
        loop {
            rt::time::sleep(STANDSTILL);
            let now = STEPS.load(Relaxed);
            if now == seen {
                println!(
                    "fuzz: the watcher stands still at line {}",
                    PLACE.load(Relaxed)
                );
                list(&machine);
                rt::exit(3);
            }
            seen = now;
        }
    })
    .map(drop)
}

/// Says which processes and threads there are.
fn list(machine: &Machine) {
    for report in machine.list::<ProcessReport>().unwrap_or_default() {
        println!(
            "fuzz: process {} {}: state {}, {} threads, {} handles, {:#x} of {:#x} bytes",
            report.number,
            rt::abi::start::text(&report.name),
            report.state,
            report.threads,
            report.handles,
            report.used,
            report.quota
        );
    }
    for report in machine.list::<ThreadReport>().unwrap_or_default() {
        println!(
            "fuzz: thread {} {} of {}: state {}, priority {}, CPU {}, ran {}",
            report.number,
            rt::abi::start::text(&report.name),
            report.process,
            report.state,
            report.priority,
            report.cpu,
            report.ran_ticks
        );
    }
}

impl Watcher {
    fn new(seed: u64) -> Result<Self, rt::service::Error> {
        let machine = rt::start::take::<Machine>("machine").ok_or(rt::service::Error::NotFound)?;
        let file = Files::connect(rt::service::files::NAME)?.read_all(PATH, 16 << 20)?;
        let board = Memory::create(4096, MemoryKind::Normal)?;
        let here = board.map(Rights::READ.with(Rights::WRITE))?.leak();
        let echo = Endpoint::create()?;
        let server = echo.duplicate(Rights::RECEIVE)?;
        rt::thread::spawn(move || serve(&server))?;
        let mut random = Random::new(seed);
        Ok(Self {
            machine,
            file,
            board,
            // SAFETY: it stays mapped, and is long enough; whoever may see it uses atomics.
            seen: unsafe { &*here.cast() },
            echo,
            bell: Notification::create()?,
            pattern: (0..PATTERN_WORDS).map(|_| random.number()).collect(),
            seed,
            nonce: Random::new(!seed),
        })
    }

    /// One victim, from its start to its end.
    fn victim(&mut self, number: u64, calls: u64, ends: &mut Ends) -> Result<(), String> {
        step(line!());
        let process = self.start(number, calls)?;
        let (mut idle, mut made) = (0, self.seen.made());
        let stopped = loop {
            step(line!());
            self.look()?;
            step(line!());
            match self.bell.wait(Deadline::after(LOOK)) {
                Ok(bits) if bits & ENDED != 0 => break false,
                Ok(_) | Err(Error::TimedOut) => {}
                Err(error) => return Err(format!("the watcher's own notification: {error}")),
            }
            let now = self.seen.made();
            idle = if now == made { idle + 1 } else { 0 };
            made = now;
            if idle == IDLE_LOOKS {
                process
                    .kill(0)
                    .map_err(|error| format!("a victim cannot be ended: {error}"))?;
                break true;
            }
        };
        self.look()?;
        if let Some((call, register)) = self.seen.broken() {
            return Err(format!(
                "victim {number}: after call {call} register x{register} is wrong"
            ));
        }
        step(line!());
        let report = process
            .wait()
            .map_err(|error| format!("a victim that ended: {error}"))?;
        match ProcessState::from_number(report.state) {
            Some(ProcessState::Alive) | None => return Err("a dead victim lives".to_string()),
            _ if stopped => ends.stopped += 1,
            Some(ProcessState::Faulted) => ends.faulted += 1,
            _ if self.seen.made() >= calls => ends.done += 1,
            Some(_) => ends.by_themselves += 1,
        }
        // Bits of its end that came late.
        let _ = self.bell.poll();
        Ok(())
    }

    /// Starts a victim, with handles of every kind.
    fn start(&self, number: u64, calls: u64) -> Result<Process, String> {
        let seed = self
            .seed
            .wrapping_add(number.wrapping_mul(0x1_0000))
            .to_string();
        let calls = calls.to_string();
        let loaded = loader::load(Spec {
            path: PATH,
            file: &self.file,
            arguments: &["victim", VICTIM, &seed, &calls],
            grants: self.grants().map_err(|error| format!("grants: {error}"))?,
            quota_bytes: QUOTA_BYTES,
            priority: rt::thread::default_priority().saturating_sub(1),
            stack_bytes: 64 << 10,
        })
        .map_err(|error| error.to_string())?;
        let watched = loaded.process.watch(&self.bell, ENDED);
        watched
            .and_then(|()| loaded.thread.resume())
            .map_err(|error| format!("a victim does not start: {error}"))?;
        Ok(loaded.process)
    }

    /// What a victim is given: enough to reach everything, not enough to end the machine.
    fn grants(&self) -> Result<Vec<Grant>, Error> {
        let passed_on = Rights::DUPLICATE
            .with(Rights::TRANSFER)
            .with(Rights::REVOKE);
        let inspect = passed_on.with(Rights::INSPECT);
        let shared = Memory::create(8192, MemoryKind::Normal)?;
        let mut grants = alloc::vec![
            Grant::new("board", self.board.duplicate(Rights::ALL)?),
            Grant::new("machine", self.machine.duplicate(inspect)?),
            Grant::new("echo", self.echo.sender(7)?),
            Grant::new(
                "bell",
                self.bell
                    .owned()
                    .duplicate(passed_on.with(Rights::SIGNAL), 1 << 60)?
            ),
            Grant::new("shared", shared),
        ];
        // A line that no device drives, if one is free.
        if let Some(irq) = self.line() {
            grants.push(Grant::new("irq", irq));
        }
        Ok(grants)
    }

    /// An interrupt line of a virtio slot, from the last one on: the first ones may have devices.
    fn line(&self) -> Option<rt::Irq> {
        let devices = self.machine.devices().ok()?;
        let count = (devices.virtio_count as usize).min(devices.virtio.len());
        let mut slots = devices.virtio[..count].iter().skip(count / 2);
        slots.find_map(|slot| self.machine.irq(slot.intid, Trigger::Edge).ok())
    }

    /// Whether the watcher is what it was: its memory, and its messages.
    fn look(&mut self) -> Result<(), String> {
        let mut random = Random::new(self.seed);
        if !self.pattern.iter().all(|word| *word == random.number()) {
            return Err("the watcher's own memory was written over".to_string());
        }
        let nonce = self.nonce.number();
        let sent = Message::new(9).word(nonce).word(!nonce);
        let deadline = Deadline::after(Duration::from_secs(20));
        match self.echo.call_until(sent, deadline) {
            Ok(reply) if reply.words() == [nonce, !nonce] => Ok(()),
            Ok(reply) => Err(format!("the echo of {nonce:#x} is {:x?}", reply.words())),
            Err(error) => Err(format!("no echo: {error}")),
        }
    }

    fn memory(&self) -> Result<MemoryReport, String> {
        self.machine
            .memory()
            .map_err(|error| format!("the memory's report: {error}"))
    }

    /// Waits until the machine has its memory again: as much as `before`, or, without, until nothing
    /// changes any more.
    fn settle(&self, before: Option<&MemoryReport>) -> Result<(), String> {
        let mut last = self.memory()?;
        let mut quiet = 0;
        for _ in 0..RECLAIM_LOOKS {
            step(line!());
            rt::time::sleep(RECLAIM_PAUSE);
            let now = self.memory()?;
            quiet = if now == last { quiet + 1 } else { 0 };
            match before {
                None if quiet >= 10 => return Ok(()),
                Some(before) if is_back(&now, before) && quiet >= 3 => return Ok(()),
                _ => last = now,
            }
        }
        match before {
            Some(before) => {
                list(&self.machine);
                Err(format!(
                    "memory is missing: {before:x?} before, {last:x?} after"
                ))
            }
            None => Err(format!(
                "the machine's memory does not come to rest: {last:x?}"
            )),
        }
    }

    /// Says what was done, and whether that was enough to mean anything.
    fn report(&self, victims: u64, ends: &Ends) -> Result<(), String> {
        let seen = self.seen;
        let granted = Call::ALL
            .iter()
            .filter(|call| seen.granted(**call as usize) > 0);
        let never: Vec<&Call> = Call::ALL
            .iter()
            .filter(|call| seen.granted(**call as usize) == 0)
            .collect();
        let granted = granted.count();
        let all: u64 = (0..CALLS).map(|call| seen.granted(call)).sum();
        let errors = Error::ALL
            .iter()
            .filter(|error| seen.refused(**error as usize) > 0);
        let errors = errors.count();
        println!(
            "fuzz: {} calls by {victims} victims, {all} granted, of {granted} kinds (never: {never:?}); \
             {errors} kinds of errors; victims: {} done, {} ended themselves, {} faulted, {} stopped",
            seen.made(),
            ends.done,
            ends.by_themselves,
            ends.faulted,
            ends.stopped,
        );
        let irqs = self
            .machine
            .list::<IrqReport>()
            .map_or(0, |irqs| irqs.len());
        println!("fuzz: {irqs} interrupts are bound now");
        if granted < 30 || errors < 8 || all * 20 < seen.made() {
            return Err("vacuous: too little was granted".to_string());
        }
        Ok(())
    }
}

/// Whether the machine has as much memory as before. What the kernel keeps for later, in its heap and as
/// stacks, is no loss.
fn is_back(now: &MemoryReport, before: &MemoryReport) -> bool {
    let frames = |report: &MemoryReport| report.free + report.heap + report.stacks;
    frames(now) >= frames(before) && now.heap_used <= before.heap_used + LISTS_BYTES
}

/// The echo: gives back every message's words, and nothing of its handles.
fn serve(endpoint: &Endpoint) {
    let _ = endpoint.serve(|incoming| match incoming {
        Incoming::Message(message, _) => {
            let mut reply = Message::new(message.label());
            for word in message.words() {
                reply = reply.word(*word);
            }
            Answer::Reply(reply)
        }
        Incoming::Bits(_) => Answer::Later,
        // Whose fault it is it ends.
        Incoming::Fault(..) => Answer::Reply(Message::new(1)),
    });
}
