//! What the hardware and the vector's assembly do around entry code: taking an exception, and eret.
//!
//! This file stands for what is not compiled for the host: DAIF set and PMR unchanged at the vector,
//! the frame saved, and at the end PMR from the frame, then `eret`. It looks at everything that must
//! come back as it was.

use super::check;
use super::el0::{self, El0Vectors, RESULT, Way};
use super::gic::{Gic, Line};
use super::plan::Chosen;
use super::source::Source;
use super::state::{Level, MODEL, Model, NEST, Stacks};
use super::tally::{Site, site};
use super::verbs::Point;
use crate::machine::Group;
use crate::mask::{Context, MaskState, Mechanism, daif};
use crate::thread::Core;
use std::panic::Location;

/// What the vector's assembly saves and restores: the entry layer's frame, in the model's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// x0 to x30.
    pub x: [u64; 31],
    /// SP before the exception.
    pub sp: u64,
    /// Where the interrupted code goes on.
    pub elr: u64,
    /// PSTATE of the interrupted code.
    pub spsr: u64,
    /// `ICC_PMR_EL1` of the interrupted code.
    pub pmr: u64,
}

/// Condition flags and mode of the interrupted code, as in SPSR_EL1: N and C set, EL1h.
const PSTATE: u64 = 0xa << 28 | 0b0101;

/// The mode in an SPSR; 0 is EL0t.
const MODE: u64 = 0b1_1111;

/// How far behind the faulting instruction its fix-up is.
const FIXUP: u64 = 0x1000;

impl Saved {
    /// Registers that no other frame has, so that a mix-up shows.
    fn new(masks: MaskState, seed: u64) -> Self {
        let base = 0xffff_0000_0000_0000 | seed << 16;
        Self {
            x: core::array::from_fn(|register| base + register as u64),
            sp: base + 0x8000,
            elr: base + 0x4000,
            spsr: PSTATE | u64::from(masks.daif()),
            pmr: u64::from(masks.pmr()),
        }
    }

    /// Of a program: EL0t, as long as no more than that is known.
    pub(super) fn of_el0(seed: u64) -> Self {
        let open = Context::Process.state(Mechanism::Pmr);
        let mut saved = Self::new(open, seed);
        saved.spsr &= !MODE;
        saved
    }

    /// With what a system call gives.
    pub(super) fn with_result(&self) -> Self {
        let mut saved = self.clone();
        saved.x[0] = RESULT;
        saved
    }
}

/// The entry code under test: what the vectors call, in state `Entry`, to come back in `Critical`.
#[derive(Clone, Copy, Debug)]
pub struct Vectors {
    /// Synchronous exceptions.
    pub sync: fn(&mut Saved),
    /// IRQ.
    pub irq: fn(&mut Saved),
    /// FIQ.
    pub fiq: fn(&mut Saved),
    /// SError.
    pub serror: fn(&mut Saved),
    /// All of them where a program was interrupted.
    pub el0: El0Vectors,
}

/// All that an exception must leave as it found it.
#[derive(Clone, Copy)]
struct Snapshot {
    masks: MaskState,
    own: Option<Context>,
    thread: &'static Core,
    count: u32,
    path: u64,
    watching: u32,
    gic: Gic,
    stacks: Stacks,
}

impl Snapshot {
    fn new(model: &Model) -> Self {
        let hardware = model.hardware();
        let thread = model.thread();
        Self {
            masks: hardware.masks(),
            own: model.own.get(),
            thread,
            count: thread.preempt.peek().0,
            path: thread.path.peek(),
            watching: model.percpu(model.here()).watching.peek(),
            gic: hardware.gic,
            stacks: model.stacks.get(),
        }
    }

    /// Stops if anything differs from `now`.
    fn compare(&self, now: &Self, source: Source) {
        macro_rules! same {
            ($what:literal, $field:ident) => {
                assert!(
                    self.$field == now.$field,
                    "{} differs after the {source}: was {:x?}, is {:x?}",
                    $what,
                    self.$field,
                    now.$field
                );
            };
        }
        same!("DAIF or PMR", masks);
        same!("preempt count", count);
        same!("path stack", path);
        same!("watching", watching);
        same!("the stack in use", stacks);
        assert!(
            core::ptr::eq(self.thread, now.thread),
            "another thread runs on after the {source}"
        );
        assert!(
            self.gic.same_active(&now.gic),
            "RPR or the active interrupts differ after the {source}"
        );
    }
}

/// Lets come what must come at this point, and what the explorer wants.
pub(super) fn interrupts(model: &Model, point: Point, at: &'static Location<'static>) {
    loop {
        let hardware = model.hardware();
        let faults = matches!(point, Point::Touch | Point::FixedTouch);
        if hardware.daif == daif::ALL && !faults && !model.setup().sources.has(Source::Kick) {
            return;
        }
        // What is signalled is taken: real hardware has no choice, and the explorer had one when it
        // made the interrupt pending.
        if let Some(line) = hardware.gic.signalled(hardware.pmr)
            && hardware.is_open(hardware.gic.group(line))
        {
            take(model, Source::of_line(line));
            continue;
        }
        if !model.plan.borrow().has_budget() || model.nested() >= NEST {
            return;
        }
        let Some(source) = chosen(model, point, site(at)) else {
            return;
        };
        if source == Source::Kick {
            model.count(|tally| tally.taken[source as usize] += 1);
            el0::kick(model, model.thread());
            continue;
        }
        if let Some(line) = source.line() {
            model.change(|hardware| hardware.gic.pend(line));
        }
        take(model, source);
    }
}

/// Asks the explorer; gives what it wants to come now.
fn chosen(model: &Model, point: Point, site: Site) -> Option<Source> {
    let possible = || {
        let sources = model.setup().sources.iter();
        sources.filter(|source| is_possible(model, *source, point))
    };
    let choice = model.choose(|| {
        model.count(|tally| tally.offered(site, possible()));
        possible().count()
    });
    let Chosen::Alternative(which) = choice else {
        return None;
    };
    let source = possible().nth(which);
    let source = source.expect("the same execution offers the same");
    model.count(|tally| tally.landed(site, source));
    model.tell_injection(|| format!("{source}, at {}:{}", site.0, site.1));
    Some(source)
}

/// Whether the masks let `source` come here, if it wanted to.
fn is_possible(model: &Model, source: Source, point: Point) -> bool {
    let hardware = model.hardware();
    match source {
        Source::SError => hardware.daif & daif::A == 0,
        Source::Debug => hardware.daif & daif::D == 0,
        Source::Fault => matches!(point, Point::Touch),
        Source::FixedFault => matches!(point, Point::FixedTouch),
        // Comes only when it was raised.
        Source::SelfSgi | Source::SystemCall => false,
        Source::Kick => {
            let is_program = model.in_program.get() && model.running.get() == 0;
            is_program && hardware.gic.is_quiet(Line::SelfSgi)
        }
        Source::Tick | Source::NmiA | Source::NmiB => source.line().is_some_and(|line| {
            hardware.is_open(hardware.gic.group(line))
                && hardware.gic.is_quiet(line)
                && hardware.gic.passes(line, hardware.pmr)
        }),
    }
}

/// Takes an exception: hardware entry, the vector, `eret`; then everything must be as before.
pub(super) fn take(model: &Model, source: Source) {
    let before = Snapshot::new(model);
    count_windows(model, source);
    model.count(|tally| tally.taken[source as usize] += 1);
    model.tell(|| format!("{source} is taken"));
    let from_el0 = model.at_el0.replace(false);
    if from_el0 {
        model.count(|tally| tally.taken_from_el0[source as usize] += 1);
    }
    model.levels.borrow_mut().push(Level {
        source,
        interrupted: before.masks,
        path: before.path,
        count: before.count,
        been_inside: false,
        from_el0,
        answer: None,
    });
    model.own.set(None);
    model.change(|hardware| hardware.daif = daif::ALL);

    let given = given(model, source, &before, from_el0);
    if source.line().is_none() {
        model.syndrome.set((source.esr(from_el0), given.elr));
    }
    let mut saved = given.clone();
    let group = source.line().map(|line| before.gic.group(line));
    let way = if from_el0 {
        el0::vector(model, source, group, &mut saved)
    } else {
        vector(model, source, group, &mut saved);
        Way::Usual
    };

    match way {
        Way::Quick => check::as_in_entry(model, before.masks),
        Way::Usual => {
            check::leaves_critical(model, source);
            // A': PMR from the frame; then eret.
            model.change(|hardware| hardware.pmr = saved.pmr as u8);
        }
    }
    model.change(|hardware| hardware.daif = saved.spsr as u32 & daif::ALL);
    let level = model.levels.borrow_mut().pop();
    model.own.set(before.own);
    model.at_el0.set(from_el0);
    model.tell(|| format!("eret from the {source}"));

    before.compare(&Snapshot::new(model), source);
    let expected = match source {
        Source::SystemCall => given.with_result(),
        _ => given.clone(),
    };
    check::frame(&saved, &expected, expected_elr(source, &given), source);
    if from_el0 {
        check::at_el0(model);
    } else if let Some(level) = level {
        check::nothing_forgotten(model, &level);
    }
}

/// What the vector's assembly finds in the registers.
fn given(model: &Model, source: Source, before: &Snapshot, from_el0: bool) -> Saved {
    let seed = model.steps.get();
    if !from_el0 {
        return Saved::new(before.masks, seed);
    }
    let mut given = Saved::of_el0(seed);
    if source == Source::SystemCall {
        given.x[8] = model.call.get();
    }
    given
}

/// Runs the vector for `source`.
fn vector(model: &Model, source: Source, group: Option<Group>, saved: &mut Saved) {
    let vectors = model.setup().vectors;
    match group {
        Some(Group::One) => (vectors.irq)(saved),
        Some(Group::Zero) => (vectors.fiq)(saved),
        None if source == Source::SError => (vectors.serror)(saved),
        None => (vectors.sync)(saved),
    }
}

/// Where the interrupted code must go on.
fn expected_elr(source: Source, given: &Saved) -> u64 {
    match source {
        Source::FixedFault => given.elr + FIXUP,
        _ => given.elr,
    }
}

/// Notes an NMI that landed where entry code runs as kernel code but is not, or no longer, inside.
fn count_windows(model: &Model, source: Source) {
    let Some(level) = model.innermost().filter(|_| source.is_nmi()) else {
        return;
    };
    if model.thread().path.peek() != level.path || model.own.get().is_some() {
        return;
    }
    model.count(|tally| {
        let windows = if level.been_inside {
            &mut tally.nmis_after_exit
        } else {
            &mut tally.nmis_before_enter
        };
        match level.source {
            Source::Fault if level.from_el0 => windows.program += 1,
            Source::Fault => windows.fault += 1,
            Source::Tick | Source::SelfSgi => windows.ordinary += 1,
            Source::SystemCall => windows.program += 1,
            _ => {}
        }
    });
}

/// Continues at the fix-up of the faulting instruction, if it has one: for the kernel's `fixup`.
pub fn fix_up(elr: &mut u64) -> bool {
    MODEL.with(|model| {
        let has_one =
            matches!(model.innermost(), Some(level) if level.source == Source::FixedFault);
        if has_one {
            *elr += FIXUP;
        }
        has_one
    })
}

/// What the explorer may do to a signalled interrupt before it is acknowledged.
#[derive(Clone, Copy, Debug)]
enum Meddling {
    /// Its source is lowered again.
    Withdraw,
    /// Its source is lowered again, and an ordinary interrupt is pending that was not when it came.
    WithdrawAndTick,
    /// A more urgent one comes.
    NmiToo,
}

/// Lets the explorer change what is pending between the exception and the acknowledge.
pub(super) fn before_acknowledge(model: &Model) {
    let Some(line) = model.innermost().and_then(|level| level.source.line()) else {
        return;
    };
    if !line.can_be_withdrawn() || model.nested() >= NEST {
        return;
    }
    let sources = model.setup().sources;
    let gic = model.hardware().gic;
    let also = if line.is_nmi() {
        let tick = sources.has(Source::Tick) && gic.is_quiet(Line::Tick);
        tick.then_some(Meddling::WithdrawAndTick)
    } else {
        let nmi = sources.has(Source::NmiA) && gic.is_quiet(Line::NmiA);
        nmi.then_some(Meddling::NmiToo)
    };
    let meddling = match model.choose(|| 1 + usize::from(also.is_some())) {
        Chosen::Nothing => return,
        Chosen::Alternative(0) => Meddling::Withdraw,
        Chosen::Alternative(_) => also.unwrap_or(Meddling::Withdraw),
    };
    model.tell_injection(|| match meddling {
        Meddling::Withdraw => format!("{} is withdrawn", Source::of_line(line)),
        Meddling::WithdrawAndTick => {
            format!("{} is withdrawn, a tick is pending", Source::of_line(line))
        }
        Meddling::NmiToo => format!("{} becomes pending, too", Source::NmiA),
    });
    model.change(|hardware| match meddling {
        Meddling::Withdraw => hardware.gic.withdraw(line),
        Meddling::WithdrawAndTick => {
            hardware.gic.withdraw(line);
            hardware.gic.pend(Line::Tick);
        }
        Meddling::NmiToo => hardware.gic.pend(Line::NmiA),
    });
}
