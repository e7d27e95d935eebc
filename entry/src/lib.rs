#![cfg_attr(target_os = "none", no_std)]
//! The ways into the kernel and out of it.
//!
//! One question is answered here, once: between an interrupt entering and the interrupted code
//! resuming, who may run, with which masks, and where may the CPU switch to another thread?
//!
//! - [`fault`]: masks are inherited *before* [`irqentry::irqentry_enter`] and taken back *after*
//!   `irqentry_exit`; what lies between is ordinary kernel code, and may preempt.
//! - [`interrupt`]: IRQ and FIQ. The acknowledge comes first and alone tells what it is. An ordinary
//!   interrupt goes through `irqentry_*` and calls [`resched::cond_resched`] before it leaves; an NMI
//!   uses neither and never preempts.
//! - [`error`]: SError and debug exceptions.
//! - [`user`]: all of these, and system calls, when a program at EL0 was interrupted.
//!
//! Everything is generic over the [`Machine`] and over the [`Kernel`] above: the same source runs on
//! the real CPU and, on the host, against the modelled one, where every interleaving is tried
//! (`tests/model`). What is assembly (`vectors`) is not in the model; the binary checker and the
//! boot self-test own it.

pub mod error;
pub mod fault;
pub mod frame;
pub mod interrupt;
pub mod irqentry;
pub mod ledger;
pub mod nmi;
pub mod resched;
pub mod user;
pub mod userentry;
#[cfg(target_os = "none")]
pub mod vectors;

use abi::path::Path;
use core::marker::PhantomData;
use cpu::context::{Cx, Error, Inherited, NoNmi, Switchable};
use cpu::machine::Machine;
use frame::Frame;

/// What the kernel above does with what comes in. Implemented once for the kernel, once for the model.
pub trait Kernel<M: Machine>: 'static {
    /// An ordinary interrupt. `NoIrq`, on the IRQ stack. Must not sleep.
    fn interrupt(intid: u32, frame: &Frame, cx: &Cx<M, Inherited>);

    /// An NMI. `NoNmi`, on the NMI stack. Takes no lock but of class `Nmi`, allocates nothing.
    fn nmi(intid: u32, frame: &Frame, cx: &Cx<M, NoNmi>);

    /// A fault taken at EL1, from `Process` or `NoIrq`; runs in that same context. With `exit`, which
    /// it gets from `Process`, it may sleep if the preempt count is 0.
    fn fault(frame: &mut Frame, syndrome: Syndrome, exit: Option<ExitLooks<'_>>);

    /// Continues at the fix-up of the faulting instruction, if it has one. Everything is masked.
    fn fixup(frame: &mut Frame) -> bool;

    /// An SError. `Error`, on the NMI stack.
    fn serror(frame: &Frame, syndrome: Syndrome, cx: &Cx<M, Error>);

    /// A debug exception (BRK, step, breakpoint, watchpoint). `Critical`.
    fn debug(frame: &mut Frame, syndrome: Syndrome);

    /// Switches to whom the scheduler finds; comes back when this thread runs again.
    fn preempt(legal: Switchable<'_>, path: Path);

    /// System calls with a number (`x8`) below this are tried by [`Kernel::quick`].
    const QUICK: u64 = 1;

    /// A system call that can neither switch nor wait nor fail, nor look into a table. Everything is
    /// masked, PMR and the epoch are as at EL0; of the frame only `x[0]` to `x[18]` are there. Whether it
    /// was done; if not, it goes the way of the others.
    fn quick(frame: &mut Frame) -> bool;

    /// A system call, as far as it needs no interrupts. `NoIrq`, on the thread's own stack; NMIs come.
    /// It may switch, and need not come back from that (`hw::switch::switch_away`).
    fn syscall_now(frame: &mut Frame, legal: Switchable<'_>) -> Flow;

    /// A system call that [`Kernel::syscall_now`] left open. `Process`; may sleep and be preempted.
    fn syscall(frame: &mut Frame);

    /// A fault of a program, breakpoints and steps included. `Process`; may sleep and be preempted.
    fn user_fault(frame: &mut Frame, syndrome: Syndrome);

    /// The thread is about to go on at EL0, and its `work` word is not 0. `NoIrq`. Clears of it what it
    /// does, and may switch; or does not come back.
    fn work(legal: Switchable<'_>);

    /// A thread that was parked, or never ran, was switched to: does what is due after a switch
    /// (releases the run queue), and puts what it waited for into its frame. `NoIrq`.
    fn resumed(frame: &mut Frame, legal: Switchable<'_>);

    /// Something that must not happen. Everything is masked, or at least ordinary interrupts are.
    fn fatal(frame: &Frame, why: Fatal) -> !;
}

/// How a system call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It is done; the frame has what it gives.
    Done,
    /// With interrupts open.
    Open,
}

/// `ESR_EL1` and `FAR_EL1`, as they were at the vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syndrome {
    /// What happened (DDI 0487, D24.2.36).
    pub esr: u64,
    /// At which address, where that has a meaning.
    pub far: u64,
}

/// The exception class of a system call, `svc` in AArch64 state (DDI 0487, D24.2.36).
pub const SYSTEM_CALL: u8 = 0x15;

impl Syndrome {
    /// The exception class, `ESR_EL1.EC`.
    #[inline(always)]
    pub fn class(self) -> u8 {
        (self.esr >> 26 & 0x3f) as u8
    }

    /// Whether it is a debug exception taken from EL1 or EL0: breakpoint, step, watchpoint, BRK.
    #[inline(always)]
    pub fn is_debug(self) -> bool {
        matches!(self.class(), 0x30..=0x35 | 0x3c)
    }
}

/// Proof that the exit of the fault being handled will look at need_resched: a wake-up that is made
/// with it needs neither a preemption on the spot nor a self-SGI.
pub struct ExitLooks<'a>(PhantomData<(&'a mut (), *mut ())>);

impl ExitLooks<'_> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }

    /// The same proof on the ways from EL0, whose work loop looks.
    ///
    /// # Safety
    /// The caller runs inside [`Kernel::syscall_now`], `syscall`, `user_fault`, `work` or `resumed`,
    /// which comes back before the result is forgotten, or whose thread ends.
    #[inline(always)]
    pub unsafe fn assume() -> Self {
        Self(PhantomData)
    }
}

/// Why the entry layer gave up. The kernel prints it, with the frame and the path that led there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// The interrupted code had masks that belong to no context.
    IllegalMasks,
    /// A fault in a context that may not fault, without a fix-up.
    FaultWhileMasked(Syndrome),
    /// An ordinary interrupt was acknowledged although they were held.
    OrdinaryWhileHeld(u32),
    /// A thread was to go on at EL0 with a frame that is not a program's ([`Frame::is_el0`]), or with
    /// this preempt count.
    NotForEl0(u32),
    /// A program ran on a CPU that was not quiescent, or with a preempt count, or while a switch was
    /// wanted.
    NotQuietAtEl0,
    /// A vector that nothing uses; its index, 0 to 15 (DDI 0487, D1.3.1).
    UnexpectedVector(u8, Syndrome),
    /// The stack ran into its guard.
    StackOverflow(Syndrome),
}
