//! The real CPU.
//!
//! `slots` are the mask verbs of code that is not entered through a vector, patched at boot to the
//! mechanism in use; `machine` are the same verbs for the entry paths, one type per mechanism,
//! chosen by the vector table; `switch` is the switch of threads with its check; `fp` moves
//! what programs have beside it; `gic` is the GIC's
//! CPU interface; `idle` waits for interrupts.
//!
//! No write of a mask in this folder is `nomem`: with it the compiler moves what the mask guards out
//! of the masked region (the binary checker holds this: `harness`, `codegen`).

pub mod fp;
pub mod gic;
pub mod idle;
pub mod local;
pub mod machine;
pub mod slots;
pub mod switch;
pub mod sysreg;
