//! The wake-up protocol: why no wake-up is lost, and none is delivered twice.
//!
//! A task that waits looks at a condition, finds it false, and blocks. A waker makes the condition
//! true and wakes. Between the look and the block everything can happen: the waker may be another
//! CPU, or an interrupt that lands on the very next instruction. Disabling interrupts helps against
//! the second only.
//!
//! # The protocol
//!
//! Each task has one atomic word with three bits. The rule that makes it small: **a waker only ever
//! sets `WAKE`; only the task itself, or who makes it current, clears anything.**
//!
//! | bit | set by | cleared by | meaning |
//! |---|---|---|---|
//! | `WAKE` | any waker | the task | a token: a wake-up that has not been delivered |
//! | `BLOCKED` | the task | who makes it current | it does not run until somebody makes it ready |
//! | `KILLED` | a killer | nobody | it is to end: it never blocks again |
//!
//! | word | the task is | `wake` leaves | and answers |
//! |---|---|---|---|
//! | – | running or ready | `WAKE` | [`Left`](Wake::Left): the next block returns at once |
//! | `WAKE` | the same, a token waits | the same | `Left` |
//! | `BLOCKED` | blocked or sleeping | `BLOCKED + WAKE` | [`Claimed`](Wake::Claimed): it is yours |
//! | `BLOCKED + WAKE` | on its way to a run queue | the same | `Left`: its claimer serves both |
//!
//! [`block`](TaskState::block) is one compare-exchange from the empty word to `BLOCKED`. Either it
//! comes first, and the waker sees `BLOCKED` and claims; or the waker comes first, and the exchange
//! fails on the token, which is consumed, and the task goes on. There is no third order: a word has
//! one modification order, for all CPUs alike. Exactly one waker can be the first to set `WAKE`
//! over `BLOCKED`; that caller alone makes the task ready.
//!
//! A timer's wake-up is like any other: it answers `Left` if an event came first. A kill is a
//! wake-up that leaves a mark: the victim runs once more and ends itself, on its own stack, with
//! nothing of it half done.
//!
//! # What the caller must do
//!
//! Loop: a block may return although the condition is still false, because a token was left by
//! somebody who woke the task for another reason. [`prepare_to_block`](TaskState::prepare_to_block)
//! before the first look takes a stale token away.
//!
//! # Why every step is a read-modify-write
//!
//! `wake` sets the bit even if it is set already. A plain load that found it would be cheaper, and
//! wrong: it may be served before the waker's own store to the condition is visible (store
//! buffering); the task consumes the old token meanwhile, finds the condition false, and blocks for
//! good. As a read-modify-write the second wake-up either comes before the consumption, which then
//! acquires the condition through the release sequence, or after it, and then finds what the task
//! did next.
//!
//! For the same reason nothing here needs to be sequentially consistent, and the condition may be a
//! relaxed store. What is ordered: `wake` releases what the waker wrote, and taking the token
//! acquires it; `block` releases what the task wrote, and the claim acquires it, so that the
//! claimer reads where the task has blocked.
//!
//! Checked twice: `state/tests.rs` runs this source under `loom`, all interleavings of single
//! memory accesses and all values that the C11 model allows; `tests/wake_up/` runs it with
//! queues, locks, switches, interrupts and timers around it, all interleavings of their steps.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, Ordering};

#[cfg(test)]
mod tests;

/// A wake-up that has not been delivered yet.
const WAKE: u32 = 1 << 0;
/// The task does not run until a waker makes it ready.
const BLOCKED: u32 = 1 << 1;
/// The task is to end.
const KILLED: u32 = 1 << 2;

/// What a waker has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a task whose wake-up is claimed runs only if the claimer enqueues it"]
pub enum Wake {
    /// The task was blocked and is now the caller's, who must bring it to a run queue.
    Claimed,
    /// Nothing: the task is awake or on its way, and will see this wake-up.
    Left,
}

/// What became of an attempt to block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a task that did not block must go on running"]
pub enum Block {
    /// The task is blocked: switch away from it.
    Blocked,
    /// A wake-up came first: look at the condition again. The task goes on running.
    Woken,
    /// The task is to end and must not wait any more. It goes on running.
    Killed,
}

/// Whether a wake-up was waiting to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// One was, and is delivered by this answer.
    Taken,
    /// None was.
    Absent,
}

/// The atomic word under a [`TaskState`]: [`AtomicU32`] everywhere but under a model checker.
pub trait Word {
    /// `fetch_or`.
    fn fetch_or(&self, bits: u32, order: Ordering) -> u32;
    /// `fetch_and`.
    fn fetch_and(&self, bits: u32, order: Ordering) -> u32;
    /// `compare_exchange`; whether it succeeded.
    fn replace(&self, old: u32, new: u32, success: Ordering, failure: Ordering) -> bool;
    /// `load`.
    fn load(&self, order: Ordering) -> u32;
}

impl Word for AtomicU32 {
    #[inline]
    fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        AtomicU32::fetch_or(self, bits, order)
    }

    #[inline]
    fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        AtomicU32::fetch_and(self, bits, order)
    }

    #[inline]
    fn replace(&self, old: u32, new: u32, success: Ordering, failure: Ordering) -> bool {
        self.compare_exchange(old, new, success, failure).is_ok()
    }

    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }
}

/// Whether a task is awake, and the wake-up that waits for it. See the [module](self).
#[derive(Debug, Default)]
pub struct TaskState<W: Word = AtomicU32>(W);

impl TaskState {
    /// A task that is awake, with no wake-up waiting.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }
}

impl<W: Word> TaskState<W> {
    /// Wakes the task. From any CPU and any exception context up to `NoIrq`; the answer must be
    /// followed by an enqueue under a run-queue lock, which an NMI handler cannot take.
    ///
    /// What the caller wrote before is visible to the task once its block has returned.
    #[inline]
    pub fn wake(&self) -> Wake {
        self.set(WAKE)
    }

    /// Marks the task to end, and wakes it so that it does. A task that is [`Left`](Wake::Left) is
    /// awake: if it runs on another CPU in user mode, only an interrupt makes it look.
    #[inline]
    pub fn kill(&self) -> Wake {
        self.set(WAKE | KILLED)
    }

    /// Takes a token that earlier waits have left. By the task itself, before it looks at its
    /// condition; a task that parks without a condition returns if the token was
    /// [`Taken`](Token::Taken).
    #[inline]
    pub fn prepare_to_block(&self) -> Token {
        if self.0.fetch_and(!WAKE, Acquire) & WAKE != 0 {
            Token::Taken
        } else {
            Token::Absent
        }
    }

    /// Blocks the task, unless a wake-up came since the last return from here or from
    /// [`prepare_to_block`](Self::prepare_to_block). By the task itself, with the lock of its CPU
    /// held ([`Cpu::block_current`](crate::Cpu::block_current) does so).
    #[inline]
    pub fn block(&self) -> Block {
        if self.0.replace(0, BLOCKED, Release, Relaxed) {
            return Block::Blocked;
        }
        if self.0.fetch_and(!WAKE, Acquire) & KILLED != 0 {
            Block::Killed
        } else {
            Block::Woken
        }
    }

    /// Ends the block, if there was one: the task is current again. Under the lock of the CPU that
    /// makes it so. A token left while the task was ready or running stays.
    #[inline]
    pub fn unblock(&self) {
        // Only this task sets `BLOCKED`, and the locks on its way here order that before: relaxed
        // is enough to ask. The read-modify-write then acquires what its wakers wrote.
        if self.is_blocked() {
            self.0.fetch_and(!(BLOCKED | WAKE), Acquire);
        }
    }

    /// Whether the task is blocked or sleeping, or was and has not been made current since.
    #[inline]
    pub fn is_blocked(&self) -> bool {
        self.0.load(Relaxed) & BLOCKED != 0
    }

    /// Whether a waker has claimed the task, which has not been made current since.
    #[inline]
    pub fn is_claimed(&self) -> bool {
        const CLAIMED: u32 = BLOCKED | WAKE;
        self.0.load(Relaxed) & CLAIMED == CLAIMED
    }

    /// Whether the task is to end.
    #[inline]
    pub fn is_killed(&self) -> bool {
        self.0.load(Relaxed) & KILLED != 0
    }

    /// Sets `bits`, [`WAKE`] among them; who does so first on a blocked task has claimed it.
    #[inline]
    fn set(&self, bits: u32) -> Wake {
        let old = self.0.fetch_or(bits, AcqRel);
        if old & (BLOCKED | WAKE) == BLOCKED {
            Wake::Claimed
        } else {
            Wake::Left
        }
    }
}
