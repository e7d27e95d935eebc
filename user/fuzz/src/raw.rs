//! A system call with any registers whatever.

use callfuzz::verify::Registers;

/// Makes it, and returns what the registers are then.
///
/// # Safety
/// What the call does to this process is what the caller wants: it may end, lose its memory, or find
/// something else in it.
pub(crate) unsafe fn call(x: &Registers) -> Registers {
    let mut x = *x;
    // SAFETY: the caller's. All registers that a call may change are named.
    unsafe {
        core::arch::asm!(
            "svc #0",
            inlateout("x0") x[0],
            inlateout("x1") x[1],
            inlateout("x2") x[2],
            inlateout("x3") x[3],
            inlateout("x4") x[4],
            inlateout("x5") x[5],
            inlateout("x6") x[6],
            inlateout("x7") x[7],
            inlateout("x8") x[8],
            inlateout("x9") x[9],
            inlateout("x10") x[10],
            inlateout("x11") x[11],
            inlateout("x12") x[12],
            inlateout("x13") x[13],
            options(nostack),
        );
    }
    x
}

// Where threads begin that do no harm: they need no stack, look around, and end.
core::arch::global_asm!(
    ".pushsection .text.petrel_harmless, \"ax\"",
    ".globl petrel_harmless",
    "petrel_harmless:",
    "mov x19, #20",
    "1:",
    "mov x8, {who}",
    "svc #0",
    "mov x8, {yield}",
    "svc #0",
    "subs x19, x19, #1",
    "b.ne 1b",
    "mov x0, #0",
    "mov x8, {exit}",
    "svc #0",
    "brk #0",
    ".popsection",
    who = const rt::abi::syscall::Call::WhoAmI as u64,
    yield = const rt::abi::syscall::Call::Yield as u64,
    exit = const rt::abi::syscall::Call::ThreadExit as u64,
);

unsafe extern "C" {
    fn petrel_harmless() -> !;
}

/// The address of that code.
pub(crate) fn harmless() -> u64 {
    petrel_harmless as *const () as u64
}
