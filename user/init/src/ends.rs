//! Ends of processes, in words.

use alloc::format;
use alloc::string::String;

use rt::abi::message::{Access, FaultKind};
use rt::object::{ProcessReport, ProcessState};

/// How a process ended, or that it did not.
pub(crate) fn describe(report: &ProcessReport) -> String {
    match ProcessState::from_number(report.state) {
        Some(ProcessState::Exited) => format!("exit status {}", report.status),
        Some(ProcessState::Killed) => format!("killed, status {}", report.status),
        Some(ProcessState::Faulted) => fault(report.fault),
        Some(ProcessState::Alive) => String::from("alive"),
        None => format!("in state {}", report.state),
    }
}

/// Whether it ended of itself, and with status 0.
pub(crate) fn is_success(report: &ProcessReport) -> bool {
    report.state == ProcessState::Exited as u32 && report.status == 0
}

fn fault([kind, access, address, pc, ..]: [u64; 8]) -> String {
    let what = FaultKind::from_number(kind).map_or("unknown fault", FaultKind::text);
    match Access::from_number(access) {
        Some(Access::Read) => format!("fault: {what}: read of {address:#x} at pc {pc:#x}"),
        Some(Access::Write) => format!("fault: {what}: write to {address:#x} at pc {pc:#x}"),
        Some(Access::Execute) => format!("fault: {what}: execution of {address:#x}"),
        Some(Access::None) | None => format!("fault: {what} at pc {pc:#x}"),
    }
}
