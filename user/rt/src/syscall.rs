//! System calls as they are: registers in, registers out.
//!
//! Everything else in this crate is made of these two functions. Which register carries what is said
//! once, in [`abi::syscall`]; the assembly names exactly those registers, because the kernel gives every
//! other one back as it was.

use abi::error::{Error, check};
use abi::handle::Handle;
use abi::message::{Info, WORDS};
pub use abi::syscall::Call;

/// What a plain call came back with: `x1`, `x2`, `x3`.
pub type Values = [u64; 3];

/// Makes a plain call with `arguments` in `x0` to `x6`; those that are not given are 0.
///
/// # Errors
/// What the kernel refused it with.
///
/// # Safety
/// The kernel does what the call says: it writes where an address says, takes pages away, runs a thread
/// anywhere. What Rust holds to be true of this process's memory must stay true.
#[inline(always)]
pub unsafe fn plain<const N: usize>(call: Call, arguments: [u64; N]) -> Result<Values, Error> {
    const { assert!(N <= 7) };
    debug_assert!(!call.carries_message());
    let mut all = [0; 7];
    all[..N].copy_from_slice(&arguments);
    // SAFETY: what the call does is the caller's to answer for.
    let (status, values) = unsafe { supervisor_call(call, all) };
    check(status).map(|()| values)
}

/// The registers of a message.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageRegisters {
    /// `x0` to `x7`.
    pub words: [u64; WORDS],
    /// `x9`: an endpoint or a reply.
    pub target: Handle,
    /// `x10`.
    pub info: Info,
    /// `x11` in: the deadline in ticks.
    pub deadline_ticks: u64,
    /// `x11` out: who called.
    pub badge: u64,
    /// `x12`, `x13`: handles, two in each.
    pub handles: [u64; 2],
}

/// Makes a call that carries a message. What arrived replaces what was sent.
///
/// Messages touch no memory, so this is safe: a handle given away that somebody still owns closes twice,
/// which the kernel refuses.
///
/// # Errors
/// What the kernel refused it with, or why nothing arrived.
#[inline(always)]
pub fn message(call: Call, registers: &mut MessageRegisters) -> Result<(), Error> {
    debug_assert!(call.carries_message());
    check(message_call(call, registers))
}

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
#[inline(always)]
unsafe fn supervisor_call(call: Call, arguments: [u64; 7]) -> (u64, Values) {
    let (status, first, second, third);
    // SAFETY: the kernel keeps every register but those that are outputs here; memory may change.
    unsafe {
        core::arch::asm!(
            "svc #0",
            in("x8") call as u64,
            inlateout("x0") arguments[0] => status,
            inlateout("x1") arguments[1] => first,
            inlateout("x2") arguments[2] => second,
            inlateout("x3") arguments[3] => third,
            in("x4") arguments[4],
            in("x5") arguments[5],
            in("x6") arguments[6],
            options(nostack),
        );
    }
    (status, [first, second, third])
}

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
#[inline(always)]
fn message_call(call: Call, registers: &mut MessageRegisters) -> u64 {
    let status: u64;
    let words = &mut registers.words;
    // SAFETY: the kernel writes the registers that are outputs here, and no memory.
    unsafe {
        core::arch::asm!(
            "svc #0",
            in("x8") call as u64,
            inlateout("x0") words[0],
            inlateout("x1") words[1],
            inlateout("x2") words[2],
            inlateout("x3") words[3],
            inlateout("x4") words[4],
            inlateout("x5") words[5],
            inlateout("x6") words[6],
            inlateout("x7") words[7],
            inlateout("x9") u64::from(registers.target.0) => status,
            inlateout("x10") registers.info.0,
            inlateout("x11") registers.deadline_ticks => registers.badge,
            inlateout("x12") registers.handles[0],
            inlateout("x13") registers.handles[1],
            options(nostack),
        );
    }
    status
}

#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
unsafe fn supervisor_call(_call: Call, _arguments: [u64; 7]) -> (u64, Values) {
    (Error::NoSuchCall as u64, [0; 3])
}

#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
fn message_call(_call: Call, _registers: &mut MessageRegisters) -> u64 {
    Error::NoSuchCall as u64
}
