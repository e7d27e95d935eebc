//! The kernel's side of the entry layer: what is done with what comes in.

use crate::thread;
use crate::{fault, ipc, irq, panic, syscall};
use abi::path::Path;
use cpu::context::{Cx, Error, Inherited, NoNmi, Switchable};
use cpu::machine::Machine;
use entry::frame::Frame;
use entry::{ExitLooks, Fatal, Flow, Kernel, Syndrome};

/// This kernel.
pub(crate) enum Petrel {}

entry::vectors!(Petrel);

impl<M: Machine> Kernel<M> for Petrel {
    #[inline(always)]
    fn interrupt(intid: u32, frame: &Frame, cx: &Cx<M, Inherited>) {
        irq::dispatch(intid, frame, cx);
    }

    #[inline(always)]
    fn nmi(intid: u32, frame: &Frame, cx: &Cx<M, NoNmi>) {
        irq::dispatch(intid, frame, cx);
    }

    fn fault(frame: &mut Frame, syndrome: Syndrome, exit: Option<ExitLooks<'_>>) {
        fault::handle(frame, syndrome, exit.as_ref());
    }

    #[inline(always)]
    fn fixup(frame: &mut Frame) -> bool {
        fault::fixup(frame)
    }

    fn serror(frame: &Frame, syndrome: Syndrome, _: &Cx<M, Error>) {
        panic::with_frame(frame, format_args!("SError, ESR {:#x}", syndrome.esr))
    }

    fn debug(frame: &mut Frame, syndrome: Syndrome) {
        panic::with_frame(
            frame,
            format_args!(
                "{} (ESR {:#x})",
                fault::class_name(syndrome.class()),
                syndrome.esr
            ),
        )
    }

    #[inline(always)]
    fn preempt(legal: Switchable<'_>, path: Path) {
        thread::preempt(legal, path);
    }

    #[inline(always)]
    fn quick(frame: &mut Frame) -> bool {
        // The only one is `Call::Null`.
        frame.x[0] = 0;
        true
    }

    #[inline(always)]
    fn syscall_now(frame: &mut Frame, legal: Switchable<'_>) -> Flow {
        syscall::now(frame, legal)
    }

    fn syscall(frame: &mut Frame) {
        syscall::open(frame);
    }

    fn user_fault(frame: &mut Frame, syndrome: Syndrome) {
        syscall::user_fault(frame, syndrome);
    }

    #[cold]
    fn work(legal: Switchable<'_>) {
        syscall::work(legal);
    }

    #[inline(always)]
    fn resumed(_: &mut Frame, legal: Switchable<'_>) {
        thread::arrive();
        ipc::settle(legal);
        syscall::after_wait();
    }

    #[cold]
    fn fatal(frame: &Frame, why: Fatal) -> ! {
        panic::fatal(frame, why)
    }
}
