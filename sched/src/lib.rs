//! Round robin with fixed levels: who runs next, for how long, and where.
//!
//! This is the policy of Petrel's scheduler and nothing else. It knows no interrupt, no register
//! and no stack: the kernel calls it with a run-queue lock held, is told *which* task comes next,
//! and does the switching. So all of it runs on the host, under a simulated clock, a hundred
//! thousand events in a blink, and what the tests see there is what the kernel gets.
//!
//! # The policy in five sentences
//!
//! The ready task of the highest [`Level`] runs; tasks of one level take turns of one quantum each.
//! Who is pushed aside by a higher level keeps the place at the front and the rest of the quantum;
//! who has used the quantum up, yields or wakes goes to the back. A quantum is a promise to the
//! others, so a task that nobody waits for is never interrupted for it, and an idle CPU programs
//! its timer for the first sleeper only. Every CPU has its own queues ([`Cpu`]); a task changes to
//! another CPU's when it is woken and its own is busy, or when the other has two tasks less
//! ([`balance`]). Nothing here counts the past: no credits, no decay, no boosts.
//!
//! # Where things are
//!
//! | module | holds |
//! |---|---|
//! | [`task`] | [`TaskId`], and [`Links`]: the part of the kernel's thread that is ours |
//! | [`level`] | [`Level`]: the 32 fixed priority levels |
//! | [`run_queue`] | [`RunQueue`]: who is ready |
//! | [`sleep_queue`] | [`SleepQueue`]: who waits for the clock |
//! | [`state`] | [`TaskState`]: who may wake whom, and why no wake-up is lost |
//! | [`cpu`](mod@cpu) | [`Cpu`]: all of this and the current task, one state machine per CPU |
//! | [`cpu_set`] | [`CpuId`] and [`CpuSet`]: affinity |
//! | [`balance`] | pure functions: where to put a task, whom to take one from |
//!
//! # Who may touch what
//!
//! Each [`Cpu`] stands behind a lock of the kernel. Three rules make the rest follow; the tests
//! keep them, and the planted bugs in `tests/wake_up/` show what happens otherwise.
//!
//! 1. **A task that is in a queue, or current, belongs to the lock of its CPU** ([`Links::cpu`]).
//!    One that is in none ([`Place::Nowhere`]) belongs to whoever took it out or whose
//!    [`wake`](TaskState::wake) answered [`Wake::Claimed`], until they enqueue it somewhere. Others
//!    may only write what they wish of it (level, CPU set); that counts from its next enqueue.
//! 2. **The lock is held across the switch**, and released by the next task on its own stack. A
//!    task that blocks is visible as blocked before its registers are saved; the lock is what keeps
//!    it from running on two CPUs at once.
//! 3. **A waker takes the lock of the CPU where the sleeper last ran**, even to put it elsewhere:
//!    this is where it may still be in the sleep queue, or in the middle of its switch.
//!
//! In the kernel that reads as follows (`now` in ticks of its counter):
//!
//! ```text
//! wait until condition:                    wake, from any CPU, also from an interrupt handler:
//!     links.state().prepare_to_block()         condition := true
//!     while not condition                      if links.state().wake() is Claimed
//!         lock this CPU                            lock links.cpu()
//!         match cpu.block_current(..)              match cpu.enqueue_woken(..)
//!             Woken   → unlock                         Needed    → need_resched
//!             Killed  → unlock; give up                Rearm     → program the timer
//!             Blocked → next = cpu.pick(..)            NotNeeded → nothing
//!                       switch; unlock             unlock; if it is another CPU's: an SGI to it
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod balance;
pub mod cpu;
pub mod cpu_set;
pub mod level;
pub mod run_queue;
pub mod sleep_queue;
pub mod state;
pub mod task;

#[cfg(test)]
mod testing;

pub use cpu::{Cpu, Handed, Removed, Resched};
pub use cpu_set::{CpuId, CpuSet, ParseCpuSetError};
pub use level::Level;
pub use run_queue::RunQueue;
pub use sleep_queue::SleepQueue;
pub use state::{Block, TaskState, Token, Wake};
pub use task::{Links, Place, Status, TaskId, Tasks};
