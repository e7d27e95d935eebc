//! Another process, made of a few pages of this program.
//!
//! Servers and victims are a few instructions each, written in assembly so that what is counted does not
//! depend on a compiler, and so that they run without FP registers. All of them lie in one page
//! ([`PAGE_START`]), which the other process has at the same address: so the hints in it have one
//! address, whoever executes them.

use alloc::format;
use alloc::string::String;
use core::arch::global_asm;
use rt::object::{Memory, MemoryKind, Object, Process, Thread, ThreadStart, USES_FP};
use rt::{Endpoint, Error, Mapping, Rights};

/// Bytes of a page.
const PAGE: usize = 4096;
/// Where the other process has the shared page; the pager's victim uses the page behind it.
pub(crate) const SHARED: usize = 0x30_0000_0000;

global_asm!(
    r#"
    .section .text.bench_page, "ax", %progbits
    .balign 4096
    .global bench_page
bench_page:

    // A client: x0 = handle, out, count, shared page. Stores how many ticks each call took.
    .macro client name, marker, ten
    .global \name
\name:
    ldp x14, x15, [x0]
    ldp x16, x17, [x0, #16]
    str x19, [sp, #-16]!
1:  mov x0, #1
    mov x8, #1
    mov x9, x14
    mov x10, #4
    mov x11, #-1
    mov x12, #0
    mov x13, #0
    mrs x19, cntvct_el0
    hint #(0x40 + \marker)
    .if \ten
    stp x0, x2, [x17]
    .endif
    svc #0
    .if \ten
    ldp x0, x2, [x17, #16]
    .endif
    hint #(0x60 + \marker)
    mrs x12, cntvct_el0
    sub x12, x12, x19
    str x12, [x15], #8
    cbnz x9, 2f
    subs x16, x16, #1
    b.ne 1b
2:  ldr x19, [sp], #16
    mov x0, x9
    ret
    .endm

    // A server: x0 = endpoint. Answers what it was asked.
    .macro server name, ten
    .global \name
\name:
    mov x19, x0
    mov x20, #{shared_high}
    lsl x20, x20, #32
    mov x8, #3
    mov x9, x19
    mov x11, #-1
    svc #0
    mov x8, #2
1:  mov x9, x19
    mov x11, #-1
    .if \ten
    ldp x0, x2, [x20]
    stp x0, x2, [x20, #16]
    .endif
    svc #0
    b 1b
    .endm

    client bench_client, 1, 0
    client bench_client_fp, 2, 0
    client bench_client_ten, 3, 1
    server bench_server, 0
    server bench_server_ten, 1

    // A client as a thread of its own.
    .global bench_client_thread
bench_client_thread:
    bl bench_client
    mov x8, #10
    svc #0

    // A thread that ends.
    .global bench_ends
bench_ends:
    mov x0, #0
    mov x8, #10
    svc #0

    // Victims: x0 = shared page. They fault, for ever, and leave the two readings there.
    .macro victim name, marker, after, instruction:vararg
    .global \name
\name:
    add x3, x0, #4096
1:  mrs x1, cntvct_el0
    hint #(0x40 + \marker)
    \instruction
    hint #(0x60 + \marker)
    mrs x2, cntvct_el0
    stp x1, x2, [x0]
    .if \after
    udf #0
    .endif
    b 1b
    .endm

    victim bench_faults, 8, 0, udf #0
    victim bench_faults_and_back, 9, 0, udf #0
    victim bench_touches, 10, 1, ldr x4, [x3]
    .previous
    "#,
    shared_high = const SHARED >> 32,
);

unsafe extern "C" {
    static bench_page: [u8; PAGE];
    pub(crate) fn bench_client_thread(ask: *const Ask) -> u64;
    pub(crate) fn bench_client_fp(ask: *const Ask) -> u64;
    pub(crate) fn bench_client_ten(ask: *const Ask) -> u64;
    pub(crate) fn bench_server(endpoint: u64) -> u64;
    pub(crate) fn bench_server_ten(endpoint: u64) -> u64;
    pub(crate) fn bench_ends(nothing: u64) -> u64;
    pub(crate) fn bench_faults(shared: u64) -> u64;
    pub(crate) fn bench_faults_and_back(shared: u64) -> u64;
    pub(crate) fn bench_touches(shared: u64) -> u64;
}

/// What a client in assembly is told.
#[repr(C)]
pub(crate) struct Ask {
    pub(crate) endpoint: u64,
    pub(crate) ticks: *mut u64,
    pub(crate) count: u64,
    pub(crate) shared: *mut u8,
}

/// Whether a thread has FP registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fp {
    /// They are kept apart.
    Kept,
    /// It has none.
    None,
}

/// The other process. Dropped, it is ended.
pub(crate) struct Child {
    pub(crate) process: Process,
    /// The page that it shares with this one.
    pub(crate) shared: Mapping,
}

/// What the kernel refused, in words.
pub(crate) fn refused(what: &'static str) -> impl Fn(Error) -> String {
    move |error| format!("{what}: {error}")
}

impl Child {
    /// Makes it, with the page of code and a shared page.
    pub(crate) fn new() -> Result<Self, String> {
        let process = Process::create("bench-partner", 1 << 20).map_err(refused("process"))?;
        let code = Memory::create(PAGE, MemoryKind::Normal).map_err(refused("memory"))?;
        let read_write = Rights::READ.with(Rights::WRITE);
        {
            let here = code.map(read_write).map_err(refused("mapping"))?;
            // SAFETY: the page of code, which is constant.
            here.write(0, unsafe { &bench_page });
        }
        let shared = Memory::create(PAGE, MemoryKind::Normal).map_err(refused("memory"))?;
        let map = |memory: &Memory, rights, address| {
            // SAFETY: it is another process.
            unsafe { memory.map_into(&process, rights, address, 0, PAGE) }
                .map_err(refused("mapping"))
        };
        map(
            &code,
            Rights::READ.with(Rights::EXECUTE),
            (&raw const bench_page).addr(),
        )?;
        map(&shared, read_write, SHARED)?;
        let shared = shared.map(read_write).map_err(refused("mapping"))?;
        Ok(Self { process, shared })
    }

    /// Gives it a handle.
    pub(crate) fn give(&self, endpoint: Endpoint) -> Result<u64, String> {
        let there = rt::Owned::from(endpoint).give(&self.process);
        there
            .map(|handle| u64::from(handle.0))
            .map_err(refused("give"))
    }

    /// A thread of it, which does not run yet.
    pub(crate) fn thread(
        &self,
        entry: unsafe extern "C" fn(u64) -> u64,
        argument: u64,
        fp: Fp,
        priority: u32,
    ) -> Result<Thread, String> {
        let start = start(entry as *const () as u64, argument, fp, priority, 0);
        // SAFETY: it is another process.
        unsafe { Thread::create(&self.process, &start) }.map_err(refused("thread"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill(0);
        // Its memory is free when it is gone.
        let _ = self.process.wait();
    }
}

/// How a thread in assembly begins.
pub(crate) fn start(entry: u64, argument: u64, fp: Fp, priority: u32, stack: u64) -> ThreadStart {
    ThreadStart {
        entry,
        stack,
        argument,
        tls: 0,
        priority,
        flags: if fp == Fp::Kept { USES_FP } else { 0 },
        cpus: [0; 2],
    }
}

/// An endpoint that may be passed on with all rights.
pub(crate) fn receiver(endpoint: &Endpoint) -> Result<Endpoint, String> {
    endpoint
        .owned()
        .duplicate(Rights::ALL, 0)
        .map(Endpoint::assume)
        .map_err(refused("duplicate"))
}
