//! Wall 2: the entry layer does not survive the model with a bug in it.
//!
//! The same source that the kernel runs, against the modelled CPU and GIC of `cpu::model`: at every
//! step of every program each interrupt, NMI, SError, breakpoint and fault that the masks let in is
//! tried, nested, up to a number of injections (2, or `PETREL_MODEL_DEPTH`), exhaustively.
//!
//! - `clean`: the source as it is, under every mechanism, group and security view; with floors for
//!   what was tried, so that it cannot pass by trying nothing.
//! - `planted`: each planted bug is found, by a shortest story. Where the model is blind, that says who is not.
//! - `exactness`: a frame that is not restored bit for bit is found.
//! - `kernel`, `el0`, `programs`: the kernel above, its system calls, and what its thread does.
//!
//! | invariant | held by |
//! |---|---|
//! | 1, 2, 6 the switch | `cpu::model`: `check::legal_switch`, at each `switch`, both ways |
//! | 4, 9 each code runs in its context | `check::masks`, at each change; `handler`, around each handler |
//! | 5, 21 the order of PMR and DAIF; never more open than what was interrupted | `check::pmr_write`, `daif_write`, `masks` |
//! | 7 no eligible preemption is left | `check::nothing_forgotten` after each `eret`; `check::end` |
//! | 8 the preempt count is first in, last out | `check::nest`, at each step |
//! | 10 all comes back | `exception`: `Snapshot`, `check::frame`; here `exactness` |
//! | 12, 13, 14 the acknowledge and its two ends | `gic`, `check::acknowledged`, `check::end` |
//! | 17, 19 need_resched before WFI; WFI wakes | `wfi` |
//! | 14, 19 what holds at EL0: nothing masked, active, counted or forgotten; quiescent | `check::at_el0`, at each step of a program |
//! | 20 debug handlers | `ModelKernel::debug`, `check::legal_switch` |
//!
//! What is assembly (frame save and restore, the switch, the idle wait) is modelled, not compiled: the
//! boot self-test, the sweep and the binary checker own it.

mod clean;
mod el0;
mod exactness;
mod kernel;
mod planted;
mod programs;

use cpu::machine::{Group, Machine};
use cpu::mask::Mechanism;
use cpu::model::{Setup, Source, Sources, Tally, View, Violation, explore};
use programs::Program;

/// What can come where there are no NMIs.
const WITHOUT_NMIS: &[Source] = &[
    Source::Tick,
    Source::SError,
    Source::Debug,
    Source::Fault,
    Source::FixedFault,
];

/// What can come where there are.
const WITH_NMIS: &[Source] = &[
    Source::Tick,
    Source::NmiA,
    Source::NmiB,
    Source::SError,
    Source::Debug,
    Source::Fault,
    Source::FixedFault,
];

fn sources(mechanism: Mechanism) -> &'static [Source] {
    match mechanism {
        Mechanism::Pmr => WITH_NMIS,
        Mechanism::Daif => WITHOUT_NMIS,
    }
}

/// A machine on which everything can come.
fn setup<M: Machine>(ordinary: Group, view: View) -> Setup {
    Setup {
        mechanism: M::MECHANISM,
        ordinary,
        view,
        sources: Sources::of(sources(M::MECHANISM)),
        vectors: kernel::vectors::<M>(),
    }
}

/// The usual machine: ordinary interrupts in Group 1, priorities as programmed.
fn usual<M: Machine>() -> Setup {
    setup::<M>(Group::One, View::Plain)
}

fn run<M: Machine>(setup: &Setup, depth: u32, program: Program) -> Result<Tally, Box<Violation>> {
    explore(setup, depth, || program.run::<M>())
}
