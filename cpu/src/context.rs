//! Contexts as tokens: who holds a [`Cx`] of a state knows that the CPU is in it.
//!
//! A token is zero-sized, cannot be copied or sent to another CPU, and each verb consumes one and
//! gives the next. The order of a fault compiles:
//!
//! ```
//! use cpu::{context::{Critical, Cx, Entry, Interrupted, NoNmi}, machine::Machine};
//!
//! fn right<M: Machine>(cx: Cx<M, Entry>, i: Interrupted) -> Cx<M, Critical> {
//!     let open = cx.hold_irqs().inherit(i).release_irqs(i);
//!     let mut inherited = open.hold_irqs(i);
//!     let _legal: Option<cpu::context::Switchable<'_>> = inherited.switchable(i);
//!     inherited.mask_all()
//! }
//!
//! fn also_right<M: Machine>(cx: Cx<M, Entry>) {
//!     let no_nmi: Cx<M, NoNmi> = cx.no_nmi();
//!     no_nmi.mask_all().leave();
//! }
//! ```
//!
//! An order of steps that is wrong does not:
//!
//! ```compile_fail,E0599
//! // Nothing may be unmasked before ordinary interrupts are held.
//! fn wrong<M: cpu::machine::Machine>(cx: cpu::context::Cx<M, cpu::context::Entry>, i: cpu::context::Interrupted) {
//!     cx.inherit(i);
//! }
//! ```
//! ```compile_fail,E0599
//! // A vector returns only from Critical: from Inherited there is no way but `mask_all`.
//! fn wrong<M: cpu::machine::Machine>(cx: cpu::context::Cx<M, cpu::context::Inherited>) {
//!     cx.leave();
//! }
//! ```
//! ```compile_fail,E0382
//! // A token is used once.
//! fn wrong<M: cpu::machine::Machine>(cx: cpu::context::Cx<M, cpu::context::Entry>) {
//!     let _held = cx.hold_irqs();
//!     let _nmi = cx.no_nmi();
//! }
//! ```
//! ```compile_fail,E0599
//! // What holds off interrupts in an NMI handler is no proof of the legal switch state.
//! fn wrong<M: cpu::machine::Machine>(cx: &mut cpu::context::Cx<M, cpu::context::NoNmi>, i: cpu::context::Interrupted) {
//!     cx.switchable(i);
//! }
//! ```
//! ```compile_fail,E0277
//! // A token stays on its CPU.
//! fn sendable<T: Send>() {}
//! fn wrong<M: cpu::machine::Machine>() { sendable::<cpu::context::Cx<M, cpu::context::NoNmi>>() }
//! ```

use crate::machine::Machine;
use crate::mask::{Context, MaskState, Mechanism, daif};
use crate::priority::{PMR_OFF, PMR_ON};
use core::marker::PhantomData;

/// As the hardware leaves the CPU at a vector: DAIF all set, PMR as interrupted.
pub enum Entry {}
/// Ordinary interrupts held, everything else still masked by DAIF.
pub enum Held {}
/// Ordinary interrupts held, everything else as it was in the interrupted context.
pub enum Inherited {}
/// As in the interrupted context, ordinary interrupts included.
pub enum Open {}
/// `NoNmi`: only SError and debug may interrupt.
pub enum NoNmi {}
/// `Error`: only debug may interrupt.
pub enum Error {}
/// `Critical`: nothing may interrupt.
pub enum Critical {}

/// Proof that this CPU is in state `S`.
#[must_use = "a token says what state the CPU is in; the next step needs it"]
pub struct Cx<M, S>(PhantomData<(M, S, *mut ())>);

/// The masks of what was interrupted, and the context that they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted {
    context: Context,
    masks: MaskState,
}

impl Interrupted {
    /// Of saved masks; `None` if they are those of no context.
    #[inline(always)]
    pub fn new(mechanism: Mechanism, masks: MaskState) -> Option<Self> {
        Context::of(mechanism, masks).map(|context| Self { context, masks })
    }

    /// A program at EL0, where nothing is masked ever.
    #[inline(always)]
    pub const fn el0(mechanism: Mechanism) -> Self {
        let context = Context::Process;
        Self {
            context,
            masks: context.state(mechanism),
        }
    }

    /// The context that was interrupted.
    #[inline(always)]
    pub fn context(self) -> Context {
        self.context
    }

    /// Whether ordinary interrupts were let in, and a switch is therefore possible.
    #[inline(always)]
    pub fn is_process(self) -> bool {
        matches!(self.context, Context::Process)
    }
}

impl<M: Machine, S> Cx<M, S> {
    /// # Safety
    /// The CPU is in state `S` now, and no other token says so.
    #[inline(always)]
    pub unsafe fn assume() -> Self {
        Self(PhantomData)
    }

    /// The next token; private, so that only the verbs below make one.
    #[inline(always)]
    fn become_<T>(self) -> Cx<M, T> {
        Cx(PhantomData)
    }
}

impl<M: Machine> Cx<M, Entry> {
    /// Holds ordinary interrupts (step A): under `pmr` by PMR, under `daif` they are held already.
    #[inline(always)]
    pub fn hold_irqs(self) -> Cx<M, Held> {
        if let Mechanism::Pmr = M::MECHANISM {
            M::write_pmr(PMR_OFF);
        }
        self.become_()
    }

    /// Opens an NMI handler's context: SError and debug may come, interrupts may not.
    #[inline(always)]
    pub fn no_nmi(self) -> Cx<M, NoNmi> {
        if let Mechanism::Pmr = M::MECHANISM {
            M::write_pmr(PMR_OFF);
        }
        M::clear_daif::<{ daif::D | daif::A }>();
        self.become_()
    }

    /// Opens an SError handler's context: only debug may come.
    #[inline(always)]
    pub fn error(self) -> Cx<M, Error> {
        if let Mechanism::Pmr = M::MECHANISM {
            M::write_pmr(PMR_OFF);
        }
        M::clear_daif::<{ daif::D }>();
        self.become_()
    }

    /// Settles the masks with nothing unmasked: `Critical`.
    #[inline(always)]
    pub fn critical(self) -> Cx<M, Critical> {
        if let Mechanism::Pmr = M::MECHANISM {
            M::write_pmr(PMR_OFF);
        }
        self.become_()
    }
}

impl<M: Machine> Cx<M, Held> {
    /// Takes everything but the IRQ mask from the interrupted context (step B).
    #[inline(always)]
    pub fn inherit(self, interrupted: Interrupted) -> Cx<M, Inherited> {
        M::write_daif(held(M::MECHANISM, interrupted.masks).daif());
        self.become_()
    }

    /// The same where EL0 was interrupted, which has nothing masked: one instruction, no frame read.
    #[inline(always)]
    pub fn inherit_from_el0(self) -> Cx<M, Inherited> {
        match M::MECHANISM {
            Mechanism::Pmr => M::clear_daif::<{ daif::ALL }>(),
            Mechanism::Daif => M::clear_daif::<{ daif::D | daif::A }>(),
        }
        self.become_()
    }
}

impl<M: Machine> Cx<M, Inherited> {
    /// Lets ordinary interrupts in if the interrupted context did (step D).
    #[inline(always)]
    pub fn release_irqs(self, interrupted: Interrupted) -> Cx<M, Open> {
        if interrupted.is_process() {
            match M::MECHANISM {
                Mechanism::Pmr => M::write_pmr(PMR_ON),
                Mechanism::Daif => M::clear_daif::<{ daif::I | daif::F }>(),
            }
        }
        self.become_()
    }

    /// Stops unless the hardware is what [`Cx::inherit`] made it.
    #[inline(always)]
    pub fn check(&self, interrupted: Interrupted, verb: &'static str) {
        expect::<M>(held(M::MECHANISM, interrupted.masks), verb);
    }

    /// The legal switch state, if this is it: exactly `NoIrq`, which it is exactly when `Process`
    /// was interrupted.
    #[inline(always)]
    pub fn switchable(&mut self, interrupted: Interrupted) -> Option<Switchable<'_>> {
        interrupted.is_process().then_some(Switchable(PhantomData))
    }

    /// The legal switch state, which it always is where EL0 was interrupted.
    #[inline(always)]
    pub fn switchable_from_el0(&mut self) -> Switchable<'_> {
        Switchable(PhantomData)
    }

    /// Masks everything (step B').
    #[inline(always)]
    pub fn mask_all(self) -> Cx<M, Critical> {
        M::set_daif::<{ daif::ALL }>();
        self.become_()
    }
}

impl<M: Machine> Cx<M, Open> {
    /// Holds ordinary interrupts again (step D'), if they had been let in, and stops if the handler
    /// came back with other masks than it was given.
    #[inline(always)]
    pub fn hold_irqs(self, interrupted: Interrupted) -> Cx<M, Inherited> {
        if interrupted.is_process() {
            expect::<M>(interrupted.masks, "hold_irqs");
            match M::MECHANISM {
                Mechanism::Pmr => M::write_pmr(PMR_OFF),
                Mechanism::Daif => M::set_daif::<{ daif::I | daif::F }>(),
            }
        } else {
            expect::<M>(held(M::MECHANISM, interrupted.masks), "hold_irqs");
        }
        self.become_()
    }
}

impl<M: Machine> Cx<M, NoNmi> {
    /// Masks everything; stops if the handler came back with other masks than it was given.
    #[inline(always)]
    pub fn mask_all(self) -> Cx<M, Critical> {
        expect::<M>(Context::NoNmi.state(M::MECHANISM), "mask_all after an NMI");
        M::set_daif::<{ daif::ALL }>();
        self.become_()
    }
}

impl<M: Machine> Cx<M, Error> {
    /// Masks everything; stops if the handler came back with other masks than it was given.
    #[inline(always)]
    pub fn mask_all(self) -> Cx<M, Critical> {
        expect::<M>(
            Context::Error.state(M::MECHANISM),
            "mask_all after an SError",
        );
        M::set_daif::<{ daif::ALL }>();
        self.become_()
    }
}

impl<M: Machine> Cx<M, Critical> {
    /// Gives the token up: the vector's assembly restores PMR from the frame and returns.
    #[inline(always)]
    pub fn leave(self) {}
}

/// Proof of the legal switch state: the CPU is exactly in `NoIrq`, on a thread's own stack.
///
/// It borrows the guard or the entry token that makes it so. The switch checks the hardware all the
/// same, in every build.
pub struct Switchable<'a>(PhantomData<(&'a mut (), *mut ())>);

impl Switchable<'_> {
    /// # Safety
    /// The CPU is exactly in `NoIrq`, on the thread's own stack, for as long as the result lives.
    #[inline(always)]
    pub unsafe fn assume() -> Self {
        Self(PhantomData)
    }

    /// The same proof for a shorter while.
    #[inline(always)]
    pub fn reborrow(&mut self) -> Switchable<'_> {
        Switchable(PhantomData)
    }
}

/// `masks` with ordinary interrupts held.
#[inline(always)]
const fn held(mechanism: Mechanism, masks: MaskState) -> MaskState {
    match mechanism {
        Mechanism::Pmr => MaskState::new(masks.daif(), PMR_OFF),
        Mechanism::Daif => MaskState::new(masks.daif() | daif::I | daif::F, masks.pmr()),
    }
}

/// Stops unless the hardware's masks are `expected`.
#[inline(always)]
pub fn expect<M: Machine>(expected: MaskState, verb: &'static str) {
    let found = M::masks();
    if found != expected {
        mismatch(verb, expected, found);
    }
}

/// The end: the hardware is not in the context that the code says.
#[cold]
#[inline(never)]
pub fn mismatch(verb: &'static str, expected: MaskState, found: MaskState) -> ! {
    panic!("exception masks are wrong at {verb}: expected {expected}, found {found}");
}
