//! Starts everybody, asks for the kernel's storm, and looks whether anything is missing afterwards.
//!
//! First, all processes run for two rounds without a storm: what is made once, and kept, is made then, so
//! that what is missing at the end is missing.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use loader::{Grant, Spec};
use rt::abi::report::{CpuReport, MemoryReport};
use rt::object::{Machine, MemoryKind, PAGE, ProcessReport, ProcessState};
use rt::service::files::{self, Files};
use rt::time::{Deadline, Duration, now, sleep};
use rt::{Endpoint, Error, Memory, Notification, Process, Rights, println};

use crate::board::{Board, CPUS, LINES};
use crate::registers::{LEAST_SWITCHES, switches};
use crate::{Wrong, chain, ensure};

/// Where the program lies.
pub(crate) const PATH: &str = "bin/storm";
/// What a role may be charged.
pub(crate) const ROLE_QUOTA: usize = 2 << 20;
/// Bytes of its stack.
pub(crate) const STACK_BYTES: usize = 64 << 10;

/// That of most threads of the kernel's storm: all of them share each CPU.
const PRIORITY: u32 = 8;
/// How often to look.
const LOOK: Duration = Duration::from_millis(2);
/// How long something may take that is only a matter of time.
const PATIENCE: Duration = Duration::from_secs(60);
/// What may be missing of the machine's memory: the kernel's storm makes page tables once and keeps them,
/// and one of its pages may be in use at any moment. What leaks once in a round is much more.
const KEPT_BYTES: u64 = 256 << 10;
/// How much the run times of equal processes may differ, where time is exact: turns of 4 ms.
const FAIR: Duration = Duration::from_millis(12);
/// The kernel's storm is over.
const OVER: u64 = 1 << 63;

/// What is asked for.
struct Asked {
    storm: String,
    seed: u64,
}

impl Asked {
    fn read(arguments: &[&str]) -> Result<Self, Wrong> {
        let mut asked = Self {
            storm: "storm:programs=1,time=2s".to_string(),
            seed: 7,
        };
        for argument in arguments {
            let bad = || Wrong(format!("what is {argument}?"));
            match argument.split_once('=') {
                // What they may be is the kernel's to say.
                Some(("seconds" | "time" | "nmis", _)) => {
                    asked.storm = format!("storm:programs=1,{argument}");
                }
                Some(("seed", seed)) => asked.seed = seed.parse().map_err(|_| bad())?,
                _ => return Err(bad()),
            }
        }
        Ok(asked)
    }
}

/// A process at work.
struct Worker {
    role: &'static str,
    cpu: u64,
    line: usize,
    process: Process,
}

/// What is needed to start them.
struct Coordinator {
    machine: Machine,
    file: Vec<u8>,
    image: Memory,
    memory: Memory,
    board: &'static Board,
    seed: u64,
    cpus: u64,
}

/// The coordinator.
pub(crate) fn run(arguments: &[&str]) -> Result<(), Wrong> {
    let asked = Asked::read(arguments)?;
    let coordinator = Coordinator::new(asked.seed)?;
    let warm = coordinator.start()?;
    coordinator.wait_for_rounds(&warm)?;
    coordinator.stop(&warm)?;
    drop(warm);
    let memory = coordinator.settle(None)?;
    let handles = Process::own().report()?.handles;
    let processes = coordinator.processes()?;

    coordinator.board.clear();
    let workers = coordinator.start()?;
    coordinator.wait_for_rounds(&workers)?;
    let before = run_times(&workers)?;
    coordinator.storm(&asked.storm, &workers)?;
    let after = run_times(&workers)?;
    let spread = spread(&workers, &before, &after);
    coordinator.stop(&workers)?;
    let totals = Totals::of(&workers, coordinator.board);
    let count = workers.len();
    drop(workers);
    coordinator.settle(Some(&memory))?;
    let handles_now = Process::own().report()?.handles;
    ensure!(
        handles_now == handles,
        "{handles} handles became {handles_now}"
    );
    let processes_now = coordinator.processes()?;
    ensure!(
        processes_now == processes,
        "{processes} processes became {processes_now}"
    );
    totals.report(count, coordinator.cpus, spread);
    totals.judge(coordinator.board)?;
    let is_exact = is_exact() && coordinator.cpus == 1;
    ensure!(
        !is_exact || spread <= FAIR,
        "equal processes differ by {spread:?}"
    );
    Ok(())
}

impl Coordinator {
    fn new(seed: u64) -> Result<Self, Wrong> {
        let machine: Machine =
            rt::start::take("machine").ok_or_else(|| Wrong::from("no machine was granted"))?;
        let files = Files::connect(files::NAME);
        let file = files.and_then(|files| files.read_all(PATH, 16 << 20));
        let file = file.map_err(|error| Wrong(format!("{PATH}: {error}")))?;
        let image = Memory::create(file.len(), MemoryKind::Normal)?;
        image.map(Rights::READ.with(Rights::WRITE))?.write(0, &file);
        let memory = Memory::create(PAGE as usize, MemoryKind::Normal)?;
        let cpus = machine.list::<CpuReport>()?.len() as u64;
        Ok(Self {
            machine,
            file,
            image,
            board: Board::map(&memory)?,
            memory,
            seed,
            cpus: cpus.min(CPUS as u64),
        })
    }

    /// Starts everybody.
    fn start(&self) -> Result<Vec<Worker>, Wrong> {
        let mut workers = Vec::new();
        for cpu in 0..self.cpus {
            for role in ["fp", "fp", "integer", "memory"] {
                self.add(&mut workers, role, cpu, Vec::new())?;
            }
        }
        for role in ["threads", "pager", "waits", "replies"] {
            self.add(&mut workers, role, 0, Vec::new())?;
        }
        let rights = Rights::READ.with(Rights::INSPECT).with(Rights::TRANSFER);
        let image = Grant {
            detail: self.file.len() as u32,
            ..Grant::new("image", self.image.duplicate(rights)?)
        };
        self.add(&mut workers, "restart", 0, vec![image])?;
        // From the last link to the head: each is given the way to the one behind it.
        let mut next = None;
        for link in (1..=chain::LINKS).rev() {
            let endpoint = Endpoint::create()?;
            let inbox = endpoint.duplicate(Rights::RECEIVE.with(Rights::TRANSFER))?;
            let way = endpoint.sender(chain::badge(link))?;
            let mut grants = vec![Grant::new("inbox", inbox)];
            grants.extend(next.replace(way).map(|next| Grant::new("next", next)));
            self.add(&mut workers, "link", link, grants)?;
        }
        let grants = next.map(|next| Grant::new("next", next));
        self.add(&mut workers, "head", 0, grants.into_iter().collect())?;
        Ok(workers)
    }

    fn add(
        &self,
        workers: &mut Vec<Worker>,
        role: &'static str,
        cpu: u64,
        mut grants: Vec<Grant>,
    ) -> Result<(), Wrong> {
        let line = workers.len();
        ensure!(line < LINES, "there are too many processes");
        let numbers = [line as u64, cpu, self.seed].map(|number| number.to_string());
        let [line_text, cpu_text, seed_text] = &numbers;
        let rights = Rights::READ
            .with(Rights::WRITE)
            .with(Rights::INSPECT)
            .with(Rights::TRANSFER);
        grants.push(Grant::new("board", self.memory.duplicate(rights)?));
        let loaded = loader::load(Spec {
            path: PATH,
            file: &self.file,
            arguments: &[
                &format!("storm-{role}"),
                role,
                line_text,
                cpu_text,
                seed_text,
            ],
            grants,
            quota_bytes: ROLE_QUOTA,
            priority: PRIORITY,
            stack_bytes: STACK_BYTES,
        })?;
        loaded.thread.resume()?;
        workers.push(Worker {
            role,
            cpu,
            line,
            process: loaded.process,
        });
        Ok(())
    }

    /// Until each has done two rounds.
    fn wait_for_rounds(&self, workers: &[Worker]) -> Result<(), Wrong> {
        let began = now();
        let lines = &self.board.lines;
        let late = |worker: &&Worker| lines[worker.line].rounds.load(Relaxed) < 2;
        while let Some(worker) = workers.iter().find(late) {
            all_are_alive(workers)?;
            ensure!(began.elapsed() < PATIENCE, "{} does nothing", worker.role);
            sleep(LOOK);
        }
        Ok(())
    }

    /// The kernel's storm, from its beginning to its end, while the workers work.
    fn storm(&self, text: &str, workers: &[Worker]) -> Result<(), Wrong> {
        let bell = Arc::new(Notification::create()?);
        for (at, worker) in workers.iter().enumerate() {
            worker.process.watch(&bell, 1 << (at % 63))?;
        }
        let machine = self.machine.duplicate(Rights::ALL)?;
        let storm = {
            let (bell, text) = (bell.clone(), text.to_string());
            let mine = rt::thread::default_priority();
            rt::thread::Builder::new().priority(mine).spawn(move || {
                let passed = machine.workload(&text);
                let _ = bell.signal(OVER);
                passed
            })?
        };
        while bell.wait(Deadline::FOREVER)? & OVER == 0 {
            all_are_alive(workers)?;
        }
        all_are_alive(workers)?;
        match storm.join()? {
            Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => Err(Wrong::from("the kernel's storm failed")),
            Some(Err(error)) => Err(Wrong(format!("{text}: {error}"))),
            None => Err(Wrong::from("the kernel's storm was lost")),
        }
    }

    /// Has them end, and waits for it.
    fn stop(&self, workers: &[Worker]) -> Result<(), Wrong> {
        self.board.stop();
        for worker in workers {
            let began = now();
            let end = loop {
                let report = worker.process.report()?;
                if report.state != ProcessState::Alive as u32 {
                    break report;
                }
                ensure!(began.elapsed() < PATIENCE, "{} does not end", worker.role);
                sleep(LOOK);
            };
            ensure!(is_success(&end), "{}", ended(worker, &end));
        }
        Ok(())
    }

    /// Waits until the machine has its memory again: as much as `before`, or, without, until nothing changes
    /// any more. Gives what there is.
    fn settle(&self, before: Option<&MemoryReport>) -> Result<MemoryReport, Wrong> {
        let began = now();
        let mut last = self.machine.memory()?;
        let mut quiet = 0;
        while began.elapsed() < PATIENCE {
            sleep(5 * LOOK);
            let now = self.machine.memory()?;
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
            if quiet >= 3 && before.is_none_or(|before| is_back(&now, before)) {
                return Ok(now);
            }
        }
        Err(Wrong(format!(
            "memory is missing: {before:?}, then {last:?}"
        )))
    }

    fn processes(&self) -> Result<usize, Wrong> {
        Ok(self.machine.list::<ProcessReport>()?.len())
    }
}

/// Whether the machine has as much memory as before, but for what the kernel's storm keeps.
fn is_back(now: &MemoryReport, before: &MemoryReport) -> bool {
    let used = |report: &MemoryReport| {
        report.total - report.free - report.heap - report.stacks + report.heap_used
    };
    used(now) <= used(before) + KEPT_BYTES
}

fn is_success(end: &ProcessReport) -> bool {
    end.state == ProcessState::Exited as u32 && end.status == 0
}

fn all_are_alive(workers: &[Worker]) -> Result<(), Wrong> {
    for worker in workers {
        let report = worker.process.report()?;
        ensure!(
            report.state == ProcessState::Alive as u32,
            "{}",
            ended(worker, &report)
        );
    }
    Ok(())
}

fn ended(worker: &Worker, end: &ProcessReport) -> String {
    let (role, cpu, status) = (worker.role, worker.cpu, end.status);
    match ProcessState::from_number(end.state) {
        Some(ProcessState::Faulted) => format!("{role} of CPU {cpu} faulted: {:x?}", end.fault),
        _ => format!("{role} of CPU {cpu} ended with status {status}"),
    }
}

/// How long each has run, in ticks.
fn run_times(workers: &[Worker]) -> Result<Vec<u64>, Error> {
    let report = |worker: &Worker| worker.process.report().map(|report| report.ran_ticks);
    workers.iter().map(report).collect()
}

/// By how much the run times of equal processes differ: the FP processes of each CPU.
fn spread(workers: &[Worker], before: &[u64], after: &[u64]) -> Duration {
    let ran = |worker: &Worker| after[worker.line].saturating_sub(before[worker.line]);
    let of_fp = |worker: &&Worker| worker.role == "fp";
    let mut most = 0;
    for first in workers.iter().filter(of_fp) {
        for second in workers.iter().filter(of_fp) {
            if first.cpu == second.cpu {
                most = most.max(ran(first).abs_diff(ran(second)));
            }
        }
    }
    let nanos = u128::from(most) * 1_000_000_000 / u128::from(rt::time::frequency_hz());
    Duration::from_nanos(nanos as u64)
}

/// Whether time is instructions: then a stretch without calls takes the same time each time.
fn is_exact() -> bool {
    let stretch = || {
        let (began, ended): (u64, u64);
        // SAFETY: reads registers.
        unsafe {
            core::arch::asm!(
                "isb",
                "mrs {began}, cntvct_el0",
                ".rept 500",
                "nop",
                ".endr",
                "mrs {ended}, cntvct_el0",
                began = out(reg) began,
                ended = out(reg) ended,
                options(nomem, nostack),
            );
        }
        ended - began
    };
    (0..8).filter(|_| stretch() == 501).count() >= 6
}

/// What all processes of a role did.
struct Totals(Vec<Total>);

struct Total {
    role: &'static str,
    processes: u64,
    rounds: u64,
    events: u64,
    least_rounds: u64,
    least_events: u64,
}

impl Totals {
    fn of(workers: &[Worker], board: &Board) -> Self {
        let mut totals: Vec<Total> = Vec::new();
        for worker in workers {
            let line = &board.lines[worker.line];
            let (rounds, events) = (line.rounds.load(Relaxed), switches(line));
            match totals.iter_mut().find(|total| total.role == worker.role) {
                Some(total) => {
                    total.processes += 1;
                    total.rounds += rounds;
                    total.events += events;
                    total.least_rounds = total.least_rounds.min(rounds);
                    total.least_events = total.least_events.min(events);
                }
                None => totals.push(Total {
                    role: worker.role,
                    processes: 1,
                    rounds,
                    events,
                    least_rounds: rounds,
                    least_events: events,
                }),
            }
        }
        Self(totals)
    }

    fn report(&self, processes: usize, cpus: u64, spread: Duration) {
        let s = if cpus == 1 { "" } else { "s" };
        println!("storm at EL0: {processes} processes, {cpus} CPU{s}");
        println!("  role      processes       rounds");
        for total in &self.0 {
            println!(
                "  {:<10}{:>9}{:>13}{:>13}  {}",
                total.role,
                total.processes,
                total.rounds,
                total.events,
                what(total.role)
            );
        }
        println!(
            "  equal processes ran equally long, but for {} us",
            spread.as_micros()
        );
    }

    fn judge(&self, board: &Board) -> Result<(), Wrong> {
        for total in &self.0 {
            ensure!(
                total.least_rounds > 2,
                "vacuous: {} did nothing",
                total.role
            );
            let least = match total.role {
                "fp" => LEAST_SWITCHES,
                "link" => 0,
                _ => 1,
            };
            ensure!(
                total.least_events >= least,
                "vacuous: {} {} of {}",
                total.least_events,
                what(total.role),
                total.role
            );
        }
        let of = |role: &str| self.0.iter().find(|total| total.role == role);
        let increments = of("integer").map_or(0, |total| total.events);
        let sum = board.shared.load(Relaxed);
        ensure!(
            sum == increments,
            "of {increments} exclusive increments {sum} are left"
        );
        Ok(())
    }
}

/// What the events of a role are.
fn what(role: &str) -> &'static str {
    match role {
        "fp" => "times it took the CPU from the other",
        "integer" => "exclusive increments",
        "memory" => "memories made, mapped twice, freed",
        "threads" => "threads made in assembly",
        "pager" => "pages mapped at a fault",
        "waits" => "wake-ups there and back",
        "replies" => "replies tried twice",
        "restart" => "servers killed",
        "head" => "links passed",
        _ => "",
    }
}
