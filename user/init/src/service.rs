//! A service: its endpoint, its generations, and when to start it anew.
//!
//! A service's endpoint is made here, and the right to receive from it given to the service: so clients can
//! be given their end before the service runs, and when it dies the kernel ends the endpoint, and all
//! that clients hold of it says [`Gone`](rt::Error::Gone). The next start has a new endpoint and a
//! larger generation; nobody who talked to the old one talks to the new one without having asked for it.
//!
//! A service that dies at once when it is started would be started for ever, so it waits longer each time,
//! and after [`MOST_DEATHS`] within [`DEATHS_WITHIN`] it is given up. One that exits with status 0
//! has nothing to do (a driver without a device) and is not started anew.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rt::object::MemoryKind;
use rt::service::supervisor::State;
use rt::time::{Duration, Instant, now};
use rt::{Endpoint, Error, Memory};

/// How often a service may die within [`DEATHS_WITHIN`] and be started anew.
const MOST_DEATHS: usize = 5;
/// How long a death counts.
const DEATHS_WITHIN: Duration = Duration::from_secs(10);
/// How long a service waits after its first death; after each further one that counts, twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// What a service has over a program.
pub(crate) struct Service {
    /// How often it was started, from 1.
    pub(crate) generation: u64,
    /// How often it died.
    pub(crate) deaths: u64,
    /// How it is.
    pub(crate) phase: Phase,
    /// Clients' end of its endpoint.
    pub(crate) sender: Option<Endpoint>,
    /// Its own end, until it is started.
    pub(crate) receiver: Option<Endpoint>,
    /// When it died lately.
    recent: Vec<Instant>,
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
    /// It died too often, or cannot be started.
    GivenUp,
    /// It had nothing to do.
    Done,
}

impl Service {
    /// One that never was started.
    pub(crate) const fn new() -> Self {
        Self {
            generation: 0,
            deaths: 0,
            phase: Phase::Runs,
            sender: None,
            receiver: None,
            recent: Vec::new(),
            dma: None,
        }
    }

    /// As a client is told.
    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::Runs => State::Runs,
            Phase::Waits(_) => State::Waits,
            Phase::GivenUp => State::GivenUp,
            Phase::Done => State::Done,
        }
    }

    /// It is about to be started: with the endpoint that was made when it died, at which clients may wait
    /// already, or with a new one.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        if self.receiver.is_none() {
            self.renew()?;
        }
        self.phase = Phase::Runs;
        Ok(())
    }

    /// It died, or could not be started for a reason that may pass. What follows, in words.
    pub(crate) fn died(&mut self) -> String {
        self.deaths += 1;
        let died = now();
        self.recent
            .retain(|earlier| died.since(*earlier) < DEATHS_WITHIN);
        self.recent.push(died);
        let recent = self.recent.len();
        if recent > MOST_DEATHS {
            self.withdraw(Phase::GivenUp);
            return format!("given up after {recent} deaths");
        }
        match self.renew() {
            Ok(()) => {
                self.phase = Phase::Waits(died + FIRST_WAIT * (1 << (recent - 1)));
                format!("generation {} follows", self.generation)
            }
            Err(error) => {
                self.withdraw(Phase::GivenUp);
                format!("given up: no endpoint: {error}")
            }
        }
    }

    /// Nobody finds it any more.
    pub(crate) fn withdraw(&mut self, phase: Phase) {
        self.phase = phase;
        self.sender = None;
        self.receiver = None;
    }

    /// Its deaths do not count any more: somebody wants it started.
    pub(crate) fn forgive(&mut self) {
        self.recent.clear();
    }

    /// The memory for its device, `bytes` of it, made when it is started for the first time.
    pub(crate) fn dma_memory(&mut self, bytes: usize) -> Result<&Memory, Error> {
        let memory = match self.dma.take() {
            Some(memory) => memory,
            None => Memory::create(bytes, MemoryKind::Dma)?,
        };
        Ok(self.dma.insert(memory))
    }

    /// Makes the endpoint of the next generation.
    fn renew(&mut self) -> Result<(), Error> {
        let receiver = Endpoint::create()?;
        self.sender = Some(receiver.sender(0)?);
        self.receiver = Some(receiver);
        self.generation += 1;
        Ok(())
    }
}
