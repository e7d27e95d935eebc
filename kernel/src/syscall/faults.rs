//! What a program's fault becomes: a call to its fault endpoint, or its end.

use crate::fault;
use crate::ipc::call::{self, Outgoing};
use crate::ipc::wait::For;
use crate::object::Process;
use crate::say;
use crate::thread::{self, Thread};
use abi::message::{Access, Fault, FaultKind};
use abi::syscall::FOREVER;
use cpu::context::Switchable;
use cpu::guard::IrqGuard;
use entry::Syndrome;
use entry::frame::Frame;

/// `ESR_EL1.EC` (DDI 0487, D24.2.36).
mod class {
    pub(super) const UNKNOWN: u8 = 0x00;
    pub(super) const FP: u8 = 0x07;
    pub(super) const ILLEGAL_STATE: u8 = 0x0e;
    pub(super) const SYSTEM_REGISTER: u8 = 0x18;
    pub(super) const INSTRUCTION_ABORT: u8 = 0x20;
    pub(super) const MISALIGNED_PC: u8 = 0x22;
    pub(super) const DATA_ABORT: u8 = 0x24;
    pub(super) const MISALIGNED_SP: u8 = 0x26;
}

/// A fault of the running thread. `Process`.
pub(crate) fn handle(frame: &mut Frame, syndrome: Syndrome) {
    let me = thread::current();
    let user = me.user();
    let (kind, access, address) = read(syndrome);
    let words = Fault {
        kind: kind as u64,
        access: access as u64,
        address,
        pc: frame.elr,
        sp: frame.sp,
        syndrome: syndrome.esr,
        thread: u64::from(me.core.id()),
        process: u64::from(user.process().number()),
    };
    user.set_fault([
        words.kind,
        words.access,
        words.address,
        words.pc,
        words.sp,
        words.syndrome,
        words.thread,
        words.process,
    ]);
    let Some((endpoint, badge)) = user.fault_endpoint() else {
        end(me, frame);
        return;
    };
    let sent = {
        let _irqs = IrqGuard::new();
        let outgoing = Outgoing {
            endpoint,
            badge,
            reason: For::ReceiverOfFault,
            deadline: FOREVER,
        };
        // SAFETY: from `Process`, the guard makes it exactly `NoIrq`, on the thread's own stack.
        let legal = unsafe { Switchable::assume() };
        let sent = call::send(outgoing, legal);
        if sent.is_ok() {
            // SAFETY: as above.
            crate::ipc::settle(unsafe { Switchable::assume() });
        }
        sent
    };
    if sent.is_err() || super::ends_by_fault(me) {
        end(me, frame);
    }
}

/// Ends the process of a thread whose fault nobody resumes, and says so. Any context of the thread.
pub(crate) fn end(me: &Thread, frame: &Frame) {
    let process = me.user().process();
    if !process.has_ended() {
        let words = me.user().fault();
        let kind = FaultKind::from_number(words[0]).unwrap_or(FaultKind::Other);
        say!(
            "process {} ({}) ends: {} at address {:#x}, {} at {:#x}, sp {:#x}",
            process.number(),
            process.name(),
            kind.text(),
            words[2],
            fault::class_name((words[5] >> 26 & 0x3f) as u8),
            words[3],
            words[4],
        );
        let last = ["x3", "x7", "x11", "x15", "x19", "x23", "x27", "spsr"];
        for (row, last) in last.into_iter().enumerate() {
            let x = |at: usize| frame.x.get(at).copied().unwrap_or(frame.spsr);
            say!(
                "  x{:<2} {:016x}  x{:<2} {:016x}  x{:<2} {:016x}  {last:<3} {:016x}",
                4 * row,
                x(4 * row),
                4 * row + 1,
                x(4 * row + 1),
                4 * row + 2,
                x(4 * row + 2),
                x(4 * row + 3),
            );
        }
    }
    Process::end_by_fault(process, me.user().fault());
}

/// What a syndrome says, in words that need no manual.
fn read(syndrome: Syndrome) -> (FaultKind, Access, u64) {
    const WRITE: u64 = 1 << 6;
    let status = syndrome.esr & 0x3f;
    let abort = || match status >> 2 {
        0b0001 => FaultKind::NotMapped,
        0b0011 => FaultKind::NotPermitted,
        _ if status == 0b10_0001 => FaultKind::Misaligned,
        // An address that no table can translate.
        0b0000 => FaultKind::NotMapped,
        _ => FaultKind::Other,
    };
    match syndrome.class() {
        class::DATA_ABORT => {
            let access = if syndrome.esr & WRITE != 0 {
                Access::Write
            } else {
                Access::Read
            };
            (abort(), access, syndrome.far)
        }
        class::INSTRUCTION_ABORT => (abort(), Access::Execute, syndrome.far),
        class::MISALIGNED_PC => (FaultKind::Misaligned, Access::Execute, syndrome.far),
        class::MISALIGNED_SP => (FaultKind::Misaligned, Access::None, 0),
        class::UNKNOWN | class::ILLEGAL_STATE | class::SYSTEM_REGISTER => {
            (FaultKind::Undefined, Access::None, 0)
        }
        class::FP => (FaultKind::NoFp, Access::None, 0),
        _ if syndrome.is_debug() => (FaultKind::Debug, Access::None, 0),
        _ => (FaultKind::Other, Access::None, 0),
    }
}
