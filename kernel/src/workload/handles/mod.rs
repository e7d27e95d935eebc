//! Handles, from all CPUs at once, while NMIs look them up.
//!
//! Threads make, derive, give away, close and revoke handles of a few tables, at random and often the
//! same ones. Every look-up, a thread's or an NMI handler's, either finds nothing or an entry that is whole and
//! stays so as long as the proof lives. What a thread has closed it never finds again. At the end all
//! handles are gone, every object has learned so, and no byte is missing.
//!
//! Then one table is filled with very many handles, and one revocation ends them (`full`).

mod full;

use super::rain::Rain;
use super::random::Random;
use super::support::{LOW, ensure, join_all, nothing_lost, unleaked_bytes};
use super::{Failure, Task};
use crate::irq::Interrupt;
use crate::object::handle::{Entry, HandleTable};
use crate::object::quota::Quota;
use crate::object::{Notification, Object, Ref, reclaim};
use crate::smp;
use crate::thread::{self, Spec};
use abi::handle::{Handle, Rights};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use boot::args::Params;
use core::sync::atomic::{
    AtomicPtr, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use core::time::Duration;
use cpu::guard::{IrqGuard, Pinned, PreemptGuard};
use sched::CpuSet;

const TABLES: usize = 3;
const ROOTS: usize = 4;
/// Handles that everybody knows, and anybody may have ended.
const KNOWN: usize = 64;
/// Handles that a thread has ended itself, and looks for.
const DEAD: usize = 1024;
/// All that a root permits, but that it is given away.
const ROOT: Rights = Rights::ALL.without(Rights::TRANSFER);

/// What the threads and the handlers share.
struct Shared {
    seed: u64,
    steps: u64,
    tables: [HandleTable; TABLES],
    objects: [Ref<Notification>; ROOTS],
    roots: [(usize, Handle); ROOTS],
    known: [AtomicU64; KNOWN],
    next_thread: AtomicUsize,
    nmi_random: Random,
    found: AtomicU64,
    found_by_handlers: AtomicU64,
    made: AtomicU64,
    moved: AtomicU64,
    revoked: AtomicU64,
    stale: AtomicU64,
}

/// Where handlers find it.
static SHARED: AtomicPtr<Shared> = AtomicPtr::new(core::ptr::null_mut());

/// Runs the workload. Parameters: `threads`, `steps` of each, `handles` in the full table, `nmi` the period of
/// the rain.
///
/// # Errors
/// A sentence about what did not happen, or should not have.
pub(super) fn run(task: &Task, mut params: Params<'_>) -> Result<String, Failure> {
    let threads = params.count("threads", 2 * smp::up().0 as u64)?;
    let steps = params.count("steps", 4000)?;
    let many = params.count("handles", 100_000)?;
    let nmi = params.duration("nmi", Duration::from_micros(50))?;
    params.finish()?;
    ensure!(threads > 0 && steps > 0, "nothing would be tested");
    ensure!(!nmi.is_zero(), "nmi=0: it would never rain");
    reclaim::settle();
    let before = unleaked_bytes();
    let drops;
    let told;
    {
        let quota = quota()?;
        let shared = share(&quota, task.seed, steps)?;
        SHARED.store(core::ptr::from_ref(&shared).cast_mut(), Release);
        let rain = Rain::begin(nmi, look_in_handler)?;
        let result = at_random(&shared, threads);
        drops = rain.drops();
        drop(rain);
        // The rain is over on every CPU.
        SHARED.store(core::ptr::null_mut(), Release);
        result?;
        told = judge(shared, &quota)?;
    }
    full::run(many)?;
    reclaim::settle();
    let after = unleaked_bytes();
    ensure!(
        after == before,
        "{} bytes were not given back",
        before as i64 - after as i64
    );
    nothing_lost()?;
    Ok(format!(
        "handles on {}: {} look-ups, {} in handlers of {drops}, {} moves, {} revoked; then {many} at once",
        smp::up(),
        told.found,
        told.found_by_handlers,
        told.moved,
        told.revoked
    ))
}

fn quota() -> Result<Ref<Quota>, Failure> {
    Ok(Ref::try_new(Quota::new(64 << 20))?)
}

fn share(quota: &Ref<Quota>, seed: u64, steps: u64) -> Result<Shared, Failure> {
    let table = || HandleTable::new(quota.clone());
    let tables = [table()?, table()?, table()?];
    let object = || Notification::create(quota);
    let objects = [object()?, object()?, object()?, object()?];
    let mut roots = [(0, Handle::NONE); ROOTS];
    for (at, root) in roots.iter_mut().enumerate() {
        let object = Object::Notification(objects[at].clone());
        let table = at % TABLES;
        *root = (table, tables[table].insert(object, ROOT, badge(at), None)?);
    }
    Ok(Shared {
        seed,
        steps,
        tables,
        objects,
        roots,
        known: core::array::from_fn(|at| AtomicU64::new(pack(roots[at % ROOTS]))),
        next_thread: AtomicUsize::new(0),
        nmi_random: Random::new(seed, u64::MAX),
        found: AtomicU64::new(0),
        found_by_handlers: AtomicU64::new(0),
        made: AtomicU64::new(0),
        moved: AtomicU64::new(0),
        revoked: AtomicU64::new(0),
        stale: AtomicU64::new(0),
    })
}

/// The badge of all handles of object `at`.
const fn badge(at: usize) -> u64 {
    at as u64 + 1
}

fn pack((table, handle): (usize, Handle)) -> u64 {
    (table as u64) << 32 | u64::from(handle.0)
}

fn unpack(known: u64) -> (usize, Handle) {
    ((known >> 32) as usize % TABLES, Handle(known as u32))
}

fn at_random(shared: &Shared, threads: u64) -> Result<(), Failure> {
    let mut running = Vec::new();
    for _ in 0..threads {
        let spec = Spec {
            name: "handles",
            level: LOW,
            allowed: CpuSet::ALL,
            entry: work,
            argument: core::ptr::from_ref(shared) as usize,
        };
        match thread::spawn(&spec) {
            Ok(thread) => running.push(thread),
            Err(error) => {
                // They use what is `shared`.
                join_all(running);
                return Err(error.into());
            }
        }
    }
    join_all(running);
    Ok(())
}

fn work(shared: usize) {
    // SAFETY: `at_random` passed its address, and joins this thread.
    let shared = unsafe { &*(shared as *const Shared) };
    let me = shared.next_thread.fetch_add(1, Relaxed) as u64;
    let mut worker = Worker {
        shared,
        random: Random::new(shared.seed, me),
        dead: Vec::with_capacity(DEAD),
    };
    for _ in 0..shared.steps {
        worker.step();
    }
}

struct Worker<'a> {
    shared: &'a Shared,
    random: Random,
    dead: Vec<(usize, Handle)>,
}

impl Worker<'_> {
    fn below(&self, end: usize) -> usize {
        self.random.below(end as u64) as usize
    }

    fn publish(&self, known: (usize, Handle)) {
        self.shared.known[self.below(KNOWN)].store(pack(known), Relaxed);
    }

    fn step(&mut self) {
        let shared = self.shared;
        let (table, handle) = unpack(shared.known[self.below(KNOWN)].load(Relaxed));
        let (home, root) = shared.roots[self.below(ROOTS)];
        match self.below(16) {
            0..3 => {
                let new = self.expect(shared.tables[home].duplicate(root, ROOT, 0));
                self.publish((home, new));
            }
            3..7 => {
                let rights = Rights(self.random.next() as u32).and(ROOT);
                if let Ok(new) = shared.tables[table].duplicate(handle, rights, 0) {
                    shared.made.fetch_add(1, Relaxed);
                    self.publish((table, new));
                }
            }
            7..9 => self.give_away(home, root),
            9 => {
                let is_root = shared.roots.contains(&(table, handle));
                if !is_root && shared.tables[table].close(handle).is_ok() {
                    self.ended((table, handle));
                }
            }
            10 => {
                let new = self.expect(shared.tables[home].duplicate(root, ROOT, 0));
                // Somebody may have revoked it; it has ended in any case.
                let _ = shared.tables[home].close(new);
                self.ended((home, new));
            }
            11 if self.below(8) == 0 => {
                let revoked = self.expect(shared.tables[home].revoke(root));
                shared.revoked.fetch_add(revoked, Relaxed);
            }
            12..14 => self.look_for_dead(),
            _ => {
                let guard = PreemptGuard::new();
                if look(shared, (table, handle), &guard, self.below(40)) {
                    shared.found.fetch_add(1, Relaxed);
                }
            }
        }
    }

    /// A root's derivation and revocation cannot fail, whatever others do.
    fn expect<T>(&self, result: Result<T, abi::error::Error>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => panic!("a handle that nobody else has: {error}"),
        }
    }

    /// A handle moves through all tables, and whoever revokes it meets it anywhere.
    fn give_away(&mut self, home: usize, root: Handle) {
        let shared = self.shared;
        let object = {
            let guard = PreemptGuard::new();
            let entry = shared.tables[home].get(root, &guard);
            entry.map(|entry| (entry.object().clone(), entry.badge()))
        };
        let Some((object, badge)) = object else {
            panic!("a root is lost");
        };
        let new = shared.tables[home].insert(object, Rights::ALL, badge, Some(root));
        let mut at = (home, self.expect(new));
        for _ in 0..3 {
            let to = self.below(TABLES);
            // Somebody may have revoked it.
            let Ok(new) = shared.tables[at.0].move_to(at.1, &shared.tables[to]) else {
                break;
            };
            self.ended(at);
            shared.moved.fetch_add(1, Relaxed);
            at = (to, new);
        }
        self.publish(at);
    }

    fn ended(&mut self, handle: (usize, Handle)) {
        if self.dead.len() < DEAD {
            self.dead.push(handle);
        } else {
            let at = self.below(DEAD);
            self.dead[at] = handle;
        }
    }

    fn look_for_dead(&self) {
        if self.dead.is_empty() {
            return;
        }
        let (table, handle) = self.dead[self.below(self.dead.len())];
        let guard = PreemptGuard::new();
        if self.shared.tables[table].get(handle, &guard).is_some() {
            panic!("handle {:#x}, which has ended, is honoured", handle.0);
        }
        self.shared.stale.fetch_add(1, Relaxed);
    }
}

/// Looks a handle up, twice at what it finds; whether it found anything. Any context.
fn look(
    shared: &Shared,
    (table, handle): (usize, Handle),
    proof: &impl Pinned,
    linger: usize,
) -> bool {
    let Some(entry) = shared.tables[table].get(handle, proof) else {
        return false;
    };
    check(shared, entry);
    for _ in 0..linger {
        core::hint::spin_loop();
    }
    check(shared, entry);
    true
}

fn check(shared: &Shared, entry: &Entry) {
    let at = entry.badge().wrapping_sub(1) as usize;
    let is_right = match (shared.objects.get(at), entry.object()) {
        (Some(expected), Object::Notification(found)) => expected.is(found),
        _ => false,
    };
    if !is_right {
        panic!(
            "an entry is not what it was made as: badge {}",
            entry.badge()
        );
    }
}

fn look_in_handler(interrupt: &Interrupt<'_>) {
    // SAFETY: `run` ends the rain before it takes it back.
    let Some(shared) = (unsafe { SHARED.load(Acquire).as_ref() }) else {
        return;
    };
    let known = &shared.known[shared.nmi_random.below(KNOWN as u64) as usize];
    if look(shared, unpack(known.load(Relaxed)), interrupt, 0) {
        shared.found_by_handlers.fetch_add(1, Relaxed);
    }
}

/// How often what happened. (No text: it would be on the heap while leaks are looked for.)
#[derive(Clone, Copy, Debug)]
struct Told {
    found: u64,
    found_by_handlers: u64,
    made: u64,
    moved: u64,
    revoked: u64,
    stale: u64,
}

fn judge(shared: Shared, quota: &Ref<Quota>) -> Result<Told, Failure> {
    for (table, root) in shared.roots {
        shared.tables[table].revoke(root)?;
    }
    let left: u32 = shared.tables.iter().map(HandleTable::count).sum();
    ensure!(left as usize == ROOTS, "{left} handles are left of {ROOTS}");
    let is_gone = |object: &Ref<Notification>| {
        let _irqs = IrqGuard::new();
        object.lock().is_gone()
    };
    ensure!(
        !shared.objects.iter().any(is_gone),
        "an object was told that nobody names it"
    );
    shared.tables.iter().for_each(HandleTable::clear);
    ensure!(
        shared.objects.iter().all(is_gone),
        "an object was not told that nobody names it"
    );
    let count = |counter: &AtomicU64| counter.load(Relaxed);
    let told = Told {
        found: count(&shared.found),
        found_by_handlers: count(&shared.found_by_handlers),
        made: count(&shared.made),
        moved: count(&shared.moved),
        revoked: count(&shared.revoked),
        stale: count(&shared.stale),
    };
    let all = [told.found, told.found_by_handlers, told.made, told.moved];
    ensure!(
        all.iter()
            .chain([&told.revoked, &told.stale])
            .all(|count| *count > 0),
        "vacuous: {told:?}"
    );
    drop(shared);
    reclaim::settle();
    ensure!(quota.used() == 0, "{} bytes stay charged", quota.used());
    Ok(told)
}
