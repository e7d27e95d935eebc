#![no_std]
#![no_main]
//! Petrel: a small kernel for AArch64 that stays correct while non-maskable interrupts rain on it.
//!
//! This crate is the top floor: it joins the ways in (`entry`), the policy (`sched`), the devices
//! (`drivers`) and what boot hands over (`boot`) into a kernel. From here, read `entries` for what is
//! done with what comes in, `thread` for who runs, `workload` for what it is all put through.

extern crate alloc;

mod clock;
mod console;
mod control;
mod deferred;
mod entries;
mod fault;
mod ipc;
mod irq;
mod machine;
mod mm;
mod object;
mod panic;
mod power;
mod selftest;
mod semihosting;
mod smp;
mod start;
mod symbols;
mod syscall;
mod thread;
mod trace;
mod user;
mod verdict;
mod workload;

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

static WANTS_TRACE: AtomicBool = AtomicBool::new(false);

/// Whether the trace rings are to be written to the host at the end (`trace=on`).
fn wants_trace() -> bool {
    WANTS_TRACE.load(Relaxed)
}
