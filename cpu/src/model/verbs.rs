//! The machine's verbs, and the step before each.

use super::gic::{Gic, Line, SPURIOUS};
use super::source::Source;
use super::state::{MODEL, Model};
use super::{check, exception};
use crate::cell::Steps;
use crate::machine::{Group, Machine, Stack};
use crate::mask::{MaskState, Mechanism};
use crate::percpu::PerCpu;
use crate::thread::Core;
use std::fmt;
use std::panic::Location;

/// The modelled CPU with ordinary interrupts masked by PMR.
#[derive(Debug)]
pub enum ModelPmr {}
/// The modelled CPU with interrupts masked by DAIF.
#[derive(Debug)]
pub enum ModelDaif {}

/// What is about to happen at a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Point {
    /// An access to a shared cell.
    Cell,
    /// A verb of the machine, or something that kernel code does.
    Do(&'static str),
    /// A verb with a number.
    DoTo(&'static str, u32),
    /// An exception that comes for certain.
    Raise(Source),
    /// An access that may fault.
    Touch,
    /// An access that may fault and has a fix-up.
    FixedTouch,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cell => f.write_str("shared cell"),
            Self::Do(what) => f.write_str(what),
            Self::DoTo(what, number) => write!(f, "{what} {number:#x}"),
            Self::Raise(source) => write!(f, "the program has a {source} come"),
            Self::Touch => f.write_str("touch memory"),
            Self::FixedTouch => f.write_str("touch memory, with a fix-up"),
        }
    }
}

/// So many steps no program makes, whatever nests in it.
const ENDLESS: u64 = 5_000;

/// A place where something may interrupt.
#[track_caller]
pub(super) fn step(point: Point) {
    let at = Location::caller();
    MODEL.with(|model| {
        model.steps.set(model.steps.get() + 1);
        assert!(model.steps.get() < ENDLESS, "the execution does not end");
        check::nest(model);
        model.tell(|| format!("{point}   {}:{}", at.file(), at.line()));
        exception::interrupts(model, point, at);
    });
}

/// DAIF changes, if that is right.
pub(super) fn set_daif(model: &Model, daif: u32) {
    check::daif_write(model, daif);
    model.change(|hardware| hardware.daif = daif);
    check::masks(model);
}

/// PMR changes, if that is right.
pub(super) fn set_pmr(model: &Model, pmr: u8) {
    check::pmr_write(model, pmr);
    model.change(|hardware| hardware.pmr = pmr);
    check::masks(model);
}

#[track_caller]
fn write_daif(verb: &'static str, bits: u32, change: impl FnOnce(u32) -> u32) {
    step(Point::DoTo(verb, bits));
    MODEL.with(|model| set_daif(model, change(model.hardware().daif)));
}

#[track_caller]
fn write_pmr(pmr: u8) {
    step(Point::DoTo("write PMR", u32::from(pmr)));
    MODEL.with(|model| set_pmr(model, pmr));
}

#[track_caller]
fn masks() -> MaskState {
    step(Point::Do("read masks"));
    MODEL.with(|model| model.hardware().masks())
}

#[track_caller]
fn syndrome() -> (u64, u64) {
    step(Point::Do("read ESR"));
    MODEL.with(|model| {
        check::syndrome(model);
        model.syndrome.get()
    })
}

#[track_caller]
fn acknowledge(group: Group) -> u32 {
    step(Point::Do(match group {
        Group::Zero => "acknowledge group 0",
        Group::One => "acknowledge group 1",
    }));
    MODEL.with(|model| {
        check::acknowledge(model, group);
        exception::before_acknowledge(model);
        let mut intid = 0;
        model.change(|hardware| intid = hardware.gic.acknowledge(group, hardware.pmr));
        model.change_innermost(|level| {
            level.answer = Some(intid);
            // Another may have taken the place of the one that was signalled.
            level.source = Line::from_intid(intid).map_or(level.source, Source::of_line);
        });
        if intid == SPURIOUS {
            model.count(|tally| tally.specials += 1);
        }
        model.tell(|| format!("the acknowledge answers {intid}"));
        if let Some(level) = model.innermost() {
            check::acknowledged(&level, intid);
        }
        intid
    })
}

#[track_caller]
fn running_priority() -> u8 {
    step(Point::Do("read RPR"));
    let gic = MODEL.with(|model| model.hardware().gic);
    assert!(
        gic.is_running(),
        "RPR is read not between an acknowledge and its drop"
    );
    gic.running_priority()
}

#[track_caller]
fn end_of_interrupt(
    verb: &'static str,
    intid: u32,
    end: impl FnOnce(&mut Gic) -> Result<(), &'static str>,
) {
    step(Point::DoTo(verb, intid));
    MODEL.with(|model| {
        model.change(|hardware| {
            end(&mut hardware.gic).unwrap_or_else(|wrong| panic!("{wrong}, INTID {intid}"));
        });
    });
}

#[track_caller]
fn call_on<R>(stack: Stack, work: impl FnOnce() -> R) -> R {
    step(Point::Do(match stack {
        Stack::Irq => "to the IRQ stack",
        Stack::Nmi => "to the NMI stack",
    }));
    let before = MODEL.with(|model| model.stacks.get());
    let inside = before.onto(stack);
    MODEL.with(|model| model.stacks.set(inside));
    let result = work();
    step(Point::Do("back to the stack before"));
    MODEL.with(|model| {
        assert!(
            model.stacks.get() == inside,
            "a handler came back on another stack"
        );
        model.stacks.set(before);
    });
    result
}

macro_rules! machine {
    ($name:ident, $mechanism:expr) => {
        impl Steps for $name {
            #[track_caller]
            fn step() {
                step(Point::Cell);
            }
        }

        impl Machine for $name {
            const MECHANISM: Mechanism = $mechanism;

            #[track_caller]
            fn masks() -> MaskState {
                masks()
            }

            #[track_caller]
            fn write_daif(bits: u32) {
                write_daif("write DAIF", bits, |_| bits);
            }

            #[track_caller]
            fn set_daif<const BITS: u32>() {
                write_daif("set DAIF", BITS, |daif| daif | BITS);
            }

            #[track_caller]
            fn clear_daif<const BITS: u32>() {
                write_daif("clear DAIF", BITS, |daif| daif & !BITS);
            }

            #[track_caller]
            fn write_pmr(pmr: u8) {
                write_pmr(pmr);
            }

            #[track_caller]
            fn syndrome() -> (u64, u64) {
                syndrome()
            }

            #[track_caller]
            fn acknowledge(group: Group) -> u32 {
                acknowledge(group)
            }

            #[track_caller]
            fn running_priority() -> u8 {
                running_priority()
            }

            #[track_caller]
            fn drop_priority(group: Group, intid: u32) {
                end_of_interrupt("drop priority of", intid, |gic| {
                    gic.drop_priority(group, intid)
                });
            }

            #[track_caller]
            fn deactivate(intid: u32) {
                end_of_interrupt("deactivate", intid, |gic| gic.deactivate(intid));
            }

            fn now() -> u64 {
                MODEL.with(|model| model.steps.get())
            }

            fn thread() -> &'static Core {
                MODEL.with(Model::thread)
            }

            fn cpu() -> &'static PerCpu {
                MODEL.with(Model::cpu)
            }

            #[track_caller]
            fn call_on<R>(stack: Stack, work: impl FnOnce() -> R) -> R {
                call_on(stack, work)
            }
        }
    };
}

machine!(ModelPmr, Mechanism::Pmr);
machine!(ModelDaif, Mechanism::Daif);
