//! What a person sees of a storm: a line each second, and a page at the end.

use super::judge::LATENCY_INSTRUCTIONS;
use super::landing::Landing;
use super::load::{CHILDREN, CORRUPT, DEEPEST_STACK, ROUNDS};
use super::sources::Source;
use super::station::{Station, Storm};
use super::tally::Tally;
use crate::mm::stacks;
use crate::symbols::Symbol;
use crate::workload::histogram::{Histogram, Summary};
use crate::{clock, irq, say, smp};
use abi::path::{self, Path};
use alloc::string::String;
use core::fmt::{self, Write};
use core::sync::atomic::Ordering::Relaxed;
use entry::vectors::STACK_BYTES;

/// What a storm came to.
pub(super) struct Report {
    pub(super) storm: &'static Storm,
    /// What was counted in it.
    pub(super) tally: Tally,
    /// What was ever counted.
    pub(super) total: Tally,
    pub(super) lasted_ticks: u64,
    /// The largest difference in run time between equal spinners of a CPU.
    pub(super) spread_ticks: u64,
    /// How many CPUs have no active priority.
    pub(super) active: usize,
}

/// What the storm consists of.
pub(super) fn interrupts() -> &'static str {
    if irq::has_nmis() {
        "NMIs"
    } else {
        "interrupts"
    }
}

/// Prints the line of one second.
pub(super) fn live(since_ticks: u64, storm: &Storm, tally: &Tally) {
    say!(
        "{:>6} {:>14} {}  {:>12} switches  {:>12} preemptions",
        Seconds(since_ticks),
        Grouped(storm.total()),
        interrupts(),
        Grouped(tally.switches),
        Grouped(tally.preempted()),
    );
}

impl Report {
    /// Interrupts by source.
    pub(super) fn arrivals(&self, source: Source) -> u64 {
        self.sum(|station| station.arrivals[source as usize].load(Relaxed))
    }

    /// Interrupts by where they landed.
    pub(super) fn landed(&self, landing: Landing) -> u64 {
        self.sum(|station| station.landings[landing as usize].load(Relaxed))
    }

    fn sum(&self, of: impl Fn(&Station) -> u64) -> u64 {
        self.storm.stations.iter().map(of).sum()
    }

    /// How late NMIs were that nothing held on purpose.
    pub(super) fn latency(&self) -> Summary {
        self.summary(|station| &station.latency)
    }

    fn summary(&self, of: fn(&Station) -> &Histogram) -> Summary {
        Summary::of(self.storm.stations.iter().map(of))
    }

    /// Prints all of it.
    pub(super) fn print(&self) {
        self.print_places();
        self.print_times();
        self.print_preemptions();
        self.print_ledger();
    }

    /// Two columns: sources, and places.
    fn print_places(&self) {
        let total = self.storm.total().max(1);
        say!("");
        say!(
            "{} by source                       by where they landed",
            interrupts()
        );
        for (row, landing) in Landing::ALL.into_iter().enumerate() {
            let mut left = String::new();
            if let Some(source) = Source::ALL.get(row) {
                let count = Grouped(self.arrivals(*source));
                // Writing to a string cannot fail.
                let _ = write!(left, "  {:<8}{count:>14}", source.name());
            } else if row == Source::ALL.len() {
                let _ = write!(left, "  {:<8}{:>14}", "all", Grouped(self.storm.total()));
            }
            let count = self.landed(landing);
            let permille = count * 1000 / total;
            say!(
                "{left:<37}{:<20}{:>14}  {:>3}.{} %",
                landing.name(),
                Grouped(count),
                permille / 10,
                permille % 10
            );
        }
        let deepest = self.storm.stations.iter().map(|s| s.deepest.load(Relaxed));
        let mut nest = String::new();
        for path in path::unwind(deepest.max().unwrap_or(0)) {
            let _ = write!(nest, "{} in ", path.name());
        }
        say!("  deepest nest: {nest}thread");
    }

    fn print_times(&self) {
        say!("");
        say!(
            "late by                               times        median          99 %         worst"
        );
        let row = |name: &str, of: Summary| {
            say!(
                "  {name:<27}{:>14}{:>14}{:>14}{:>14}",
                Grouped(of.count),
                Span(of.median),
                Span(of.percentile_99),
                Span(of.worst)
            );
        };
        row("timer NMI", self.latency());
        row("  due while NMIs were held", self.summary(|s| &s.behind));
        row("scheduler tick", self.summary(|s| &s.ticks));
        let longest = self.storm.stations.iter();
        let longest = longest.map(|s| s.longest_held.load(Relaxed)).max();
        say!(
            "  NMIs were held on purpose (NMI handlers, NmiGuard) for at most {}",
            Span(longest.unwrap_or(0))
        );
        let worst = self.storm.stations.iter().map(|station| &station.worst);
        if let Some(worst) = worst.max_by_key(|worst| worst.late_ticks.load(Relaxed)) {
            let landing = Landing::ALL[worst.landing.load(Relaxed) as usize % Landing::ALL.len()];
            let left = Path::from_number(worst.left.load(Relaxed) as u8);
            let mut window = String::new();
            let _ = match left {
                Some(Path::Thread) | None => write!(window, "{}", landing.name()),
                Some(path) => write!(window, "after {} exit, {}", path.name(), landing.name()),
            };
            say!(
                "  the worst landed: {window}, at {}",
                Symbol(worst.elr.load(Relaxed))
            );
        }
        if clock::is_exact() {
            say!("  permitted on one CPU: {LATENCY_INSTRUCTIONS} instructions");
        }
    }

    fn print_preemptions(&self) {
        let tally = &self.tally;
        say!("");
        say!(
            "switches {}, preemptions {}: IRQ {}, FIQ {}, fault {}, other {}; lost {}",
            Grouped(tally.switches),
            Grouped(tally.preempted()),
            Grouped(tally.by(Path::Irq)),
            Grouped(tally.by(Path::Fiq)),
            Grouped(tally.by(Path::Fault)),
            Grouped(tally.by(Path::Thread)),
            tally.lost
        );
        say!(
            "  NMI exits that saw need_resched {}, switches from them {}; wake-ups while masked {}",
            Grouped(tally.nmis_saw_resched),
            tally.by(Path::Nmi),
            Grouped(tally.self_sgis)
        );
        let calls = self.sum(|station| station.calls.load(Relaxed));
        say!(
            "  faults {} (pages {}), calls {}, threads joined {}, rounds checked {}, corrupt {}",
            Grouped(tally.pages + tally.undefined),
            Grouped(tally.pages),
            Grouped(calls),
            Grouped(CHILDREN.load(Relaxed)),
            Grouped(ROUNDS.load(Relaxed)),
            CORRUPT.load(Relaxed)
        );
        say!(
            "  equal spinners differ by at most {} of run time",
            Span(self.spread_ticks)
        );
    }

    fn print_ledger(&self) {
        let tally = &self.tally;
        say!(
            "  ledger: acknowledged {}, dropped {}, deactivated {}, special {}",
            Grouped(tally.acknowledged),
            Grouped(tally.dropped),
            Grouped(tally.deactivated),
            Grouped(tally.special)
        );
        say!(
            "  active priorities empty on {} of {} CPUs; unexpected {}, log lines lost {}, frames leaked {}",
            self.active,
            self.storm.stations.len(),
            tally.unexpected,
            tally.lost_lines,
            tally.used_bytes / crate::mm::PAGE
        );
        let bytes = STACK_BYTES as u64;
        let used = |top: u64| stacks::high_water(&(top - bytes..top));
        let most = |top: fn(&smp::Cpu) -> u64| smp::all().map(|cpu| used(top(cpu))).max();
        say!(
            "  stacks of {} bytes, deepest use: thread {}, IRQ {}, NMI {}",
            Grouped(bytes),
            Grouped(DEEPEST_STACK.load(Relaxed)),
            Grouped(most(|cpu| cpu.percpu().stacks().irq).unwrap_or(0)),
            Grouped(most(|cpu| cpu.percpu().stacks().nmi).unwrap_or(0))
        );
        say!("");
    }
}

/// A number with its thousands apart.
#[derive(Clone, Copy)]
pub(super) struct Grouped(pub(super) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The longest number has 26 places so.
        let mut text = [b' '; 26];
        let (mut rest, mut at, mut digits) = (self.0, text.len(), 0);
        loop {
            if digits != 0 && digits % 3 == 0 {
                at -= 1;
                text[at] = b',';
            }
            at -= 1;
            text[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            digits += 1;
            if rest == 0 {
                break;
            }
        }
        f.pad_integral(true, "", core::str::from_utf8(&text[at..]).unwrap_or("?"))
    }
}

/// A span of ticks: instructions where time is exact, else time.
#[derive(Clone, Copy)]
pub(super) struct Span(pub(super) u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = heapless::String::<40>::new();
        if clock::is_exact() {
            write!(text, "{} insn", Grouped(self.0))?;
        } else {
            let nanos = clock::nanos(self.0);
            write!(text, "{}.{} us", Grouped(nanos / 1000), nanos / 100 % 10)?;
        }
        f.pad_integral(true, "", &text)
    }
}

/// A span of ticks, in seconds.
#[derive(Clone, Copy)]
pub(super) struct Seconds(pub(super) u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = clock::micros(self.0) / 1000;
        let mut text = heapless::String::<40>::new();
        match millis {
            0..10_000 => write!(text, "{}.{} s", millis / 1000, millis / 100 % 10)?,
            _ => write!(text, "{} s", Grouped(millis / 1000))?,
        }
        f.pad_integral(true, "", &text)
    }
}

/// So many CPUs.
#[derive(Clone, Copy)]
pub(super) struct Cpus(pub(super) usize);

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} CPU{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}
