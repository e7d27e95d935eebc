//! The supervisor: a table of services and programs, and what happens when one of them dies.
//!
//! A service's endpoint is made here, and the right to receive from it given to the service: so clients can
//! be given their end before the service runs, and when it dies the kernel ends the endpoint, and all
//! that clients hold of it says [`Gone`](rt::Error::Gone). The next start has a new endpoint and a
//! larger generation; nobody who talked to the old one talks to the new one without having asked for it.
//!
//! A service that dies at once when it is started would be started for ever, so it waits longer each time,
//! and after [`MOST_DEATHS`] within [`DEATHS_WITHIN`] it is given up. One that exits with status 0
//! has nothing to do (a driver without a device) and is not started anew.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use init_script::script::{Program, Rules};
use initrd::cpio::Archive;
use rt::object::{Machine, Memory, MemoryKind, Process, ProcessReport, ProcessState};
use rt::service::console;
use rt::service::supervisor::State;
use rt::time::{Deadline, Duration, Instant, now};
use rt::{Endpoint, Error, Incoming, Notification, Rights, log};

use crate::{ends, requests, starting};

/// How often a service may die within [`DEATHS_WITHIN`] and be started anew.
const MOST_DEATHS: usize = 5;
/// How long a death counts.
const DEATHS_WITHIN: Duration = Duration::from_secs(10);
/// How long a service waits after its first death; after each further one that counts, twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(10);
/// How long the console is given to send what it has, before the machine is switched off.
const FLUSH_AT_MOST: Duration = Duration::from_secs(1);

/// The bit of the notification that means that somebody's wait is over. Those below are ends of processes.
const TIMER_BIT: u64 = 1 << 63;
/// How many bits ends of processes share.
const END_BITS: u64 = 63;

/// What init was given and may hand on.
pub(crate) struct Powers {
    /// The machine.
    pub(crate) machine: Machine,
    /// The init image.
    pub(crate) initrd: Memory,
    /// Its length.
    pub(crate) initrd_bytes: u32,
}

/// What an entry is called in the table, and the badge of what it sends to the supervisor. Never used again.
pub(crate) type Id = u64;

/// The supervisor.
pub(crate) struct Supervisor<'a> {
    pub(crate) image: Archive<'a>,
    pub(crate) powers: Powers,
    /// Where requests come in.
    pub(crate) endpoint: Endpoint,
    /// Ends of processes and waits.
    bell: Notification,
    entries: BTreeMap<Id, Entry>,
    made: Id,
}

/// A service or a program.
pub(crate) struct Entry {
    /// What the script says of it.
    pub(crate) program: Program,
    /// If it is a service: what that needs.
    pub(crate) service: Option<Service>,
    /// Its process, while it runs.
    pub(crate) running: Option<Running>,
    /// How it ended, if it was a program that somebody here waits for.
    end: Option<ProcessReport>,
}

/// What a service has over a program.
pub(crate) struct Service {
    /// How often it was started, from 1.
    pub(crate) generation: u64,
    /// How often it died.
    pub(crate) deaths: u64,
    /// When it died lately.
    recent: Vec<Instant>,
    pub(crate) phase: Phase,
    /// Clients' end of its endpoint.
    pub(crate) sender: Option<Endpoint>,
    /// Its own end, until it is started.
    pub(crate) receiver: Option<Endpoint>,
    /// Memory that its device sees. A device does not notice that its driver has died: it goes on writing
    /// where it was told to until the next one resets it. So this is never given back.
    dma: Option<Memory>,
}

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It runs, or is being started.
    Runs,
    /// It will be started then.
    Waits(Instant),
    /// It died too often, or could not be started.
    GivenUp,
    /// It had nothing to do.
    Done,
}

/// A process that runs.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) number: u32,
}

impl Service {
    /// As a client is told.
    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::Runs => State::Runs,
            Phase::Waits(_) => State::Waits,
            Phase::GivenUp => State::GivenUp,
            Phase::Done => State::Done,
        }
    }

    /// Makes the endpoint of the next generation.
    fn renew(&mut self) -> Result<(), Error> {
        let receiver = Endpoint::create()?;
        self.sender = Some(receiver.sender(0)?);
        self.receiver = Some(receiver);
        self.generation += 1;
        Ok(())
    }

    /// Nobody finds it any more.
    fn withdraw(&mut self, phase: Phase) {
        self.phase = phase;
        self.sender = None;
        self.receiver = None;
    }
}

impl<'a> Supervisor<'a> {
    /// With nothing to supervise.
    pub(crate) fn new(image: Archive<'a>, powers: Powers) -> Result<Self, Error> {
        let bell = Notification::create()?;
        bell.bind()?;
        Ok(Self {
            image,
            powers,
            endpoint: Endpoint::create()?,
            bell,
            entries: BTreeMap::new(),
            made: 0,
        })
    }

    /// Starts a service. If it cannot be, that is logged, and it is given up.
    pub(crate) fn add_service(&mut self, program: Program) {
        let service = Service {
            generation: 0,
            deaths: 0,
            recent: Vec::new(),
            phase: Phase::Runs,
            sender: None,
            receiver: None,
            dma: None,
        };
        let id = self.add(program, Some(service));
        self.restart(id);
    }

    /// Starts a program of the image.
    pub(crate) fn add_program(&mut self, program: Program) -> Result<Id, String> {
        self.add_program_of(program, None).map(|(id, _)| id)
    }

    /// Starts a program whose file is `file`, or, without one, of the image. A handle of its process, for
    /// who asked.
    pub(crate) fn add_program_of(
        &mut self,
        program: Program,
        file: Option<&[u8]>,
    ) -> Result<(Id, Process), String> {
        let id = self.add(program, None);
        let started = self.start(id, file);
        let process = self
            .entries
            .get(&id)
            .and_then(|entry| entry.running.as_ref());
        let rights = Rights::INSPECT
            .with(Rights::MANAGE)
            .with(Rights::DUPLICATE)
            .with(Rights::TRANSFER);
        match (
            started,
            process.map(|running| running.process.duplicate(rights)),
        ) {
            (Ok(()), Some(Ok(process))) => Ok((id, process)),
            (Err(why), _) => {
                self.entries.remove(&id);
                Err(why)
            }
            (Ok(()), Some(Err(error))) => Err(alloc::format!("no handle of it: {error}")),
            (Ok(()), None) => Err(String::from("it was lost")),
        }
    }

    fn add(&mut self, program: Program, service: Option<Service>) -> Id {
        self.made += 1;
        let entry = Entry {
            program,
            service,
            running: None,
            end: None,
        };
        self.entries.insert(self.made, entry);
        self.made
    }

    /// Starts what an entry says, and watches it.
    fn start(&mut self, id: Id, file: Option<&[u8]>) -> Result<(), String> {
        let loaded = starting::load(self, id, file)?;
        let watched = loaded.process.watch(&self.bell, 1 << (id % END_BITS));
        let number = watched
            .and_then(|()| loaded.process.report())
            .map(|report| report.number);
        let resumed = number.and_then(|number| loaded.thread.resume().map(|()| number));
        match resumed {
            Ok(number) => {
                let process = loaded.process;
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.running = Some(Running { process, number });
                }
                Ok(())
            }
            Err(error) => {
                let _ = loaded.process.kill(0);
                Err(alloc::format!("it cannot be started: {error}"))
            }
        }
    }

    /// Starts a service, for the first time or anew, with a new endpoint.
    pub(crate) fn restart(&mut self, id: Id) {
        let Some(service) = self.service_mut(id) else {
            return;
        };
        // After a death the endpoint is there already: clients may wait at it.
        let renewed = match service.receiver {
            Some(_) => Ok(()),
            None => service.renew(),
        };
        service.phase = Phase::Runs;
        let started = renewed
            .map_err(|error| alloc::format!("no endpoint: {error}"))
            .and_then(|()| self.start(id, None));
        if let Err(why) = started {
            if let Some(service) = self.service_mut(id) {
                service.withdraw(Phase::GivenUp);
            }
            log!("{}: given up: {why}", self.name(id));
        }
    }

    /// Handles requests and ends of processes, until `done`.
    pub(crate) fn serve(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), Error> {
        loop {
            if done(self) {
                return Ok(());
            }
            match self.endpoint.receive(Deadline::FOREVER)? {
                Incoming::Message(message, badge) => {
                    let reply = requests::handle(self, message, badge);
                    let _ = rt::object::reply_to_caller(reply);
                }
                Incoming::Bits(bits) => self.hear(bits),
                Incoming::Fault(..) => {}
            }
        }
    }

    /// Ends of processes, and waits that are over.
    fn hear(&mut self, bits: u64) {
        let ended: Vec<(Id, ProcessReport)> = self
            .entries
            .iter()
            .filter(|(id, _)| bits & 1 << (*id % END_BITS) != 0)
            .filter_map(|(id, entry)| {
                let report = entry.running.as_ref()?.process.report().ok()?;
                (report.state != ProcessState::Alive as u32).then_some((*id, report))
            })
            .collect();
        for (id, report) in ended {
            self.bury(id, report);
        }
        if bits & TIMER_BIT != 0 {
            let due = |service: &Service| match service.phase {
                Phase::Waits(until) => until <= now(),
                _ => false,
            };
            for id in self.services_that(due) {
                self.restart(id);
            }
        }
        self.set_timer();
    }

    /// Sees whether the service of that name has ended, whose bit may not have been heard yet: who asks for
    /// it because its endpoint is gone is to be given the next one.
    pub(crate) fn look_after(&mut self, name: &str) {
        let of_name = |(_, entry): &(&Id, &Entry)| entry.program.name == name;
        let ended = self.entries.iter().find(of_name).and_then(|(id, entry)| {
            let report = entry.running.as_ref()?.process.report().ok()?;
            (report.state != ProcessState::Alive as u32).then_some((*id, report))
        });
        if let Some((id, report)) = ended {
            self.bury(id, report);
            self.set_timer();
        }
    }

    /// A process has ended.
    fn bury(&mut self, id: Id, report: ProcessReport) {
        let name = String::from(self.name(id));
        let end = ends::describe(&report);
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.running = None;
        let Some(service) = &mut entry.service else {
            entry.end = Some(report);
            return;
        };
        if ends::is_success(&report) {
            service.withdraw(Phase::Done);
            return;
        }
        service.deaths += 1;
        let died = now();
        service
            .recent
            .retain(|earlier| died.since(*earlier) < DEATHS_WITHIN);
        service.recent.push(died);
        let recent = service.recent.len();
        if recent > MOST_DEATHS {
            service.withdraw(Phase::GivenUp);
            log!("{name}: {end}; given up after {recent} deaths");
        } else if let Err(error) = service.renew() {
            service.withdraw(Phase::GivenUp);
            log!("{name}: {end}; given up: no endpoint: {error}");
        } else {
            service.phase = Phase::Waits(died + FIRST_WAIT * (1 << (recent - 1)));
            log!("{name}: {end}; generation {} follows", service.generation);
        }
    }

    /// The memory for a service's device, made when it is started for the first time.
    pub(crate) fn dma_memory(&mut self, id: Id) -> Result<Option<&Memory>, Error> {
        let Some(entry) = self.entries.get_mut(&id) else {
            return Ok(None);
        };
        let bytes = entry.program.rules.dma_bytes;
        match &mut entry.service {
            Some(service) if bytes > 0 => {
                if service.dma.is_none() {
                    service.dma = Some(Memory::create(bytes, MemoryKind::Dma)?);
                }
                Ok(service.dma.as_ref())
            }
            _ => Ok(None),
        }
    }

    /// Forgets programs that have ended and that nobody here waits for.
    pub(crate) fn forget_ended(&mut self) {
        self.entries.retain(|_, entry| entry.end.is_none());
    }

    /// Sets the timer to the first wait that is over.
    fn set_timer(&self) {
        let first = self.entries.values().filter_map(|entry| {
            let Phase::Waits(until) = entry.service.as_ref()?.phase else {
                return None;
            };
            Some(until)
        });
        let deadline = first.min().map_or(Deadline::FOREVER, Deadline::at);
        if let Err(error) = self.bell.set_timer(deadline, TIMER_BIT) {
            log!("no timer: {error}");
        }
    }

    /// Ends the service or program of that name; a service that was given up, or had nothing to do, is
    /// started. Whether there is one.
    pub(crate) fn kill(&mut self, name: &str) -> bool {
        let of_name =
            |(_, entry): &(&Id, &Entry)| entry.program.name == name && entry.end.is_none();
        let Some((&id, entry)) = self.entries.iter().rfind(of_name) else {
            return false;
        };
        if let Some(running) = &entry.running {
            // It may have ended by itself just now.
            let _ = running.process.kill(KILLED);
        } else if let Some(service) = self.service_mut(id) {
            service.recent.clear();
            self.restart(id);
        }
        true
    }

    /// The rules of who has that badge.
    pub(crate) fn rules_of(&self, badge: Id) -> Option<&Rules> {
        self.entries.get(&badge).map(|entry| &entry.program.rules)
    }

    /// The entry.
    pub(crate) fn entry(&self, id: Id) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// A service, to give its endpoint away.
    pub(crate) fn take_receiver(&mut self, id: Id) -> Option<Endpoint> {
        self.service_mut(id)?.receiver.take()
    }

    /// The service of that name.
    pub(crate) fn service(&self, name: &str) -> Option<&Service> {
        let of_name = |entry: &&Entry| entry.service.is_some() && entry.program.name == name;
        self.entries.values().find(of_name)?.service.as_ref()
    }

    /// Waits until all that was printed has left, the kernel's lines too; not for ever, since the console may
    /// be dead, and what it had not read yet the kernel prints at the end.
    pub(crate) fn flush_console(&self) {
        let console = self.service(console::NAME);
        if let Some(sender) = console.and_then(|console| console.sender.as_ref()) {
            let _ = console::flush(sender, Deadline::after(FLUSH_AT_MOST));
        }
    }

    /// What runs or could: not programs that have ended.
    pub(crate) fn listed(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| entry.end.is_none())
    }

    /// Whether a program has ended.
    pub(crate) fn has_ended(&self, id: Id) -> bool {
        self.entries
            .get(&id)
            .is_none_or(|entry| entry.end.is_some())
    }

    /// How it ended. It is forgotten.
    pub(crate) fn take_end(&mut self, id: Id) -> Option<ProcessReport> {
        self.entries.remove(&id)?.end
    }

    fn services_that(&self, is: impl Fn(&Service) -> bool) -> Vec<Id> {
        let is = |entry: &Entry| entry.service.as_ref().is_some_and(&is);
        let found = self.entries.iter().filter(|(_, entry)| is(entry));
        found.map(|(id, _)| *id).collect()
    }

    fn service_mut(&mut self, id: Id) -> Option<&mut Service> {
        self.entries.get_mut(&id)?.service.as_mut()
    }

    fn name(&self, id: Id) -> &str {
        self.entries
            .get(&id)
            .map_or("?", |entry| entry.program.name.as_str())
    }
}

/// The status of who was killed because somebody asked.
const KILLED: u64 = 9;
