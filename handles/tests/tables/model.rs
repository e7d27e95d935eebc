//! Any sequence of calls gives what a list of (table, parent, rights, badge) gives.

use crate::common::{Purse, Table, Thing};
use abi::error::Error;
use abi::handle::{Handle, Rights};
use cpu::guard::PreemptGuard;
use proptest::prelude::*;
use proptest::sample::Index;

const TABLES: usize = 3;

/// A handle, as the model has it.
#[derive(Clone)]
struct Known {
    table: usize,
    handle: Handle,
    object: u64,
    rights: Rights,
    badge: u64,
    parent: Option<usize>,
}

#[derive(Default)]
struct Model {
    /// By number; those that were removed stay as `None`.
    nodes: Vec<Option<Known>>,
    /// Where no handle is any more.
    dead: Vec<(usize, Handle)>,
}

impl Model {
    fn alive(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|at| self.nodes[*at].is_some())
            .collect()
    }

    fn add(&mut self, known: Known) {
        let is_new = !self
            .nodes
            .iter()
            .flatten()
            .map(|node| (node.table, node.handle))
            .chain(self.dead.iter().copied())
            .any(|used| used == (known.table, known.handle));
        assert!(is_new, "{:?} is given out again", known.handle);
        self.nodes.push(Some(known));
    }

    fn remove(&mut self, at: usize) {
        let gone = self.nodes[at].take().expect("it is there");
        self.dead.push((gone.table, gone.handle));
        for node in self.nodes.iter_mut().flatten() {
            if node.parent == Some(at) {
                node.parent = gone.parent;
            }
        }
    }

    fn below(&self, root: usize) -> Vec<usize> {
        let is_below = |at: &usize| {
            let mut parent = self.nodes[*at].as_ref().and_then(|node| node.parent);
            while let Some(at) = parent {
                if at == root {
                    return true;
                }
                parent = self.nodes[at].as_ref().and_then(|node| node.parent);
            }
            false
        };
        self.alive().into_iter().filter(is_below).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert { table: usize, parent: Option<Index> },
    Duplicate { of: Index, rights: u32, badge: u64 },
    Close(Index),
    Revoke(Index),
    Move { what: Index, to: usize },
    Clear(usize),
    Stale(Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let table = 0..TABLES;
    let index = any::<Index>;
    let step = prop_oneof![
        4 => (table.clone(), prop::option::of(index()))
            .prop_map(|(table, parent)| Step::Insert { table, parent }),
        // Mostly with all of those rights, so that trees grow.
        8 => (index(), prop_oneof![3 => Just(u32::MAX), 1 => any::<u32>()], 0_u64..3)
            .prop_map(|(of, rights, badge)| Step::Duplicate { of, rights, badge }),
        3 => index().prop_map(Step::Close),
        1 => index().prop_map(Step::Revoke),
        4 => (index(), table.clone()).prop_map(|(what, to)| Step::Move { what, to }),
        1 => index().prop_map(Step::Stale),
    ];
    let end = table.prop_map(Step::Clear);
    (
        prop::collection::vec(step, 1..80),
        prop::collection::vec(end, 0..2),
    )
        .prop_map(|(mut steps, end)| {
            steps.extend(end);
            steps
        })
}

struct World {
    tables: Vec<Table>,
    things: Vec<Thing>,
    model: Model,
    cleared: Option<usize>,
}

impl World {
    fn choose(&self, index: &Index) -> Option<(usize, Known)> {
        let alive = self.model.alive();
        if alive.is_empty() {
            return None;
        }
        let at = alive[index.index(alive.len())];
        Some((at, self.model.nodes[at].clone().expect("it is alive")))
    }

    /// What `result` is to be if the table says no more than that it is full, or gone.
    fn note(&mut self, result: Result<Handle, Error>, known: Known) {
        match result {
            Ok(handle) => self.model.add(Known { handle, ..known }),
            Err(Error::NoMemory) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Insert { table, parent } => {
                let parent = parent
                    .as_ref()
                    .and_then(|index| self.choose(index))
                    .filter(|(_, known)| known.table == *table);
                let object = self.things.len() as u64;
                let thing = Thing::new(object);
                let result = self.tables[*table].insert(
                    thing.clone(),
                    Rights::ALL,
                    0,
                    parent.as_ref().map(|(_, known)| known.handle),
                );
                self.things.push(thing);
                let known = Known {
                    table: *table,
                    handle: Handle::NONE,
                    object,
                    rights: Rights::ALL,
                    badge: 0,
                    parent: parent.map(|(at, _)| at),
                };
                self.note(result, known);
            }
            Step::Duplicate { of, rights, badge } => {
                let Some((at, known)) = self.choose(of) else {
                    return;
                };
                let rights = match rights {
                    &u32::MAX => known.rights,
                    rights => Rights(rights & Rights::ALL.0),
                };
                let table = &self.tables[known.table];
                let result = table.duplicate(known.handle, rights, *badge);
                let permitted = known.rights.contains(rights.with(Rights::DUPLICATE));
                if !permitted {
                    assert!(matches!(result, Err(Error::NoRight | Error::NoMemory)));
                    return;
                }
                if known.badge != 0 && *badge != 0 {
                    assert!(matches!(result, Err(Error::BadArgument | Error::NoMemory)));
                    return;
                }
                let badge = known.badge + badge;
                self.note(
                    result,
                    Known {
                        rights,
                        badge,
                        parent: Some(at),
                        ..known
                    },
                );
            }
            Step::Close(index) => {
                let Some((at, known)) = self.choose(index) else {
                    return;
                };
                assert_eq!(self.tables[known.table].close(known.handle), Ok(()));
                self.model.remove(at);
            }
            Step::Revoke(index) => {
                let Some((at, known)) = self.choose(index) else {
                    return;
                };
                let result = self.tables[known.table].revoke(known.handle);
                if !known.rights.contains(Rights::REVOKE) {
                    assert_eq!(result, Err(Error::NoRight));
                    return;
                }
                let below = self.model.below(at);
                assert_eq!(result, Ok(below.len() as u64));
                for at in below {
                    self.model.remove(at);
                }
            }
            Step::Move { what, to } => {
                let Some((at, known)) = self.choose(what) else {
                    return;
                };
                let (from, to_table) = (&self.tables[known.table], &self.tables[*to]);
                match from.move_to(known.handle, to_table) {
                    Ok(handle) => {
                        assert!(known.rights.contains(Rights::TRANSFER));
                        let node = self.model.nodes[at].as_mut().expect("it is alive");
                        (node.table, node.handle) = (*to, handle);
                        self.model.dead.push((known.table, known.handle));
                    }
                    Err(Error::NoRight) => assert!(!known.rights.contains(Rights::TRANSFER)),
                    Err(error) => assert_eq!(error, Error::NoMemory),
                }
            }
            Step::Clear(table) => {
                self.tables[*table].clear();
                self.cleared = Some(*table);
                for at in self.model.alive() {
                    if self.model.nodes[at].as_ref().map(|node| node.table) == Some(*table) {
                        self.model.remove(at);
                    }
                }
                let table = &self.tables[*table];
                let late = table.insert(Thing::new(0), Rights::ALL, 0, None);
                assert!(matches!(late, Err(Error::Gone | Error::NoMemory)));
            }
            Step::Stale(index) => {
                if self.model.dead.is_empty() {
                    return;
                }
                let (table, handle) = self.model.dead[index.index(self.model.dead.len())];
                let table = &self.tables[table];
                assert_eq!(table.close(handle), Err(Error::BadHandle));
                assert_eq!(table.revoke(handle), Err(Error::BadHandle));
            }
        }
    }

    /// Every handle leads where the model says, and no other does.
    fn compare(&self) {
        let pinned = PreemptGuard::new();
        for known in self.model.nodes.iter().flatten() {
            let entry = self.tables[known.table].get(known.handle, &pinned);
            let entry = entry.unwrap_or_else(|| panic!("{:?} is lost", known.handle));
            assert_eq!(entry.object().0.number, known.object);
            assert_eq!((entry.rights(), entry.badge()), (known.rights, known.badge));
            assert_eq!(entry.handle(), known.handle);
        }
        for (table, handle) in &self.model.dead {
            assert!(self.tables[*table].get(*handle, &pinned).is_none());
        }
        assert!(self.tables[0].get(Handle::NONE, &pinned).is_none());
        assert!(self.tables[0].get(Handle(u32::MAX), &pinned).is_none());
        let of = |table| {
            let all = self.model.nodes.iter().flatten();
            all.filter(|node| node.table == table).count()
        };
        for (at, table) in self.tables.iter().enumerate() {
            assert_eq!(table.count() as usize, of(at));
        }
        for thing in &self.things {
            let all = self.model.nodes.iter().flatten();
            let handles = all.filter(|node| node.object == thing.0.number).count();
            assert_eq!(thing.handles(), handles as i64);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn tables_do_what_the_model_does(steps in steps(), purse in 20_000_u64..60_000) {
        // Each table has its own purse, which may well be empty before the steps are.
        let purses: Vec<Purse> = (0..TABLES).map(|_| Purse::new(purse)).collect();
        let mut world = World {
            tables: purses.iter().map(|purse| Table::new(purse.clone()).unwrap()).collect(),
            things: Vec::new(),
            model: Model::default(),
            cleared: None,
        };
        for step in &steps {
            world.step(step);
            world.compare();
        }
        // All that was charged comes back when all is gone, and no handle is left.
        drop(world.tables);
        for thing in &world.things {
            assert_eq!(thing.handles(), 0);
        }
        while purses.iter().any(|left| left.left() != purse) {
            handles::retired::collect(std::thread::yield_now);
        }
        for thing in &world.things {
            assert_eq!(std::sync::Arc::strong_count(&thing.0), 1);
        }
    }
}

#[test]
fn a_table_holds_as_many_as_there_are_numbers() {
    let purse = Purse::new(u64::MAX);
    let table = Table::new(purse).unwrap();
    let thing = Thing::new(0);
    let first = table.insert(thing.clone(), Rights::ALL, 0, None).unwrap();
    for _ in 1..Handle::SLOTS {
        table.duplicate(first, Rights::ALL, 0).unwrap();
    }
    assert_eq!(table.count() as usize, Handle::SLOTS);
    assert_eq!(table.duplicate(first, Rights::ALL, 0), Err(Error::TooMany));
    assert_eq!(table.revoke(first), Ok(Handle::SLOTS as u64 - 1));
    assert_eq!(table.duplicate(first, Rights::ALL, 0).map(|_| ()), Ok(()));
}

#[test]
fn a_number_does_not_come_again_soon() {
    let table = Table::new(Purse::new(u64::MAX)).unwrap();
    let first = table.insert(Thing::new(0), Rights::ALL, 0, None).unwrap();
    table.close(first).unwrap();
    let mut same_slot = 0;
    for _ in 0..50_000 {
        let handle = table.insert(Thing::new(0), Rights::ALL, 0, None).unwrap();
        assert_ne!(handle, Handle::NONE);
        assert_ne!(handle, first);
        same_slot += u32::from(handle.slot() == first.slot());
        table.close(handle).unwrap();
    }
    handles::retired::collect(|| ());
    // Slots take turns, so that each of a slot's 32767 numbers lasts the longer.
    assert!((90..110).contains(&same_slot), "{same_slot} times");
}
