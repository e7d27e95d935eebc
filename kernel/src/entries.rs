//! The kernel's side of the entry layer: what is done with what comes in.

use crate::thread;
use crate::{fault, irq, panic};
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

    fn quick(_: &mut Frame) -> bool {
        false
    }

    fn syscall_now(_: &mut Frame, _: Switchable<'_>) -> Flow {
        Flow::Open
    }

    fn syscall(frame: &mut Frame) {
        panic::with_frame(frame, format_args!("a system call: there is no EL0 yet"))
    }

    fn user_fault(frame: &mut Frame, syndrome: Syndrome) {
        panic::with_frame(
            frame,
            format_args!(
                "{} at EL0: there is no EL0 yet",
                fault::class_name(syndrome.class())
            ),
        )
    }

    fn work(_: Switchable<'_>) {
        panic!("work for EL0: there is no EL0 yet")
    }

    fn resumed(frame: &mut Frame, _: Switchable<'_>) {
        panic::with_frame(frame, format_args!("a way to EL0: there is no EL0 yet"))
    }

    #[cold]
    fn fatal(frame: &Frame, why: Fatal) -> ! {
        panic::fatal(frame, why)
    }
}
