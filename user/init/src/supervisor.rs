//! The supervisor: a table of services and programs, and what happens when one of them dies.
//!
//! It is one thread that receives: requests, and the bits that say that a process has ended or a wait is
//! over. It calls nobody, so nobody whom it supervises can make it wait.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use init_script::script::{Program, Rules};
use initrd::cpio::Archive;
use loader::Loaded;
use rt::object::{Machine, Memory, Process, ProcessReport, ProcessState};
use rt::service::console;
use rt::time::{Deadline, Duration, now};
use rt::{Endpoint, Error, Incoming, Notification, Rights, log};

use crate::service::{Phase, Service};
use crate::starting::{self, NotStarted};
use crate::{ends, requests};

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

/// A process that runs.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) number: u32,
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
        let id = self.add(program, Some(Service::new()));
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
        let rights = Rights::INSPECT
            .with(Rights::MANAGE)
            .with(Rights::DUPLICATE)
            .with(Rights::TRANSFER);
        let started = self.start(id, file).and_then(|process| {
            let handle = process.duplicate(rights);
            handle.map_err(NotStarted::because("no handle of it"))
        });
        match started {
            Ok(process) => Ok((id, process)),
            Err(not_started) => {
                // What runs already ends with its handles' last owner, who is to know of it.
                if let Some(entry) = self.entries.remove(&id)
                    && let Some(running) = entry.running
                {
                    let _ = running.process.kill(0);
                }
                Err(not_started.why)
            }
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
    fn start(&mut self, id: Id, file: Option<&[u8]>) -> Result<&Process, NotStarted> {
        let Loaded { process, thread } = starting::load(self, id, file)?;
        let bit = 1 << (id % END_BITS);
        let resumed = process.watch(&self.bell, bit).and_then(|()| {
            let number = process.report()?.number;
            thread.resume().map(|()| number)
        });
        let entry = self.entries.get_mut(&id).ok_or(NotStarted::lost())?;
        match resumed {
            Ok(number) => Ok(&entry.running.insert(Running { process, number }).process),
            Err(error) => {
                let _ = process.kill(0);
                Err(NotStarted::because("it does not run")(error))
            }
        }
    }

    /// Starts a service, for the first time or anew.
    pub(crate) fn restart(&mut self, id: Id) {
        let Some(service) = self.service_mut(id) else {
            return;
        };
        let begun = service.begin();
        let begun = begun.map_err(NotStarted::because("no endpoint"));
        let Err(not_started) = begun.and_then(|()| self.start(id, None).map(drop)) else {
            return;
        };
        let name = String::from(self.name(id));
        let Some(service) = self.service_mut(id) else {
            return;
        };
        let next = if not_started.may_pass {
            service.died()
        } else {
            service.withdraw(Phase::GivenUp);
            String::from("given up")
        };
        log!("{name}: not started: {}; {next}", not_started.why);
        self.set_timer();
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
        } else {
            log!("{name}: {end}; {}", service.died());
        }
    }

    /// The memory for a service's device, if the script gives it some.
    pub(crate) fn dma_memory(&mut self, id: Id) -> Result<Option<&Memory>, Error> {
        let Some(entry) = self.entries.get_mut(&id) else {
            return Ok(None);
        };
        match (&mut entry.service, entry.program.rules.dma_bytes) {
            (Some(service), bytes) if bytes > 0 => service.dma_memory(bytes).map(Some),
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
            service.forgive();
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
