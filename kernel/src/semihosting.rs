//! Semihosting: the debugger's or emulator's console, files and exit (Arm IHI 0074).
//!
//! On a machine without it the `hlt` is undefined; the fault path's fix-up then makes the call answer
//! "not there", so it can be tried at any time, in any context.

use core::arch::asm;
use core::ffi::CStr;

const SYS_OPEN: u64 = 0x01;
const SYS_CLOSE: u64 = 0x02;
const SYS_WRITE0: u64 = 0x04;
const SYS_WRITE: u64 = 0x05;
const SYS_EXIT: u64 = 0x18;
const APPLICATION_EXIT: u64 = 0x20026;
const OPEN_WRITE_BINARY: u64 = 5;

/// Makes a call; `None` if there is no semihosting here. One place with one fix-up: every fault
/// looks through the table of them.
#[inline(never)]
fn call(operation: u64, argument: u64) -> Option<u64> {
    let (answer, absent): (u64, u64);
    // SAFETY: the host reads and writes only what the argument describes. If the `hlt` faults,
    // execution goes on at the fix-up, which leaves 1 in x2.
    unsafe {
        asm!(
            "mov x2, #0",
            "2: hlt #0xf000",
            "b 4f",
            "3: mov x2, #1",
            "4:",
            ".pushsection .petrel.fixups, \"a\"",
            ".balign 4",
            ".word 2b - .",
            ".word 3b - .",
            ".popsection",
            inlateout("x0") operation => answer,
            in("x1") argument,
            out("x2") absent,
            options(nostack)
        );
    }
    (absent == 0).then_some(answer)
}

/// Prints `text`, which ends in a zero byte. For messages before there is a console.
pub(crate) fn print(text: &CStr) {
    let _ = call(SYS_WRITE0, text.as_ptr() as u64);
}

/// Ends the machine with `status`; returns if there is no semihosting.
pub(crate) fn exit(status: u8) {
    let block = [APPLICATION_EXIT, u64::from(status)];
    let _ = call(SYS_EXIT, block.as_ptr() as u64);
}

/// A file on the host, open for writing.
pub(crate) struct File(u64);

impl File {
    /// Creates the file `name`; `None` if there is no semihosting or the host refuses.
    pub(crate) fn create(name: &CStr) -> Option<Self> {
        let bytes = name.count_bytes() as u64;
        let block = [name.as_ptr() as u64, OPEN_WRITE_BINARY, bytes];
        let handle = call(SYS_OPEN, block.as_ptr() as u64)?;
        (handle != u64::MAX).then(|| Self(handle))
    }

    /// Writes all of `bytes`; false if the host did not take them.
    #[must_use]
    pub(crate) fn write(&self, bytes: &[u8]) -> bool {
        let block = [self.0, bytes.as_ptr() as u64, bytes.len() as u64];
        call(SYS_WRITE, block.as_ptr() as u64) == Some(0)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let block = [self.0];
        let _ = call(SYS_CLOSE, block.as_ptr() as u64);
    }
}
