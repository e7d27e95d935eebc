//! Programs: what the model does where EL0 runs, and how it gets there.
//!
//! EL0 executes nothing of the kernel's, so that all there is to model is what can come: everything,
//! at each step, and a system call where the program makes one. What must hold there is looked at at
//! each step (`check::at_el0`).
//!
//! A thread that waits gives up its Rust frames. Here they are the host's, so giving them up is an
//! unwinding, [`switch_away`], up to where the exception was taken; from there the thread is resumed.

use super::check;
use super::code;
use super::exception::Saved;
use super::source::Source;
use super::state::{MODEL, Model};
use super::verbs::{Point, step};
use crate::machine::Group;
use crate::mask::{Context, daif};
use crate::thread::Core;
use abi::path::Path;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The entry code under test where EL0 was interrupted: what the vectors call, in state `Entry`, to come
/// back in `Critical`.
#[derive(Clone, Copy, Debug)]
pub struct El0Vectors {
    /// A system call, tried first; `true` if it was done, with the CPU still in `Entry`.
    pub quick: fn(&mut Saved) -> bool,
    /// A system call.
    pub syscall: fn(&mut Saved),
    /// Synchronous exceptions that are none.
    pub fault: fn(&mut Saved),
    /// IRQ.
    pub irq: fn(&mut Saved),
    /// FIQ.
    pub fiq: fn(&mut Saved),
    /// SError.
    pub serror: fn(&mut Saved),
    /// No exception: where a parked thread goes on, in `NoIrq`.
    pub resume: fn(&mut Saved),
}

impl El0Vectors {
    /// For a machine that has no programs.
    pub const NONE: Self = {
        fn none(_: &mut Saved) {
            unreachable!("there is no EL0")
        }
        Self {
            quick: |_| unreachable!("there is no EL0"),
            syscall: none,
            fault: none,
            irq: none,
            fiq: none,
            serror: none,
            resume: none,
        }
    };
}

/// What a system call leaves in `x0`.
pub const RESULT: u64 = 0xca11;

/// The running thread becomes a program's: as it never ran, it is parked, and switched to. Ends, in
/// `NoIrq` again, as if the last thing that `program` does had ended it.
#[track_caller]
pub fn run_program(program: impl FnOnce()) {
    step(Point::Do("switch to a parked thread"));
    MODEL.with(|model| {
        check::legal_switch(model);
        model.in_program.set(true);
        model.thread().path.poke(Path::Syscall as u64);
        let given = Saved::of_el0(0);
        let mut saved = given.clone();
        resume(model, &mut saved);
        leave(model, &saved);
        check::at_el0(model);
        check::frame(&saved, &given.with_result(), given.elr, Source::SystemCall);
    });
    program();
    step(Point::Do("the program ends"));
    MODEL.with(|model| {
        model.in_program.set(false);
        model.at_el0.set(false);
        model
            .thread()
            .work
            .store(0, std::sync::atomic::Ordering::Relaxed);
        for cpu in 0..super::state::CPUS {
            model.percpu(cpu).watching.poke(1);
        }
        let masks = Context::NoIrq.state(model.mechanism());
        model.own.set(Some(Context::NoIrq));
        model.change(|hardware| {
            hardware.daif = masks.daif();
            hardware.pmr = masks.pmr();
        });
    });
}

/// The program makes system call `number`.
#[track_caller]
pub fn system_call(number: u64) {
    MODEL.with(|model| model.call.set(number));
    code::raise(Source::SystemCall);
}

/// As [`switch`](super::switch), by a thread that gives up its Rust frames: it goes on where a parked
/// thread does.
///
/// # Panics
/// If this is not the legal switch state, on either way.
#[track_caller]
pub fn switch_away(life: impl FnOnce()) -> ! {
    MODEL.with(|model| model.count(|tally| tally.parked += 1));
    code::switch(life);
    resume_unwind(Box::new(Parked))
}

/// What is thrown to give up Rust frames.
struct Parked;

/// How a vector came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In `Critical`.
    Usual,
    /// In `Entry`, as it was called.
    Quick,
}

/// Runs the vector for `source`, and takes the thread out again each time it was parked.
pub(super) fn vector(
    model: &Model,
    source: Source,
    group: Option<Group>,
    saved: &mut Saved,
) -> Way {
    let vectors = model.setup().vectors.el0;
    if source == Source::SystemCall && (vectors.quick)(saved) {
        return Way::Quick;
    }
    let vector = match (source, group) {
        (Source::SystemCall, _) => vectors.syscall,
        (_, Some(Group::One)) => vectors.irq,
        (_, Some(Group::Zero)) => vectors.fiq,
        (Source::SError, _) => vectors.serror,
        _ => vectors.fault,
    };
    if is_parked_in(|| vector(saved)) {
        resume(model, saved);
    }
    Way::Usual
}

/// Whether the thread gave up its Rust frames in `work`.
fn is_parked_in(work: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(()) => false,
        Err(thrown) if thrown.is::<Parked>() => true,
        Err(thrown) => resume_unwind(thrown),
    }
}

/// A parked thread was switched to.
fn resume(model: &Model, saved: &mut Saved) {
    let vectors = model.setup().vectors.el0;
    loop {
        model.own.set(None);
        model.tell(|| "a parked thread goes on".into());
        if !is_parked_in(|| (vectors.resume)(saved)) {
            return;
        }
    }
}

/// `eret` to EL0, outside an exception.
fn leave(model: &Model, saved: &Saved) {
    check::leaves_critical(model, Source::SystemCall);
    model.change(|hardware| {
        hardware.pmr = saved.pmr as u8;
        hardware.daif = saved.spsr as u32 & daif::ALL;
    });
    model.own.set(Some(Context::Process));
    model.at_el0.set(true);
}

/// Another CPU wants something of the program's thread: sets its word, and sends the reschedule SGI.
pub(super) fn kick(model: &Model, thread: &Core) {
    thread.work.store(1, std::sync::atomic::Ordering::Relaxed);
    model.change(|hardware| hardware.gic.pend(super::gic::Line::SelfSgi));
}
