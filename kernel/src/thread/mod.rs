//! Threads of the kernel: making, ending, waiting, and the scheduler around `sched`'s policy.
//!
//! - `table`: threads by number, and their lives.
//! - `schedule`: leaving a CPU, the switch, and what the next thread does first.
//! - `wake`: wake-ups from any context but NMI, and balancing.
//! - `user`: what a thread has because it runs at EL0.
//! - `idle`: what runs when nobody is ready.
//!
//! The rules of the queues' locks are the policy's (`sched`'s documentation): a queue's lock is kept
//! across the switch and released by who comes.

mod idle;
mod schedule;
mod table;
pub(crate) mod user;
mod wake;

pub(crate) use idle::enter as enter_idle;
pub(crate) use schedule::{
    arrive, block_at_frame, block_in_exit, exit_in_call, hand_over, preempt, relax, sleep,
    sleep_until, wait_until, wait_until_or, yield_in_call, yield_now,
};
pub(crate) use table::{
    BOOT, JoinHandle, MAX_THREADS, SpawnError, Spec, TABLE, Thread, current, new_idle,
    publish_boot, spawn, spawn_user,
};
pub(crate) use user::User;
pub(crate) use wake::{
    call_thief, end_found, is_running, nudge, set_allowed, set_level, wake, wake_found,
    wake_in_call, wake_on_exit,
};
