//! The kernel's own counters, over all CPUs, before and after; and what must be as it was.

use super::{crew::crew_size, life};
use crate::mm::{frames, lazy};
use crate::thread::{self, Spec};
use crate::workload::Failure;
use crate::workload::support::{join_all, on_each_cpu, preemptions, total, unleaked_bytes};
use crate::{clock, console, fault, irq, smp};
use abi::path::Path;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use cpu::counters::Counter;
use cpu::guard::IrqGuard;
use cpu::hw::gic;
use cpu::priority;
use sched::{CpuSet, Level};

/// How long the ledger may take to come to rest.
const PATIENCE: Duration = Duration::from_millis(500);

/// Counters of all CPUs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    pub(super) acknowledged: u64,
    pub(super) dropped: u64,
    pub(super) deactivated: u64,
    pub(super) special: u64,
    pub(super) nmis: u64,
    pub(super) nmis_saw_resched: u64,
    pub(super) lost: u64,
    pub(super) self_sgis: u64,
    pub(super) switches: u64,
    preemptions: [u64; Path::ALL.len()],
    pub(super) pages: u64,
    pub(super) undefined: u64,
    pub(super) unexpected: u64,
    pub(super) lost_lines: u64,
    /// Bytes of RAM in use, without what is kept for the next thread or allocation.
    pub(super) used_bytes: u64,
}

impl Tally {
    /// As it is now. While CPUs count on, what belongs together may differ by what is on its way.
    pub(super) fn take() -> Self {
        Self {
            deactivated: total(Counter::Deactivated),
            dropped: total(Counter::Dropped),
            acknowledged: total(Counter::Acknowledged),
            special: total(Counter::Special),
            nmis: total(Counter::Nmi),
            nmis_saw_resched: total(Counter::NmiSawResched),
            lost: total(Counter::PreemptionLost),
            self_sgis: total(Counter::SelfSgis),
            switches: total(Counter::Switches),
            preemptions: Path::ALL.map(preemptions),
            pages: fault::SERVED[0].load(Relaxed),
            undefined: fault::SERVED[1].load(Relaxed),
            unexpected: irq::unexpected_count(),
            lost_lines: console::lost_lines(),
            used_bytes: frames::usage().1 - unleaked_bytes(),
        }
    }

    /// As it is when no interrupt is on its way any more; or, if that never comes, as it is then.
    pub(super) fn take_quiet() -> Self {
        let deadline = clock::now() + clock::ticks(PATIENCE);
        loop {
            let tally = Self::take();
            if tally.is_balanced() || clock::now() > deadline {
                return tally;
            }
            thread::sleep(Duration::from_micros(100));
        }
    }

    /// Whether each interrupt was acknowledged, dropped and deactivated once.
    pub(super) fn is_balanced(&self) -> bool {
        self.acknowledged == self.dropped && self.dropped == self.deactivated
    }

    /// What was counted since `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        let mut preemptions = self.preemptions;
        for (count, before) in preemptions.iter_mut().zip(before.preemptions) {
            *count -= before;
        }
        Self {
            acknowledged: self.acknowledged - before.acknowledged,
            dropped: self.dropped - before.dropped,
            deactivated: self.deactivated - before.deactivated,
            special: self.special - before.special,
            nmis: self.nmis - before.nmis,
            nmis_saw_resched: self.nmis_saw_resched - before.nmis_saw_resched,
            lost: self.lost - before.lost,
            self_sgis: self.self_sgis - before.self_sgis,
            switches: self.switches - before.switches,
            preemptions,
            pages: self.pages - before.pages,
            undefined: self.undefined - before.undefined,
            unexpected: self.unexpected - before.unexpected,
            lost_lines: self.lost_lines - before.lost_lines,
            used_bytes: self.used_bytes.saturating_sub(before.used_bytes),
        }
    }

    /// Preemptions on the way out of `path`.
    pub(super) fn by(&self, path: Path) -> u64 {
        self.preemptions[path as usize]
    }

    /// Preemptions on all ways.
    pub(super) fn preempted(&self) -> u64 {
        self.preemptions.iter().sum()
    }
}

/// Makes everything once that is kept for ever after: stacks, their page tables, heap. Only then do
/// frames that are missing at the end mean a leak.
///
/// # Errors
/// What kept a thread from being made.
pub(super) fn warm_up(cpus: usize) -> Result<(), Failure> {
    static GO: AtomicBool = AtomicBool::new(false);
    GO.store(false, Relaxed);
    fn wait(_: usize) {
        while !GO.load(Relaxed) {
            thread::sleep(Duration::from_micros(200));
        }
    }
    let mut handles = Vec::new();
    // Each CPU's maker has a child.
    for _ in 0..cpus * (crew_size() + 1) + 1 {
        handles.push(thread::spawn(&Spec {
            name: "warm-up",
            level: Level::HIGHEST,
            allowed: CpuSet::ALL,
            entry: wait,
            argument: 0,
        })?);
    }
    GO.store(true, Relaxed);
    join_all(handles);
    // One page table of the lowest level maps 512 pages.
    for page in (0..lazy::PAGES).step_by(512) {
        life::touch(page, page);
        lazy::release(page);
    }
    Ok(())
}

/// Looks at the GIC's CPU interface of each CPU: how many have nothing active.
///
/// # Errors
/// What kept a thread from being made.
pub(super) fn audit() -> Result<usize, Failure> {
    static CLEAN: AtomicU64 = AtomicU64::new(0);
    CLEAN.store(0, Relaxed);
    fn look(_: usize) {
        let irqs = IrqGuard::new();
        let active = smp::this(&irqs)
            .gic()
            .map_or(u32::MAX, |gic| gic.active_priorities());
        if active == 0 && gic::running_priority() == priority::IDLE {
            CLEAN.fetch_add(1, Relaxed);
        }
    }
    on_each_cpu("auditor", Level::HIGHEST, look)?;
    Ok(CLEAN.load(Relaxed) as usize)
}
