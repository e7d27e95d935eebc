//! System calls that the library itself makes.

use abi::error::Error;
use abi::handle::{Handle, Rights};
use abi::memory::{Mapping, MemoryKind};
use abi::syscall::Call;

/// What came back in `x1` to `x3`.
type Values = [u64; 3];

/// A plain call.
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub(crate) fn plain(call: Call, arguments: [u64; 3]) -> Result<Values, Error> {
    let (status, a, b, c): (u64, u64, u64, u64);
    // SAFETY: the kernel changes x0 to x3 only, and memory only where an argument points: callers
    // pass addresses of what they own.
    unsafe {
        core::arch::asm!(
            "svc #0",
            in("x8") call as u64,
            inlateout("x0") arguments[0] => status,
            inlateout("x1") arguments[1] => a,
            inlateout("x2") arguments[2] => b,
            lateout("x3") c,
            options(nostack),
        );
    }
    abi::error::check(status).map(|()| [a, b, c])
}

/// There is no kernel below the host's tests.
#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
pub(crate) fn plain(_: Call, _: [u64; 3]) -> Result<Values, Error> {
    Err(Error::NoSuchCall)
}

/// What came back in `x1`, as a handle.
fn handle(values: Values) -> Handle {
    Handle(values[0] as u32)
}

/// Closes a handle. Nothing can be done when it was none.
pub(crate) fn close(handle: Handle) {
    let _ = plain(Call::HandleClose, [handle.0.into(), 0, 0]);
}

/// A new notification.
pub(crate) fn notification() -> Result<Handle, Error> {
    plain(Call::NotificationCreate, [0; 3]).map(handle)
}

/// Signals bit 0.
pub(crate) fn signal(notification: Handle) {
    let _ = plain(Call::Signal, [notification.0.into(), 1, 0]);
}

/// Waits for any bit.
pub(crate) fn wait(notification: Handle) -> Result<(), Error> {
    plain(
        Call::Wait,
        [notification.0.into(), abi::syscall::FOREVER, 0],
    )
    .map(drop)
}

/// Zeroed memory.
pub(crate) fn memory(bytes: u64) -> Result<Handle, Error> {
    plain(Call::MemoryCreate, [bytes, MemoryKind::Normal as u64, 0]).map(handle)
}

/// Maps all of it, to read and write, and returns where; `address` 0 leaves that to the kernel.
pub(crate) fn map(process: Handle, memory: Handle, bytes: u64) -> Result<u64, Error> {
    let mapping = Mapping {
        memory: memory.0,
        rights: Rights::READ.with(Rights::WRITE),
        address: 0,
        offset: 0,
        bytes,
    };
    plain(
        Call::MemoryMap,
        [process.0.into(), &raw const mapping as u64, 0],
    )
    .map(|values| values[0])
}

/// Unmaps what [`map`] mapped.
pub(crate) fn unmap(process: Handle, address: u64, bytes: u64) {
    let _ = plain(Call::MemoryUnmap, [process.0.into(), address, bytes]);
}

/// A thread that does not run yet.
pub(crate) fn thread(process: Handle, start: &abi::thread::ThreadStart) -> Result<Handle, Error> {
    plain(
        Call::ThreadCreate,
        [process.0.into(), &raw const *start as u64, 0],
    )
    .map(handle)
}

/// Lets it run.
pub(crate) fn resume(thread: Handle) -> Result<(), Error> {
    plain(Call::ThreadResume, [thread.0.into(), 0, 0]).map(drop)
}

/// Has bit 0 signalled when the thread has ended.
pub(crate) fn watch(thread: Handle, notification: Handle) -> Result<(), Error> {
    plain(Call::Watch, [thread.0.into(), notification.0.into(), 1]).map(drop)
}

/// The counter, and its ticks in a second.
#[cfg(target_os = "none")]
fn clock() -> (u64, u64) {
    let (now, hertz): (u64, u64);
    // SAFETY: both registers are open to EL0.
    unsafe {
        core::arch::asm!(
            "mrs {}, cntvct_el0",
            "mrs {}, cntfrq_el0",
            out(reg) now, out(reg) hertz,
            options(nomem, nostack),
        );
    }
    (now, hertz)
}

/// The host has no such clock.
#[cfg(not(target_os = "none"))]
fn clock() -> (u64, u64) {
    (0, 0)
}

/// Lets others run for about a millisecond: for whoever cannot wait in a better way.
pub(crate) fn pause() {
    let (now, hertz) = clock();
    let _ = plain(Call::Sleep, [now + hertz / 1000, 0, 0]);
}

/// Writes a line into the kernel's log.
pub(crate) fn debug_write(line: &[u8]) {
    let _ = plain(
        Call::DebugWrite,
        [line.as_ptr().addr() as u64, line.len() as u64, 0],
    );
}

/// Ends the process.
pub(crate) fn exit_process(status: u64) -> ! {
    loop {
        let _ = plain(Call::ProcessExit, [status, 0, 0]);
        core::hint::spin_loop();
    }
}

/// Ends the calling thread.
pub(crate) fn exit_thread() -> ! {
    loop {
        let _ = plain(Call::ThreadExit, [0, 0, 0]);
        core::hint::spin_loop();
    }
}
