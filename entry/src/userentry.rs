//! What every entry from EL0 does before the kernel proper runs, and undoes after.
//!
//! It is `irqentry` for programs, and shorter, since everything about EL0 is known: nothing is masked
//! there, no path is under way, the preempt count is 0, the CPU is quiescent. So there is nothing to keep for the
//! way out, and a thread that gave up its Rust frames while it waited ([`crate::user::resume`])
//! leaves the same way as one that did not.

use crate::frame::Frame;
use crate::{Fatal, Kernel};
use abi::path::{self, Path};
use abi::trace::Event;
use cpu::context::{Critical, Cx, Inherited, Interrupted, Open, Switchable};
use cpu::epoch;
use cpu::machine::Machine;
use cpu::percpu::PerCpu;
use cpu::plant::{Plant, planted};
use cpu::priority::PMR_OFF;

/// Between [`user_enter`] and [`user_exit`], with ordinary interrupts held.
#[must_use = "what user_enter did, user_exit must undo"]
pub struct UserInside<M> {
    cx: Cx<M, Inherited>,
}

/// Between [`user_enter`] and [`user_exit`], with nothing masked.
#[must_use = "what user_enter did, user_exit must undo"]
pub struct UserOpen<M> {
    cx: Cx<M, Open>,
}

/// Whether entries by `path` are written into the trace. System calls are not: two records would be a
/// third of what a null system call costs, and the kernel above knows more to say about each.
#[inline(always)]
fn is_traced(path: Path) -> bool {
    !matches!(path, Path::Syscall)
}

/// Enters the kernel from EL0: pushes the path, ends quiescence, writes the trace record. Where a record
/// is written, it also looks whether EL0 ran as it must: on a quiescent CPU, with preempt count 0 and no
/// switch wanted. `cpu` is this one.
///
/// Nothing of a program is served before its masks were inherited:
///
/// ```
/// use cpu::{context::{Critical, Cx, Entry}, machine::Machine};
/// use entry::userentry::{user_enter, user_exit, work_loop};
/// fn right<M: Machine, K: entry::Kernel<M>>(
///     cx: Cx<M, Entry>,
///     frame: &mut entry::frame::Frame,
/// ) -> Cx<M, Critical> {
///     let path = abi::path::Path::UserFault;
///     let mut inside = user_enter::<M, K>(cx.hold_irqs().inherit_from_el0(), M::cpu(), frame, path);
///     let count = work_loop::<M, K>(&mut inside, path);
///     user_exit::<M, K>(inside, frame, path, count)
/// }
/// ```
/// ```compile_fail,E0308
/// use cpu::{context::{Cx, Entry}, machine::Machine};
/// fn wrong<M: Machine, K: entry::Kernel<M>>(cx: Cx<M, Entry>, frame: &entry::frame::Frame) {
///     let _ = entry::userentry::user_enter::<M, K>(cx, M::cpu(), frame, abi::path::Path::UserFault);
/// }
/// ```
/// Nor does it go on, or is the thread switched, with interrupts open:
///
/// ```compile_fail,E0308
/// use cpu::machine::Machine;
/// fn wrong<M: Machine, K: entry::Kernel<M>>(mut open: entry::userentry::UserOpen<M>) {
///     entry::userentry::work_loop::<M, K>(&mut open, abi::path::Path::UserFault);
/// }
/// ```
#[inline(always)]
pub fn user_enter<M: Machine, K: Kernel<M>>(
    cx: Cx<M, Inherited>,
    cpu: &PerCpu,
    frame: &Frame,
    path: Path,
) -> UserInside<M> {
    let thread = M::thread();
    let inner = path::push(0, path);
    thread.path.set::<M>(inner);
    if is_traced(path) {
        let watching = cpu.watching.get::<M>();
        let (count, calm) = thread.preempt.both::<M>();
        if watching | count | (calm ^ 1) != 0 {
            not_quiet::<M, K>(frame);
        }
    }
    if !planted(Plant::NotWatching) {
        epoch::begin_watching_from_el0::<M>(cpu);
    }
    if is_traced(path) {
        let id = thread.id();
        cpu.trace
            .write(frame.when, Event::Enter, id, inner, frame.elr);
    }
    UserInside { cx }
}

// ANCHOR: work_loop
/// Does what is due before a program goes on: switches while a switch is wanted, then what others
/// want of this thread, and looks again. Gives the preempt count, which must be 0.
///
/// Whoever wants something later finds ordinary interrupts held, and so sends one that comes as soon
/// as EL0 runs.
#[inline(always)]
pub fn work_loop<M: Machine, K: Kernel<M>>(inside: &mut UserInside<M>, path: Path) -> u32 {
    let thread = M::thread();
    loop {
        let (count, calm) = thread.preempt.both::<M>();
        if planted(Plant::WorkLoopSkipped) {
            return count;
        } else if count | calm == 0 {
            preempt::<M, K>(inside, path);
        } else if thread.has_work::<M>() {
            K::work(inside.switchable());
        } else {
            return count;
        }
    }
}

// ANCHOR_END: work_loop

/// Not inlined, so that a way out with nothing to do saves no registers for it.
#[cold]
#[inline(never)]
fn preempt<M: Machine, K: Kernel<M>>(inside: &mut UserInside<M>, path: Path) {
    M::cpu().counters.preempted(path);
    K::preempt(inside.switchable(), path);
}

/// Leaves the kernel for EL0: the exact reverse of [`user_enter`], then everything masked. `count` is
/// what [`work_loop`] gave. The thread may have moved to another CPU since it entered.
#[inline(always)]
pub fn user_exit<M: Machine, K: Kernel<M>>(
    inside: UserInside<M>,
    frame: &mut Frame,
    path: Path,
    count: u32,
) -> Cx<M, Critical> {
    let UserInside { cx } = inside;
    let thread = M::thread();
    let cpu = M::cpu();
    cx.check(Interrupted::el0(M::MECHANISM), "user_exit");
    if is_traced(path) {
        let inner = thread.path.get::<M>();
        let (now, id) = (M::now(), thread.id());
        cpu.trace.write(now, Event::Exit, id, inner, 0);
    }
    if !planted(Plant::WatchingAtEl0) {
        epoch::end_watching::<M>(cpu);
    }
    if !planted(Plant::PathNotPopped) {
        thread.path.set::<M>(0);
    }
    let done = cx.mask_all();
    if count != 0 || !frame.is_el0() {
        not_for_el0::<M, K>(frame, count);
    }
    if planted(Plant::PmrLowAtEl0) {
        frame.pmr = u64::from(PMR_OFF);
    }
    done
}

#[cold]
#[inline(never)]
fn not_quiet<M: Machine, K: Kernel<M>>(frame: &Frame) -> ! {
    K::fatal(frame, Fatal::NotQuietAtEl0)
}

#[cold]
#[inline(never)]
fn not_for_el0<M: Machine, K: Kernel<M>>(frame: &Frame, count: u32) -> ! {
    K::fatal(frame, Fatal::NotForEl0(count))
}

impl<M: Machine> UserInside<M> {
    /// Makes the token anew, for a thread that comes back from a switch without the Rust frames that
    /// had it.
    ///
    /// # Safety
    /// The CPU is exactly in `NoIrq` on the thread's own stack; the thread was inside, or is new,
    /// and nobody else has its token.
    #[inline(always)]
    pub unsafe fn assume() -> Self {
        Self {
            // SAFETY: the caller's promise.
            cx: unsafe { Cx::assume() },
        }
    }

    /// The legal switch state, which this always is.
    #[inline(always)]
    pub fn switchable(&mut self) -> Switchable<'_> {
        self.cx.switchable_from_el0()
    }

    /// Runs a handler on the IRQ stack, with the proof of the context.
    #[inline(always)]
    pub fn on_irq_stack(self, handler: impl FnOnce(&Cx<M, Inherited>)) -> Self {
        let Self { cx } = self;
        let cx = M::call_on(cpu::machine::Stack::Irq, move || {
            handler(&cx);
            cx
        });
        Self { cx }
    }

    /// Lets ordinary interrupts in.
    #[inline(always)]
    pub fn release_irqs(self) -> UserOpen<M> {
        UserOpen {
            cx: self.cx.release_irqs(Interrupted::el0(M::MECHANISM)),
        }
    }
}

impl<M: Machine> UserOpen<M> {
    /// Holds ordinary interrupts again.
    #[inline(always)]
    pub fn hold_irqs(self) -> UserInside<M> {
        UserInside {
            cx: self.cx.hold_irqs(Interrupted::el0(M::MECHANISM)),
        }
    }
}
