//! What a person sees of a storm: a line each second, and a page at the end.

use super::crew::{CHILDREN, DEEPEST_STACK, ROUNDS};
use super::landing::Landing;
use super::sources::Source;
use super::station::{Station, Storm};
use super::tally::Tally;
use crate::mm::{PAGE, stacks};
use crate::symbols::Symbol;
use crate::workload::histogram::{Histogram, Summary};
use crate::{clock, irq, say, smp};
use abi::path::{self, Path};
use alloc::string::String;
use alloc::vec::Vec;
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
    /// The largest difference in run time between equal spinners of a CPU.
    pub(super) spread_ticks: u64,
    /// Whether programs ran: what memory they have come to use meanwhile is theirs to judge.
    pub(super) with_programs: bool,
    /// Whether they promised to be at work all the time.
    pub(super) must_hit_programs: bool,
    /// How many CPUs have no active priority.
    pub(super) clean_cpus: usize,
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
        "{:>7} {:>14} {} {:>14} switches {:>14} preemptions",
        Seconds(since_ticks),
        Grouped(storm.total()),
        interrupts(),
        Grouped(tally.switches),
        Grouped(tally.preempted()),
    );
}

/// A name and what stands behind it.
type Row<'a> = (&'a str, &'a dyn fmt::Display);

/// Prints two lists beside each other.
fn columns(titles: [&str; 2], left: &[Row<'_>], right: &[Row<'_>]) {
    say!("");
    say!("{:<38}{}", titles[0], titles[1]);
    for at in 0..left.len().max(right.len()) {
        let mut line = String::new();
        // Writing to a string cannot fail.
        let _ = match left.get(at) {
            Some((name, value)) => write!(line, "  {name:<16}{value:>14}      "),
            None => write!(line, "{:38}", ""),
        };
        if let Some((name, value)) = right.get(at) {
            let _ = write!(line, "  {name:<24}{value:>14}");
        }
        say!("{}", line.trim_end());
    }
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

    /// How late those were that something did.
    pub(super) fn behind(&self) -> Summary {
        self.summary(|station| &station.behind)
    }

    fn summary(&self, of: fn(&Station) -> &Histogram) -> Summary {
        Summary::of(self.storm.stations.iter().map(of))
    }

    /// The longest time for which NMIs were held on purpose, in ticks.
    pub(super) fn longest_held(&self) -> u64 {
        let longest = self.storm.stations.iter();
        let longest = longest.map(|station| station.longest_held.load(Relaxed));
        longest.max().unwrap_or(0)
    }

    /// Prints all of it.
    pub(super) fn print(&self) {
        self.print_places();
        self.print_times();
        self.print_work();
        self.print_rest();
        say!("");
    }

    fn print_places(&self) {
        let all = self.storm.total();
        let share = |landing| Share {
            part: self.landed(landing),
            whole: all,
        };
        let arrivals = Source::ALL.map(|source| Grouped(self.arrivals(source)));
        let shares = Landing::ALL.map(share);
        let mut left: Vec<Row<'_>> = Vec::new();
        for (source, count) in Source::ALL.iter().zip(&arrivals) {
            left.push((source.name(), count));
        }
        let total = Grouped(all);
        left.push(("all", &total));
        let mut right: Vec<Row<'_>> = Vec::new();
        for (landing, share) in Landing::ALL.iter().zip(&shares) {
            right.push((landing.name(), share));
        }
        let mut title = String::from(interrupts());
        title.push_str(" by source");
        columns([&title, "by where they landed"], &left, &right);
        let deepest = self.storm.stations.iter().map(|s| s.deepest.load(Relaxed));
        let mut nest = String::new();
        for path in path::unwind(deepest.max().unwrap_or(0)) {
            let _ = write!(nest, "{} in ", path.name());
        }
        say!("  deepest nest: {nest}thread");
    }

    fn print_times(&self) {
        let unit = match clock::is_exact() {
            true => "late, in guest instructions",
            false => "late, in microseconds (the host's: not judged)",
        };
        say!("");
        say!(
            "{unit:<48}{:>8}{:>12}{:>12}{:>12}",
            "times",
            "median",
            "99 %",
            "worst"
        );
        let row = |name: &str, of: Summary| {
            say!(
                "  {name:<42}{:>12}{:>12}{:>12}{:>12}",
                Grouped(of.count),
                Span(of.median),
                Span(of.percentile_99),
                Span(of.worst)
            );
        };
        row("timer NMI: deadline to vector", self.latency());
        row(
            "the same, due while NMIs were held on purpose",
            self.behind(),
        );
        row("scheduler tick", self.summary(|s| &s.ticks));
        say!(
            "  NMIs were held on purpose (by an NMI handler or an NmiGuard) for at most {}",
            Span(self.longest_held())
        );
        let worst = self.storm.stations.iter().map(|station| &station.worst);
        if let Some(worst) = worst.max_by_key(|worst| worst.late_ticks.load(Relaxed)) {
            let landing = Landing::ALL[worst.landing.load(Relaxed) as usize % Landing::ALL.len()];
            let mut left = String::new();
            match Path::from_number(worst.left.load(Relaxed) as u8) {
                Some(path) if path != Path::Thread && clock::is_exact() => {
                    let _ = write!(left, ", after the way out of {}", path.name());
                }
                _ => {}
            }
            let at = Symbol(worst.elr.load(Relaxed));
            say!("  worst NMI landed in {}{left}, at {at}", landing.name());
        }
    }

    fn print_work(&self) {
        let tally = &self.tally;
        let calls = self.sum(|station| station.calls.load(Relaxed));
        columns(
            ["preemptions on the way out of", "work done"],
            &[
                ("IRQ", &Grouped(tally.by(Path::Irq))),
                ("FIQ", &Grouped(tally.by(Path::Fiq))),
                ("fault", &Grouped(tally.by(Path::Fault))),
                ("guard, wake-up", &Grouped(tally.by(Path::Thread))),
                ("NMI", &Grouped(tally.by(Path::Nmi))),
                ("all", &Grouped(tally.preempted())),
                ("eligible, lost", &Grouped(tally.lost)),
            ],
            &[
                ("switches of thread", &Grouped(tally.switches)),
                ("checked rounds", &Grouped(ROUNDS.load(Relaxed))),
                ("page faults", &Grouped(tally.pages)),
                ("undefined instructions", &Grouped(tally.undefined)),
                ("calls between CPUs", &Grouped(calls)),
                ("wake-ups with IRQs held", &Grouped(tally.self_sgis)),
                ("threads made, joined", &Grouped(CHILDREN.load(Relaxed))),
                ("NMIs that saw a resched", &Grouped(tally.nmis_saw_resched)),
            ],
        );
    }

    fn print_rest(&self) {
        let tally = &self.tally;
        let bytes = STACK_BYTES as u64;
        let used = |top: u64| stacks::high_water(&(top - bytes..top));
        let most = |top: fn(&smp::Cpu) -> u64| {
            let used = smp::all().map(|cpu| used(top(cpu)));
            Grouped(used.max().unwrap_or(0))
        };
        let frames = match self.with_programs {
            true => "frames, programs' too",
            false => "frames leaked",
        };
        let unclean = self.storm.stations.len() - self.clean_cpus;
        columns(
            ["interrupts", "at the end"],
            &[
                ("acknowledged", &Grouped(tally.acknowledged)),
                ("dropped", &Grouped(tally.dropped)),
                ("deactivated", &Grouped(tally.deactivated)),
                ("withdrawn", &Grouped(tally.special)),
                ("without handler", &Grouped(tally.unexpected)),
                ("still active", &Grouped(unclean as u64)),
            ],
            &[
                (
                    "bytes of thread stack",
                    &Grouped(DEEPEST_STACK.load(Relaxed)),
                ),
                ("bytes of IRQ stack", &most(|cpu| cpu.percpu().stacks().irq)),
                ("bytes of NMI stack", &most(|cpu| cpu.percpu().stacks().nmi)),
                ("equal spinners differ by", &Span(self.spread_ticks)),
                (frames, &Grouped(tally.used_bytes.div_ceil(PAGE))),
                ("log lines lost", &Grouped(tally.lost_lines)),
            ],
        );
    }
}

/// A part of a whole, with its percentage.
struct Share {
    part: u64,
    whole: u64,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let permille = self.part * 1000 / self.whole.max(1);
        Grouped(self.part).fmt(f)?;
        write!(f, "  {:>3}.{} %", permille / 10, permille % 10)
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

/// A span of ticks: instructions where time is exact, else microseconds.
#[derive(Clone, Copy)]
pub(super) struct Span(pub(super) u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match clock::is_exact() {
            true => self.0,
            false => clock::micros(self.0),
        };
        Grouped(count).fmt(f)
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
