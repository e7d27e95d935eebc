//! The modelled CPU and GIC, and the explorer that tries everything on them.
//!
//! What entry code gets wrong, it gets wrong at one instruction in one nest of exceptions, and a test
//! on a real CPU meets that once in a week. Here the same source runs on a machine that is a few
//! variables: before *every* access to a shared cell and before *every* verb, each exception that the
//! masks let in there is tried, nested in all that came before, to a bound. An execution is a function
//! of these choices, so the tree of all executions is walked by running again from the start, and
//! what goes wrong can be told, step by step, with the fewest injections that make it go wrong.
//!
//! | file | is |
//! |---|---|
//! | `gic` | pending, active, priority drop, deactivation, special INTIDs |
//! | `source` | what can interrupt |
//! | `state` | the machine's state: masks, GIC, thread, stacks, nest |
//! | `verbs` | [`Machine`](crate::machine::Machine) on it, once per mechanism; the step |
//! | `exception` | hardware entry and `eret`, and what they compare |
//! | `check` | what must hold at every step |
//! | `el0` | programs, system calls, threads that give up their Rust frames |
//! | `code` | what kernel code does: touch memory, hold interrupts, wait, switch |
//! | `plan`, `explore` | the walk over all executions |
//! | `tally` | what was tried |
//!
//! What the model takes as given: an interrupt that is signalled comes before the next step (it could
//! come later on a real CPU, which is the same as being made pending later); memory is coherent and
//! in order; the frame is saved and restored by assembly that the boot self-test and the binary
//! checker own; a step is what lies between two accesses to what is shared, not an instruction (the
//! sweep lands on each of those).

mod check;
mod code;
mod el0;
mod exception;
mod explore;
mod gic;
mod plan;
mod source;
mod state;
mod tally;
mod verbs;

pub use code::{
    Irqs, acknowledged, from_idle, handler, interrupted, irq_on, irq_restore, irq_save, irqs_held,
    off_thread_stack, perhaps, pin, raise, raise_self_sgi, switch, to_idle, touch,
    touch_with_fix_up, wfi,
};
pub use el0::{El0Vectors, RESULT, run_program, switch_away, system_call};
pub use exception::{Saved, Vectors, fix_up};
pub use explore::{Violation, explore};
pub use gic::{Gic, Line, SPURIOUS, View};
pub use source::{Source, Sources};
pub use state::Setup;
pub use tally::{Site, Tally, Windows};
pub use verbs::{ModelDaif, ModelPmr};
