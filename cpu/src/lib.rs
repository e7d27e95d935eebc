#![cfg_attr(target_os = "none", no_std)]
//! What a CPU is to the rest of Petrel: exception contexts and the verbs that move between them,
//! locks by context, per-CPU data, time, the trace ring, epochs and the switch.
//!
//! The five contexts (`docs/src/architecture.md`) are zero-sized tokens, [`context::Cx`]; a
//! [`machine::Machine`] carries out what the tokens say. There are two machines: the real CPU
//! (`hw`, on the target) and the modelled CPU and GIC (`model`, on the host), and
//! the entry layer is the same source over both.
//!
//! This floor knows nothing of threads' policy nor of devices.

pub mod cell;
pub mod context;
pub mod counters;
pub mod epoch;
pub mod guard;
#[cfg(not(target_os = "none"))]
pub mod hosted;
#[cfg(target_os = "none")]
pub mod hw;
pub mod lines;
pub mod lock;
pub mod machine;
pub mod mask;
#[cfg(not(target_os = "none"))]
pub mod model;
pub mod percpu;
pub mod plant;
pub mod priority;
pub mod thread;
pub mod trace;

#[cfg(not(target_os = "none"))]
use hosted as local;
#[cfg(target_os = "none")]
use hw::local;
