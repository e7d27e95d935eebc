//! What an exploration counted: the proof that it was not vacuous.

use super::source::{Source, Sources};
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;

/// A place in the source at which something may interrupt.
pub type Site = (&'static str, u32);

pub(super) fn site(location: &'static Location<'static>) -> Site {
    (location.file(), location.line())
}

/// Counts over all executions of one exploration, or of several together.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Complete runs of a program, each with other choices.
    pub executions: u64,
    /// Steps in all of them.
    pub steps: u64,
    /// Exceptions taken, by kind.
    pub taken: [u64; Source::COUNT],
    /// Of those, how many interrupted a program.
    pub taken_from_el0: [u64; Source::COUNT],
    /// Times a thread gave up its Rust frames.
    pub parked: u64,
    /// Acknowledges that gave a special INTID.
    pub specials: u64,
    /// Switches to another thread and back.
    pub switches: u64,
    /// Of those, how many came back on another CPU.
    pub migrations: u64,
    /// NMIs after `inherit` and before `irqentry_enter` or `user_enter`.
    pub nmis_before_enter: Windows,
    /// NMIs after `irqentry_exit` or `user_exit` and before `mask_all`.
    pub nmis_after_exit: Windows,
    /// NMIs that returned to a thread with need_resched set.
    pub nmis_saw_resched: u64,
    /// For each site, what the masks let in there, and what did come there.
    sites: HashMap<Site, (Sources, Sources)>,
}

/// A count for each of the paths that a window exists on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// On the fault path.
    pub fault: u64,
    /// On the path of ordinary interrupts.
    pub ordinary: u64,
    /// On the paths of system calls and of programs' faults.
    pub program: u64,
}

impl Windows {
    fn add(&mut self, other: Self) {
        self.fault += other.fault;
        self.ordinary += other.ordinary;
        self.program += other.program;
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.fault, self.ordinary, self.program)
    }
}

impl Tally {
    pub(super) fn offered(&mut self, site: Site, sources: impl IntoIterator<Item = Source>) {
        for source in sources {
            self.sites.entry(site).or_default().0.add(source);
        }
    }

    pub(super) fn landed(&mut self, site: Site, source: Source) {
        let (offered, landed) = self.sites.entry(site).or_default();
        offered.add(source);
        landed.add(source);
    }

    /// How often `source` was taken.
    pub fn taken(&self, source: Source) -> u64 {
        self.taken[source as usize]
    }

    /// How often `source` interrupted a program.
    pub fn taken_from_el0(&self, source: Source) -> u64 {
        self.taken_from_el0[source as usize]
    }

    /// At how many sites `source` came.
    pub fn sites_of(&self, source: Source) -> usize {
        let landed = self.sites.values().filter(|(_, on)| on.has(source));
        landed.count()
    }

    /// At how many lines of a file `source` came; the file by the end of its name.
    pub fn lines_of(&self, file: &str, source: Source) -> usize {
        let landed = self.sites.iter();
        landed
            .filter(|((at, _), (_, did))| at.ends_with(file) && did.has(source))
            .count()
    }

    /// The sites at which the masks would have let something in that never came.
    pub fn missed(&self) -> impl Iterator<Item = Site> + '_ {
        let missed = self.sites.iter().filter(|(_, (may, did))| may != did);
        missed.map(|(site, _)| *site)
    }

    /// Adds what another exploration counted.
    pub fn add(&mut self, other: &Self) {
        self.executions += other.executions;
        self.steps += other.steps;
        for (mine, theirs) in self.taken.iter_mut().zip(other.taken) {
            *mine += theirs;
        }
        for (mine, theirs) in self.taken_from_el0.iter_mut().zip(other.taken_from_el0) {
            *mine += theirs;
        }
        self.parked += other.parked;
        self.specials += other.specials;
        self.switches += other.switches;
        self.migrations += other.migrations;
        self.nmis_before_enter.add(other.nmis_before_enter);
        self.nmis_after_exit.add(other.nmis_after_exit);
        self.nmis_saw_resched += other.nmis_saw_resched;
        for (site, (may, did)) in &other.sites {
            self.offered(*site, may.iter());
            for source in did.iter() {
                self.landed(*site, source);
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken: String = Source::ALL
            .into_iter()
            .filter(|source| self.taken(*source) > 0)
            .map(|source| format!(" {source} {},", self.taken(source)))
            .collect();
        write!(
            f,
            "{} executions, {} steps at {} sites;{taken} {} specials, {} switches ({} to another CPU, {} \
             parked); NMIs before irqentry_enter {}, after irqentry_exit {}, with need_resched set {}",
            self.executions,
            self.steps,
            self.sites.len(),
            self.specials,
            self.switches,
            self.migrations,
            self.parked,
            self.nmis_before_enter,
            self.nmis_after_exit,
            self.nmis_saw_resched,
        )
    }
}
