//! The modelled kernel's side of EL0: its system calls, and what the vectors' assembly does there.

use crate::kernel::{
    ModelKernel, block, enqueue_woken, framed, other_thread, wake_on_exit, watching,
};
use abi::path::Path;
use cpu::context::{Critical, Cx, Entry};
use cpu::machine::Machine;
use cpu::mask::Context;
use cpu::model::{self, El0Vectors, RESULT, Saved};
use entry::frame::Frame;
use entry::{ExitLooks, Flow, Kernel, Syndrome};
use std::sync::atomic::Ordering::Relaxed;

/// Does nothing.
pub(crate) const NULL: u64 = 0;
/// Makes another thread ready.
pub(crate) const SIGNAL: u64 = 1;
/// Waits, and gives up its Rust frames.
pub(crate) const WAIT: u64 = 2;
/// Touches memory, perhaps sleeps, and makes another thread ready: with interrupts open.
pub(crate) const OPEN: u64 = 3;
/// Waits as [`WAIT`], found out with interrupts open.
pub(crate) const OPEN_WAIT: u64 = 4;

pub(crate) fn quick(frame: &mut Frame) -> bool {
    let is_null = frame.x[8] == NULL;
    if is_null {
        frame.x[0] = RESULT;
    }
    is_null
}

pub(crate) fn syscall_now<M: Machine>(frame: &mut Frame) -> Flow {
    model::handler(Context::NoIrq, || {
        inside::<M>(&[Path::Syscall]);
        model::touch();
        frame.x[0] = RESULT;
        match frame.x[8] {
            SIGNAL => enqueue_woken::<M>(),
            WAIT => park::<M>(),
            OPEN | OPEN_WAIT => return Flow::Open,
            number => unreachable!("system call {number}"),
        }
        Flow::Done
    })
}

pub(crate) fn syscall<M: Machine>(frame: &mut Frame) {
    model::handler(Context::Process, || {
        inside::<M>(&[Path::Syscall]);
        model::touch();
        if frame.x[8] == OPEN_WAIT {
            let _held = model::irq_save();
            park::<M>();
        }
        if model::perhaps("the system call sleeps") {
            block::<M>();
        }
        signal_in_process::<M>();
    });
}

pub(crate) fn user_fault<M: Machine>(syndrome: Syndrome) {
    model::handler(Context::Process, || {
        inside::<M>(&[Path::UserFault]);
        model::touch();
        if syndrome.is_debug() {
            return;
        }
        if model::perhaps("the fault is a call to another thread") {
            let _held = model::irq_save();
            park::<M>();
        }
        signal_in_process::<M>();
    });
}

pub(crate) fn work<M: Machine>() {
    model::handler(Context::NoIrq, || {
        inside::<M>(&[Path::Syscall, Path::UserFault, Path::Irq, Path::Fiq]);
        M::step();
        let wanted = M::thread().work.swap(0, Relaxed);
        assert_ne!(wanted, 0, "there is nothing to do");
        model::touch();
        if model::perhaps("the thread is suspended, and goes on later") {
            park::<M>();
        }
    });
}

pub(crate) fn resumed<M: Machine>(frame: &mut Frame) {
    model::handler(Context::NoIrq, || {
        inside::<M>(&[Path::Syscall, Path::UserFault, Path::Irq, Path::Fiq]);
        model::touch();
        if M::thread().path.get::<M>() == Path::Syscall as u64 {
            frame.x[0] = RESULT;
        }
    });
}

/// What code that serves a program was promised.
fn inside<M: Machine>(paths: &[Path]) {
    watching::<M>();
    assert!(!model::off_thread_stack(), "not on the thread's stack");
    assert_eq!(M::thread().preempt.count::<M>(), 0);
    let path = M::thread().path.get::<M>();
    let is_one = paths.iter().any(|one| *one as u64 == path);
    assert!(is_one, "inside the paths {path:#x}");
}

fn signal_in_process<M: Machine>() {
    // SAFETY: inside an entry from EL0, whose work loop looks.
    wake_on_exit::<M>(&unsafe { ExitLooks::assume() });
}

/// Gives the CPU away, and the Rust frames with it.
fn park<M: Machine>() -> ! {
    M::thread().preempt.clear_need_resched::<M>();
    model::switch_away(other_thread::<M>)
}

/// The entry layer under test, behind the model's vectors from EL0.
pub(crate) fn vectors<M: Machine>() -> El0Vectors {
    El0Vectors {
        quick: |saved| {
            // As the assembly: only numbers below.
            let is_quick = saved.x[8] < <ModelKernel as Kernel<M>>::QUICK;
            let mut frame = Frame::default();
            frame.x[..=18].copy_from_slice(&saved.x[..=18]);
            let done = is_quick && <ModelKernel as Kernel<M>>::quick(&mut frame);
            if done {
                saved.x[..=18].copy_from_slice(&frame.x[..=18]);
            }
            done
        },
        syscall: |saved| through(saved, entry::user::syscall::<M, ModelKernel>),
        fault: |saved| through(saved, entry::user::fault::<M, ModelKernel>),
        irq: |saved| through(saved, entry::user::irq::<M, ModelKernel>),
        fiq: |saved| through(saved, entry::user::fiq::<M, ModelKernel>),
        serror: |saved| through(saved, entry::user::serror::<M, ModelKernel>),
        resume: |saved| {
            framed::<M>(saved, |frame| {
                // SAFETY: the model has just switched to a parked thread.
                unsafe { entry::user::resume::<M, ModelKernel>(frame) }.leave();
            });
        },
    }
}

fn through<M: Machine>(saved: &mut Saved, body: fn(&mut Frame, Cx<M, Entry>) -> Cx<M, Critical>) {
    framed::<M>(saved, |frame| {
        // SAFETY: the model has just taken an exception, as the hardware would.
        body(frame, unsafe { Cx::assume() }).leave();
    });
}
