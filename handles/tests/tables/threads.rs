//! Several CPUs at once: nobody finds what is gone, frees what others read, or waits for ever.

use crate::common::{Purse, Table, Thing};
use abi::handle::{Handle, Rights};
use cpu::epoch;
use cpu::guard::PreemptGuard;
use cpu::hosted;
use cpu::percpu::{self, PerCpu};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

const CPUS: usize = 4;
const TABLES: usize = 3;
const STEPS: u64 = 20_000;

/// A host thread as a CPU.
fn on_cpus(work: impl Fn(u64) + Sync) {
    // The list of CPUs is one for the process: one test at a time.
    static ONE: Mutex<Vec<&'static PerCpu>> = Mutex::new(Vec::new());
    let mut cpus = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    while cpus.len() < CPUS {
        let cpu = PerCpu::new(cpus.len() as u32, 0, Default::default());
        let cpu: &'static PerCpu = Box::leak(Box::new(cpu));
        percpu::publish(cpu);
        cpus.push(cpu);
    }
    std::thread::scope(|scope| {
        for (at, cpu) in cpus.iter().enumerate() {
            let work = &work;
            scope.spawn(move || {
                hosted::become_cpu(cpu);
                epoch::begin_watching::<cpu::cell::NoSteps>(cpu);
                work(at as u64);
                epoch::end_watching::<cpu::cell::NoSteps>(cpu);
            });
        }
    });
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1);
        (self.0 >> 33) as usize % end
    }
}

#[test]
fn any_number_of_cpus_may_change_the_same_tables() {
    let all = u64::MAX / 2;
    let purse = Purse::new(all);
    let tables: Vec<Table> = (0..TABLES)
        .map(|_| Table::new(purse.clone()).unwrap())
        .collect();
    // Roots that stay, so that there is always something to derive from.
    let things: Vec<Thing> = (0..4).map(Thing::new).collect();
    let roots: Vec<(usize, Handle)> = things
        .iter()
        .enumerate()
        .map(|(at, thing)| {
            let table = at % TABLES;
            let rights = Rights::ALL.without(Rights::TRANSFER);
            let handle = tables[table].insert(thing.clone(), rights, 0, None);
            (table, handle.unwrap())
        })
        .collect();
    // Handles that somebody made; whoever takes one from here may find it gone.
    let known: Vec<Mutex<(usize, Handle)>> = (0..64).map(|_| Mutex::new(roots[0])).collect();
    let stop = AtomicBool::new(false);
    let found = AtomicU64::new(0);
    let left = AtomicU64::new(CPUS as u64 - 1);
    on_cpus(|cpu| {
        let pass = || epoch::pass(&PreemptGuard::new());
        if cpu == 0 {
            // The reclaimer.
            while !stop.load(Relaxed) {
                handles::retired::collect(std::thread::yield_now);
                pass();
                std::thread::yield_now();
            }
            return;
        }
        let mut random = Random(cpu);
        for _ in 0..STEPS {
            let (table, handle) = *known[random.below(64)].lock().unwrap();
            let (root_table, root) = roots[random.below(roots.len())];
            match random.below(10) {
                0..3 => {
                    let rights = Rights::ALL.without(Rights::TRANSFER);
                    let root_rights = tables[root_table].duplicate(root, rights, 0).unwrap();
                    *known[random.below(64)].lock().unwrap() = (root_table, root_rights);
                }
                3..6 => {
                    if let Ok(new) = tables[table].duplicate(handle, Rights::DUPLICATE, 0) {
                        *known[random.below(64)].lock().unwrap() = (table, new);
                    }
                }
                6 => {
                    let new = tables[root_table].insert(Thing::new(9), Rights::ALL, 0, Some(root));
                    let to = random.below(TABLES);
                    let moved = tables[root_table].move_to(new.unwrap(), &tables[to]);
                    if let Ok(moved) = moved {
                        *known[random.below(64)].lock().unwrap() = (to, moved);
                    }
                }
                7 if !roots.contains(&(table, handle)) => {
                    let _ = tables[table].close(handle);
                }
                8 if random.below(16) == 0 => {
                    tables[root_table].revoke(root).unwrap();
                }
                _ => {
                    let pinned = PreemptGuard::new();
                    if let Some(entry) = tables[table].get(handle, &pinned) {
                        // Others remove it meanwhile.
                        for _ in 0..random.below(4) {
                            std::thread::yield_now();
                        }
                        assert!(entry.object().0.is_alive(), "read after free");
                        found.fetch_add(1, Relaxed);
                    }
                }
            }
            pass();
        }
        if left.fetch_sub(1, Relaxed) == 1 {
            stop.store(true, Relaxed);
        }
    });
    assert!(
        found.load(Relaxed) > 1000,
        "hardly a look-up found anything"
    );
    for (table, root) in &roots {
        tables[*table].revoke(*root).unwrap();
    }
    assert_eq!(
        tables
            .iter()
            .map(|table| table.count() as usize)
            .sum::<usize>(),
        roots.len()
    );
    drop(tables);
    while purse.left() != all {
        handles::retired::collect(std::thread::yield_now);
    }
    for thing in things {
        assert_eq!(Arc::strong_count(&thing.0), 1);
        assert_eq!(thing.handles(), 0);
    }
}

#[test]
fn a_revocation_ends_though_others_derive_all_the_time() {
    let purse = Purse::new(u64::MAX / 2);
    let table = Table::new(purse).unwrap();
    let root = table.insert(Thing::new(0), Rights::ALL, 0, None).unwrap();
    let last = Mutex::new(table.duplicate(root, Rights::ALL, 0).unwrap());
    let stop = AtomicBool::new(false);
    on_cpus(|cpu| {
        if cpu == 0 {
            for _ in 0..50 {
                while table.count() < 200
                    && table
                        .get(*last.lock().unwrap(), &PreemptGuard::new())
                        .is_some()
                {
                    std::thread::yield_now();
                }
                table.revoke(root).unwrap();
                *last.lock().unwrap() = table.duplicate(root, Rights::ALL, 0).unwrap();
            }
            stop.store(true, Relaxed);
            return;
        }
        while !stop.load(Relaxed) {
            let of = *last.lock().unwrap();
            if let Ok(new) = table.duplicate(of, Rights::ALL, 0) {
                *last.lock().unwrap() = new;
            }
            epoch::pass(&PreemptGuard::new());
        }
    });
    assert!(table.revoke(root).is_ok());
    assert_eq!(table.count(), 1);
}
