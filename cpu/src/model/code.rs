//! What modelled kernel code does between the verbs of entry: touch memory, hold interrupts, wait,
//! send itself an interrupt, give the CPU to another thread.
//!
//! On the real CPU these are the guards, the idle wait and the switch (`hw`): assembly, and so not in
//! the model. Here they are the same steps in the same order, each of which may be interrupted.

use super::check;
use super::exception;
use super::gic::Line;
use super::plan::Chosen;
use super::source::Source;
use super::state::{CPUS, Level, MODEL, Model, THREADS};
use super::verbs::{Point, set_daif, set_pmr, step};
use crate::mask::{Context, MaskState, Mechanism, daif};
use crate::priority::{PMR_OFF, PMR_ON};

/// Memory is accessed, and may be missing: a fault is possible here.
#[track_caller]
pub fn touch() {
    step(Point::Touch);
}

/// Memory is accessed by an instruction that has a fix-up.
#[track_caller]
pub fn touch_with_fix_up() {
    step(Point::FixedTouch);
}

/// `source` comes here for certain, without being the explorer's choice.
///
/// # Panics
/// If the masks do not let it in.
#[track_caller]
pub fn raise(source: Source) {
    step(Point::Raise(source));
    MODEL.with(|model| match source.line() {
        Some(line) => {
            model.change(|hardware| hardware.gic.pend(line));
            let hardware = model.hardware();
            assert!(
                hardware.gic.signalled(hardware.pmr) == Some(line),
                "{source} is masked here"
            );
            exception::take(model, source);
        }
        None => exception::take(model, source),
    });
}

/// Runs a handler that is to find the CPU in `context`, and to leave it so.
pub fn handler<R>(context: Context, work: impl FnOnce() -> R) -> R {
    let outer = MODEL.with(|model| enter(model, context));
    let result = work();
    MODEL.with(|model| {
        check::masks(model);
        assert!(
            model.own.get() == Some(context),
            "a handler for {context:?} ends in {:?}",
            model.own.get()
        );
        model.own.set(outer);
    });
    result
}

fn enter(model: &Model, context: Context) -> Option<Context> {
    let outer = model.own.replace(Some(context));
    check::masks(model);
    outer
}

/// The context that the interrupted code was in; `None` outside an exception.
pub fn interrupted() -> Option<Context> {
    MODEL.with(|model| Context::of(model.mechanism(), model.innermost()?.interrupted))
}

/// Whether what came is an interrupt, an NMI or none, by what its acknowledge answered.
pub fn acknowledged() -> Option<Line> {
    MODEL.with(|model| Line::from_intid(model.innermost()?.answer?))
}

/// Whether the CPU is on one of its own stacks, not on a thread's.
pub fn off_thread_stack() -> bool {
    MODEL.with(|model| model.stacks.get().current.is_some())
}

/// Says that thread 0 never leaves CPU 0.
pub fn pin() {
    MODEL.with(|model| model.pinned.set(true));
}

/// What [`irq_save`] found.
#[must_use = "the masks must be put back"]
#[derive(Clone, Copy, Debug)]
pub struct Irqs {
    masks: MaskState,
    context: Context,
}

/// Holds ordinary interrupts: what `IrqGuard::new` is on the real CPU.
#[track_caller]
pub fn irq_save() -> Irqs {
    step(Point::Do("hold interrupts"));
    MODEL.with(|model| {
        let found = Irqs {
            masks: model.hardware().masks(),
            context: context(model),
        };
        if found.context == Context::Process {
            model.own.set(Some(Context::NoIrq));
            match model.mechanism() {
                Mechanism::Pmr => set_pmr(model, PMR_OFF),
                Mechanism::Daif => set_daif(model, found.masks.daif() | daif::I | daif::F),
            }
        }
        found
    })
}

/// Puts back what [`irq_save`] found: what the drop of an `IrqGuard` is on the real CPU.
#[track_caller]
pub fn irq_restore(found: Irqs) {
    step(Point::Do("restore interrupts"));
    MODEL.with(|model| {
        model.own.set(Some(found.context));
        match model.mechanism() {
            Mechanism::Pmr => set_pmr(model, found.masks.pmr()),
            Mechanism::Daif => set_daif(model, found.masks.daif()),
        }
    });
}

/// Lets ordinary interrupts in, from `NoIrq`: how a thread that was switched to goes on.
#[track_caller]
pub fn irq_on() {
    let masks = MODEL.with(|model| Context::Process.state(model.mechanism()));
    irq_restore(Irqs {
        masks,
        context: Context::Process,
    });
}

/// Whether the running code holds ordinary interrupts.
pub fn irqs_held() -> bool {
    MODEL.with(|model| context(model) != Context::Process)
}

/// The context that the running code says it is in.
///
/// # Panics
/// In entry code, which says it by tokens.
fn context(model: &Model) -> Context {
    model.own.get().expect("entry code uses no guards")
}

/// From `NoIrq` to where a WFI wakes: I and F set, then PMR *on*.
#[track_caller]
pub fn to_idle() {
    if MODEL.with(Model::mechanism) == Mechanism::Daif {
        MODEL.with(|model| model.own.set(Some(Context::Idle)));
        return;
    }
    step(Point::DoTo("set DAIF", daif::I | daif::F));
    MODEL.with(|model| {
        model.own.set(Some(Context::NoNmi));
        set_daif(model, daif::I | daif::F);
    });
    step(Point::DoTo("write PMR", u32::from(PMR_ON)));
    MODEL.with(|model| {
        model.own.set(Some(Context::Idle));
        set_pmr(model, PMR_ON);
    });
}

/// Back to `NoIrq`: PMR *off*, then I and F cleared.
#[track_caller]
pub fn from_idle() {
    if MODEL.with(Model::mechanism) == Mechanism::Daif {
        MODEL.with(|model| model.own.set(Some(Context::NoIrq)));
        return;
    }
    step(Point::DoTo("write PMR", u32::from(PMR_OFF)));
    MODEL.with(|model| {
        model.own.set(Some(Context::NoNmi));
        set_pmr(model, PMR_OFF);
    });
    step(Point::DoTo("clear DAIF", daif::I | daif::F));
    MODEL.with(|model| {
        model.own.set(Some(Context::NoIrq));
        set_daif(model, 0);
    });
}

/// Waits for an interrupt. If none is pending, the first of `sources` comes, or another that the
/// explorer chooses.
///
/// # Panics
/// If that does not wake the CPU, or if it waits although a switch is wanted.
#[track_caller]
pub fn wfi(sources: &[Line]) {
    step(Point::Do("wfi"));
    MODEL.with(|model| {
        assert!(
            !model.thread().preempt.peek().1,
            "WFI with need_resched set"
        );
        let hardware = model.hardware();
        if hardware.gic.wakes(hardware.pmr) {
            return;
        }
        let line = match model.choose(|| sources.len() - 1) {
            Chosen::Nothing => {
                model.tell(|| format!("{} becomes pending", Source::of_line(sources[0])));
                sources[0]
            }
            Chosen::Alternative(which) => {
                let line = sources[which + 1];
                model.tell_injection(|| format!("{} becomes pending", Source::of_line(line)));
                line
            }
        };
        model.change(|hardware| hardware.gic.pend(line));
        let hardware = model.hardware();
        assert!(
            hardware.gic.wakes(hardware.pmr),
            "WFI sleeps on although a {} is pending: {}",
            Source::of_line(line),
            hardware.masks()
        );
    });
}

/// Makes this CPU's self-SGI pending.
#[track_caller]
pub fn raise_self_sgi() {
    step(Point::Do("raise the self-SGI"));
    MODEL.with(|model| model.change(|hardware| hardware.gic.pend(Line::SelfSgi)));
}

/// Asks the explorer whether what is not the ordinary course happens here; it counts as an injection.
pub fn perhaps(what: &'static str) -> bool {
    MODEL.with(|model| {
        let happens = model.choose(|| 1) != Chosen::Nothing;
        if happens {
            model.tell_injection(|| what.into());
        }
        happens
    })
}

/// Switches to another thread, whose time until it switches back is `life`; it begins and ends in
/// `NoIrq`. The explorer may let this thread come back on another CPU.
///
/// Where no other thread is left, the scheduler finds this one again, and nothing happens.
///
/// # Panics
/// If this is not the legal switch state, on either way.
#[track_caller]
pub fn switch(life: impl FnOnce()) {
    step(Point::Do("switch away"));
    let Some(left) = MODEL.with(leave) else {
        return;
    };
    // In mid-switch an NMI finds either thread.
    step(Point::Do("switched"));
    life();
    step(Point::Do("switch back"));
    MODEL.with(|model| come_back(model, left));
    step(Point::Do("switched back"));
}

/// A thread that was switched away from.
struct Left {
    thread: usize,
    own: Option<Context>,
    levels: Vec<Level>,
}

fn leave(model: &Model) -> Option<Left> {
    check::legal_switch(model);
    let thread = model.running.get();
    let next = thread + 1;
    if next == THREADS {
        return None;
    }
    model.count(|tally| tally.switches += 1);
    let levels = model.levels.take();
    model
        .levels_away
        .set(model.levels_away.get() + levels.len());
    let cpu = model.percpu(model.here());
    model.running.set(next);
    model.thread().set_cpu(cpu);
    let own = model.own.replace(Some(Context::NoIrq));
    Some(Left {
        thread,
        own,
        levels,
    })
}

fn come_back(model: &Model, left: Left) {
    check::legal_switch(model);
    assert!(
        model.levels.borrow().is_empty(),
        "a thread switches inside an exception that did not return"
    );
    let may_move = !model.pinned.get() && left.thread == 0;
    if may_move && model.choose(|| 1) != Chosen::Nothing {
        model.tell_injection(|| "the thread comes back on the other CPU".into());
        model.count(|tally| tally.migrations += 1);
        model.go_to((model.here() + 1) % CPUS);
    }
    model.running.set(left.thread);
    model.thread().set_cpu(model.percpu(model.here()));
    model
        .levels_away
        .set(model.levels_away.get() - left.levels.len());
    model.levels.replace(left.levels);
    model.own.set(left.own);
    let legal = Context::NoIrq.state(model.mechanism());
    assert!(
        model.hardware().masks() == legal,
        "a thread comes back to the masks of another"
    );
}
