//! Ends the kernel on purpose, to see that it says why: `run=crash:how=…`.
//!
//! A workload that passes only by failing: each way must end in a panic whose first line names what
//! happened and where. The scenarios `crash/…` hold that.

use super::{Failure, Task};
use crate::irq::{self, Sgi, To};
use crate::mm::space::{self, Space};
use crate::object::quota::Quota;
use crate::object::{Memory, Ref};
use crate::thread::{self, Spec};
use abi::handle::Rights;
use abi::memory::{MemoryKind, PAGE};
use alloc::string::String;
use boot::args::Params;
use core::hint::black_box;
use cpu::guard::{IrqGuard, Pinned, PreemptGuard};
use cpu::hw::switch;
use cpu::lock::{Irq, Lock};
use sched::{CpuSet, Level};

/// The ways, by name.
const WAYS: &[(&str, fn())] = &[
    ("panic", on_purpose),
    ("assert", assert),
    ("overflow", overflow),
    ("null", null),
    ("write-text", write_text),
    ("execute-data", execute_data),
    ("brk", brk),
    ("read-user", read_user),
    ("execute-user", execute_user),
    ("lock-in-nmi", lock_in_nmi),
    ("switch-masked", switch_masked),
    ("wait-with-a-guard", wait_with_a_guard),
];

/// Crashes in the way that `how=` names; comes back only if that did not work.
pub(crate) fn run(_: &Task, mut params: Params<'_>) -> Result<String, Failure> {
    let how = params.required_text("how")?;
    params.finish()?;
    let Some((_, crash)) = WAYS.iter().find(|(name, _)| *name == how) else {
        let mut known = String::new();
        for (name, _) in WAYS {
            known.push(' ');
            known.push_str(name);
        }
        return Err(Failure::new(format_args!(
            "how={how}: no such way; there are{known}"
        )));
    };
    // A thread of its own, so that reports name it.
    let thread = thread::spawn(&Spec {
        name: "crash",
        level: Level::HIGHEST,
        allowed: CpuSet::ALL,
        entry: |crash| {
            // SAFETY: the argument is one of the functions above.
            let crash: fn() = unsafe { core::mem::transmute(crash) };
            crash();
        },
        argument: *crash as usize,
    })?;
    thread.join();
    Err(Failure::new(format_args!("how={how}: the kernel went on")))
}

fn on_purpose() {
    panic!("on purpose");
}

/// A message of several lines must still end in a verdict of one.
fn assert() {
    assert_eq!(black_box(1), 2, "on purpose");
}

fn overflow() {
    /// Uses some stack, and then more.
    #[inline(never)]
    fn deeper(depth: u64) -> u64 {
        let room = black_box([depth; 64]);
        if depth == u64::MAX {
            return 0;
        }
        deeper(depth + 1) + room[0]
    }
    black_box(deeper(0));
}

fn null() {
    // SAFETY: none: this is the crash.
    unsafe { black_box(black_box(core::ptr::null::<u8>()).read_volatile()) };
}

fn write_text() {
    let text = write_text as *const () as *mut u32;
    // SAFETY: none: the text must not be writable.
    unsafe { black_box(text).write_volatile(0) };
}

fn execute_data() {
    static RETURN: [u32; 2] = [0xd65f_03c0, 0];
    // SAFETY: none: data must not be executable.
    let function: extern "C" fn() = unsafe { core::mem::transmute(black_box(RETURN.as_ptr())) };
    function();
}

fn brk() {
    // SAFETY: none: nobody handles it.
    unsafe { core::arch::asm!("brk #1") };
}

/// A process's memory must not be reached by an ordinary load (where the CPU has PAN).
fn read_user() {
    in_a_process(Rights::READ, |address| {
        // SAFETY: none: this is the crash.
        unsafe { black_box(black_box(address as *const u64).read_volatile()) };
    });
}

/// A process's code must not run with the kernel's rights.
fn execute_user() {
    in_a_process(Rights::READ.with(Rights::EXECUTE), |address| {
        // SAFETY: none: this is the crash.
        let function: extern "C" fn() = unsafe { core::mem::transmute(black_box(address)) };
        function();
    });
}

/// Does `crash` with an address space installed that has a `ret` at the address it is given.
fn in_a_process(rights: Rights, crash: fn(u64)) {
    const AT: u64 = 0x4000_0000;
    const RETURN: u32 = 0xd65f_03c0;
    let mapped = || -> Result<Space, Failure> {
        let quota = Ref::try_new(Quota::new(1 << 20))?;
        let space = Space::new(&quota)?;
        let memory = Memory::create(MemoryKind::Normal, PAGE, &quota)?;
        memory.write(0, &RETURN.to_ne_bytes())?;
        space.map(memory, 0, PAGE, AT, rights)?;
        Ok(space)
    };
    if let Ok(space) = mapped() {
        let guard = PreemptGuard::new();
        // SAFETY: the space lives until the empty table is installed.
        unsafe { space::install(space.ttbr()) };
        crash(AT);
        // SAFETY: it stays.
        unsafe { space::install(space::reserved_ttbr()) };
        drop(guard);
    }
}

/// An ordinary lock must be refused in an NMI handler, not deadlock when luck runs out.
fn lock_in_nmi() {
    static LOCK: Lock<u32, Irq> = Lock::new(0);
    let handler = |_: &irq::Interrupt<'_>| *LOCK.lock() += 1;
    if irq::set_handler(Sgi::TestNmi.intid(), handler, 0).is_ok() {
        let here = IrqGuard::new();
        irq::send(Sgi::TestNmi, To::Cpu(here.cpu()));
        drop(here);
    }
}

/// A switch with DAIF masked must be refused. A thread that asks for one is refused before; so this
/// asks what the switch itself asks.
fn switch_masked() {
    // SAFETY: masks more.
    unsafe { core::arch::asm!("msr daifset, #0xf", options(nostack)) };
    switch::check();
}

/// Waiting with a guard alive must be refused: what it guards would be open to others.
fn wait_with_a_guard() {
    let guard = PreemptGuard::new();
    thread::yield_now();
    drop(guard);
}
