//! Interrupts for processes: each comes once until it is acknowledged, to whom it is bound, and to
//! nobody else.
//!
//! A thread on each CPU has a spare shared interrupt of its own, of no device, which software makes
//! pending. It goes through what a driver and its end go through: bound, delivered, pending again
//! before the acknowledge, acknowledged, bound to another, its last handle closed in the very moment in
//! which it comes, and taken again by the next. NMIs rain meanwhile.

use super::rain::Rain;
use super::support::{LOW, ensure, expect_eq, here, join_all, nothing_lost, spawn_on};
use super::{Failure, Task};
use crate::object::handle::HandleTable;
use crate::object::quota::Quota;
use crate::object::{Irq, Notification, Object, Ref, reclaim};
use crate::{clock, control, smp, start, thread};
use abi::error::Error;
use abi::handle::{Handle, Rights};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use boot::args::Params;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use core::time::Duration;
use cpu::guard::IrqGuard;
use drivers::gicv3::{IntId, Line, Trigger};

/// How long an interrupt may take to come, on a host that has other things to do.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one is waited for that must not come.
const QUIET: Duration = Duration::from_micros(100);

/// What the threads share.
struct Shared {
    rounds: u64,
    quota: Ref<Quota>,
    table: HandleTable,
    spares: Vec<IntId>,
    next: AtomicUsize,
    delivered: AtomicU64,
}

/// Runs the workload. Parameters: `rounds` on each CPU, `nmi` the period of the rain.
///
/// # Errors
/// A sentence about what did not happen, or should not have.
pub(super) fn run(_: &Task, mut params: Params<'_>) -> Result<String, Failure> {
    let rounds = params.count("rounds", 100)?;
    let nmi = params.duration("nmi", Duration::from_micros(50))?;
    params.finish()?;
    ensure!(rounds > 0, "rounds=0: nothing would be tested");
    ensure!(!nmi.is_zero(), "nmi=0: it would never rain");
    let quota = Ref::try_new(Quota::new(1 << 20))?;
    let cpus = smp::up().0;
    let spares = spares(cpus + 1);
    ensure!(spares.len() > cpus, "there are {} spare SPIs", spares.len());
    refuses(&quota, spares[cpus])?;
    let shared = Shared {
        rounds,
        table: HandleTable::new(quota.clone())?,
        quota: quota.clone(),
        spares,
        next: AtomicUsize::new(0),
        delivered: AtomicU64::new(0),
    };
    let rain = Rain::begin(nmi, |_| ())?;
    let mut threads = Vec::new();
    let argument = (&raw const shared) as usize;
    let spawned = smp::all().try_for_each(|cpu| {
        threads.push(spawn_on(cpu, "irqs", LOW, work, argument)?);
        Ok::<(), thread::SpawnError>(())
    });
    join_all(threads);
    let drops = rain.drops();
    drop(rain);
    spawned?;
    let delivered = shared.delivered.load(Relaxed);
    drop(shared);
    reclaim::settle();
    ensure!(quota.used() == 0, "{} bytes stay charged", quota.used());
    nothing_lost()?;
    Ok(format!(
        "irqs on {}: {delivered} delivered, none before the acknowledge, {drops} timer interrupts",
        smp::up()
    ))
}

/// Shared interrupts of no device, from the back.
fn spares(wanted: usize) -> Vec<IntId> {
    let (implemented, _) = control::gic_facts();
    let spare = start::info().spare_spis(implemented).rev();
    spare
        .filter_map(|intid| IntId::from_raw(intid.number()))
        .take(wanted)
        .collect()
}

/// What nobody may have.
fn refuses(quota: &Ref<Quota>, spare: IntId) -> Result<(), Failure> {
    let end = u64::from(control::spis().intids().end);
    let timer = u64::from(control::scheduler_ppi().raw());
    for intid in [0, 15, timer, 31, end, 1020, 1023, 8192, u64::MAX] {
        let result = Irq::create(intid, Trigger::Level, quota);
        ensure!(
            matches!(result, Err(Error::BadArgument)),
            "interrupt {intid} was not refused"
        );
    }
    let first = Irq::create(spare.raw().into(), Trigger::Level, quota)?;
    let second = Irq::create(spare.raw().into(), Trigger::Level, quota);
    ensure!(
        matches!(second, Err(Error::Busy)),
        "an interrupt was given out twice"
    );
    // It never had a handle.
    drop(first);
    drop(Irq::create(spare.raw().into(), Trigger::Edge, quota)?);
    Ok(())
}

fn work(shared: usize) {
    // SAFETY: `run` passed its address, and joins this thread.
    let shared = unsafe { &*(shared as *const Shared) };
    let intid = shared.spares[shared.next.fetch_add(1, Relaxed)];
    let line = match control::spis().line(intid) {
        Ok(line) => line,
        Err(error) => panic!("{error}"),
    };
    let driver = Driver {
        shared,
        intid,
        line,
    };
    for round in 0..shared.rounds {
        if let Err(error) = driver.round(round) {
            panic!("on CPU {}: {error}", here().index());
        }
    }
}

/// A driver of a device that software plays.
struct Driver<'a> {
    shared: &'a Shared,
    intid: IntId,
    line: Line,
}

impl Driver<'_> {
    fn create(&self, trigger: Trigger) -> Result<(Handle, Ref<Irq>), Error> {
        let irq = Irq::create(self.intid.raw().into(), trigger, &self.shared.quota)?;
        let object = Object::Irq(irq.clone());
        let handle = self.shared.table.insert(object, Rights::ALL, 0, None)?;
        Ok((handle, irq))
    }

    fn round(&self, round: u64) -> Result<(), Error> {
        let trigger = if round.is_multiple_of(2) {
            Trigger::Edge
        } else {
            Trigger::Level
        };
        let (handle, irq) = self.create(trigger)?;
        let first = Notification::create(&self.shared.quota)?;
        irq.bind(first.clone(), 1)?;
        self.line.set_pending();
        self.arrives(&first, 1);
        // Before the acknowledge it does not come again, however often it is raised.
        self.line.set_pending();
        self.stays_away(&first);
        irq.acknowledge();
        self.arrives(&first, 1);
        irq.acknowledge();
        irq.acknowledge();
        self.stays_away(&first);

        let second = Notification::create(&self.shared.quota)?;
        self.line.set_pending();
        self.arrives(&first, 1);
        // Who had it is gone without an acknowledge; the next gets what comes next.
        irq.bind(second.clone(), 2)?;
        self.line.set_pending();
        self.arrives(&second, 2);
        expect_eq!(take(&first), 0, "bits of who it is bound to no longer");

        // The end, in the moment in which it comes.
        irq.acknowledge();
        self.line.set_pending();
        self.shared.table.close(handle)?;
        take(&second);
        expect_eq!(
            irq.bind(second.clone(), 2),
            Err(Error::Gone),
            "binding what was released"
        );
        irq.acknowledge();
        assert!(!self.line.is_enabled(), "a released line is open");

        // The next owner gets nothing of that.
        let (handle, next) = self.create(Trigger::Edge)?;
        next.bind(first.clone(), 4)?;
        self.stays_away(&first);
        self.line.set_pending();
        self.arrives(&first, 4);
        self.shared.table.close(handle)
    }

    /// Waits for the interrupt, which comes as `bits`, once.
    #[track_caller]
    fn arrives(&self, notification: &Notification, bits: u64) {
        let patience = clock::now() + clock::ticks(PATIENCE);
        loop {
            let found = take(notification);
            if found != 0 {
                expect_eq!(found, bits, "bits of an interrupt");
                break;
            }
            assert!(clock::now() < patience, "an interrupt did not come");
            thread::relax();
        }
        self.shared.delivered.fetch_add(1, Relaxed);
    }

    #[track_caller]
    fn stays_away(&self, notification: &Notification) {
        thread::sleep(QUIET);
        let found = take(notification);
        assert!(found == 0, "an interrupt came before it was acknowledged");
    }
}

fn take(notification: &Notification) -> u64 {
    let _irqs = IrqGuard::new();
    notification.take()
}
