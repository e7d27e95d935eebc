//! The explorer: every execution of a program within a bound, or the shortest that goes wrong.

use super::state::{INJECTED, MODEL, Setup};
use super::tally::Tally;
use super::{check, verbs};
use crate::counters::Counter;
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

/// An execution that went wrong.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What was violated.
    pub what: String,
    /// How many things the explorer made happen: no violation needs fewer.
    pub injections: u32,
    /// The execution, a line for each step.
    pub story: Vec<String>,
}

impl Violation {
    /// What the explorer made happen, in order.
    pub fn injected(&self) -> impl Iterator<Item = &str> {
        self.story
            .iter()
            .filter_map(|line| line.split_once(INJECTED))
            .map(|(_, what)| what)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "violation with {} injections: {}",
            self.injections, self.what
        )?;
        writeln!(f, "step cpu thread masks              what")?;
        for line in &self.story {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// Runs `program` in every way that `setup` allows, with at most `depth` injections each.
///
/// The program begins as a thread in `Process` and must end so. It must do the same every time that
/// the same happens to it.
///
/// # Errors
/// A [`Violation`] with the fewest injections, if there is any within the bound.
pub fn explore(setup: &Setup, depth: u32, program: impl Fn()) -> Result<Tally, Box<Violation>> {
    match explore_all(setup, depth, &program) {
        Ok(tally) => Ok(tally),
        // The first one found is seldom the shortest: search again, from the shortest up.
        Err(first) => Err((0..first.injections)
            .find_map(|depth| explore_all(setup, depth, &program).err())
            .unwrap_or(first)),
    }
}

fn explore_all(setup: &Setup, depth: u32, program: &impl Fn()) -> Result<Tally, Box<Violation>> {
    MODEL.with(|model| model.assemble(setup, depth));
    loop {
        if run(program, Record::Nothing).is_err() {
            let what = run(program, Record::Story)
                .err()
                .unwrap_or_else(|| "it did not happen again".into());
            return Err(Box::new(MODEL.with(|model| Violation {
                what,
                injections: model.plan.borrow().spent(),
                story: model.take_story(),
            })));
        }
        if !MODEL.with(|model| model.plan.borrow_mut().advance()) {
            break;
        }
    }
    Ok(MODEL.with(|model| {
        let mut tally = model.tally.take();
        tally.nmis_saw_resched = (0..super::state::CPUS)
            .map(|cpu| model.percpu(cpu).counters.of(Counter::NmiSawResched))
            .sum();
        tally
    }))
}

/// Whether an execution writes its story.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Record {
    Nothing,
    Story,
}

/// One execution.
fn run(program: &impl Fn(), record: Record) -> Result<(), String> {
    MODEL.with(|model| model.reset(record == Record::Story));
    let result = quietly(|| {
        program();
        verbs::step(verbs::Point::Do("the end"));
        MODEL.with(check::end);
    });
    MODEL.with(|model| {
        model.count(|tally| {
            tally.executions += 1;
            tally.steps += model.steps.get();
        });
    });
    result
}

std::thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static WHERE: Cell<Option<(String, u32)>> = const { Cell::new(None) };
}

/// Runs `work`; gives the message of its panic instead of printing it.
fn quietly(work: impl FnOnce()) -> Result<(), String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                WHERE.set(info.location().map(|at| (at.file().into(), at.line())));
            } else {
                default(info);
            }
        }));
    });
    QUIET.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    result.map_err(|payload| {
        let (file, line) = WHERE.take().unwrap_or_default();
        format!("{} ({file}:{line})", message(payload.as_ref()))
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(message) = payload.downcast_ref::<String>() {
        message
    } else if let Some(message) = payload.downcast_ref::<&str>() {
        message
    } else {
        "a panic without a message"
    }
}

#[cfg(test)]
mod tests {
    use super::super::{El0Vectors, Saved, Source, Sources, Vectors, View, perhaps, raise, touch};
    use super::*;
    use crate::machine::Group;
    use crate::mask::Mechanism;

    std::thread_local! {
        static DEPTH: Cell<u32> = const { Cell::new(0) };
    }

    /// Under `daif` a vector that does nothing is right: `Critical` is how the hardware leaves it.
    fn nothing(_: &mut Saved) {}

    /// A vector that breaks when it nests twice in itself. A fault may nest: nothing masks it.
    fn breaks_when_three_deep(_: &mut Saved) {
        DEPTH.set(DEPTH.get() + 1);
        assert!(DEPTH.get() < 3, "three deep");
        touch();
        DEPTH.set(DEPTH.get() - 1);
    }

    fn setup(sync: fn(&mut Saved)) -> Setup {
        Setup {
            mechanism: Mechanism::Daif,
            ordinary: Group::One,
            view: View::Plain,
            sources: Sources::of(&[Source::Fault, Source::SError]),
            vectors: Vectors {
                sync,
                irq: nothing,
                fiq: nothing,
                serror: nothing,
                el0: El0Vectors::NONE,
            },
        }
    }

    fn touches() {
        DEPTH.set(0);
        for _ in 0..3 {
            touch();
        }
    }

    #[test]
    fn all_executions_are_counted_once() {
        // Three touches, two kinds at each, and the end of the program, where one kind comes.
        let at = |depth| explore(&setup(nothing), depth, touches).map(|tally| tally.executions);
        assert_eq!(at(0).ok(), Some(1));
        assert_eq!(at(1).ok(), Some(1 + 3 * 2 + 1));
        // Two at one touch or at two different ones; one at a touch and one at the end; two there.
        let pairs = (3 + 3) * 2 * 2 + 3 * 2 + 1;
        assert_eq!(at(2).ok(), Some(1 + 3 * 2 + 1 + pairs));
    }

    #[test]
    fn the_shortest_violation_is_told() {
        let setup = setup(breaks_when_three_deep);
        assert!(explore(&setup, 2, touches).is_ok());
        for depth in [3, 4] {
            let violation = explore(&setup, depth, touches).expect_err("three faults, nested");
            assert_eq!(violation.injections, 3);
            assert!(violation.injected().all(|what| what.starts_with("fault")));
            assert!(violation.what.starts_with("three deep"), "{violation}");
            assert!(violation.story.len() < 16, "{violation}");
        }
        let program = || {
            DEPTH.set(1);
            raise(Source::Fault);
        };
        let violation = explore(&setup, 4, program).expect_err("one fault, nested");
        assert_eq!(violation.injections, 1);
    }

    #[test]
    fn what_is_not_the_ordinary_course_counts() {
        let program = || assert!(!(perhaps("one") && perhaps("two")), "both");
        assert!(explore(&setup(nothing), 1, program).is_ok());
        let violation = explore(&setup(nothing), 2, program).expect_err("both");
        assert!(violation.injected().eq(["one", "two"]));
    }
}
