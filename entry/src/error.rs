//! SError and debug exceptions: handled with almost everything masked, and never a reason to switch.

use crate::frame::Frame;
use crate::nmi::{nmi_enter, nmi_exit};
use crate::{Kernel, Syndrome};
use abi::path::Path;
use cpu::context::{Critical, Cx, Entry};
use cpu::machine::Machine;

/// The SError vector. Like an NMI, in `Error`: only debug exceptions may come.
#[inline(always)]
pub fn serror<M: Machine, K: Kernel<M>>(frame: &mut Frame, cx: Cx<M, Entry>) -> Cx<M, Critical> {
    let (esr, far) = M::syndrome();
    let syndrome = Syndrome { esr, far };
    let cx = cx.error();
    let inside = nmi_enter::<M>(frame, M::cpu(), Path::SError);
    let cx = inside.on_stack::<M, _>(move || {
        K::serror(frame, syndrome, &cx);
        cx
    });
    nmi_exit::<M>(inside);
    cx.mask_all()
}

/// A debug exception, from any context. Everything stays masked; preemption is off by the count.
#[inline(always)]
pub(crate) fn debug<M: Machine, K: Kernel<M>>(
    frame: &mut Frame,
    cx: Cx<M, Entry>,
    syndrome: Syndrome,
) -> Cx<M, Critical> {
    let cx = cx.critical();
    let inside = nmi_enter::<M>(frame, M::cpu(), Path::Debug);
    K::debug(frame, syndrome);
    nmi_exit::<M>(inside);
    cx
}
