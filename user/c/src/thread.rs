//! Threads: a stack, a block of thread-local variables on top of it, and somebody who waits for the
//! end.
//!
//! The kernel chooses where a stack lies, and leaves the page below it alone: who runs over the end
//! faults instead of writing into what is there.

use core::ffi::c_void;

use abi::error::Error;
use abi::handle::Handle;
use abi::memory::PAGE;
use abi::thread::{ThreadStart, USES_FP};

use crate::{call, start};

/// Bytes of a stack for which nothing else was asked.
const USUAL_STACK: u64 = 64 << 10;
/// The most urgent priority.
const HIGHEST_PRIORITY: u32 = 31;

/// `struct petrel_thread`.
#[repr(C)]
pub struct Thread {
    handle: u32,
    ended: u32,
    stack: u64,
    stack_bytes: u64,
}

/// `struct petrel_spawn_options`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Options {
    stack_bytes: u64,
    priority: u32,
    reserved: u32,
    cpus: [u64; 2],
}

/// What the new thread finds at the top of its stack.
#[repr(C, align(16))]
struct First {
    entry: extern "C" fn(*mut c_void),
    argument: *mut c_void,
}

/// Where a new thread begins.
extern "C" fn begin(first: &First) -> ! {
    (first.entry)(first.argument);
    call::exit_thread()
}

/// Maps a stack.
fn map_stack(bytes: u64) -> Result<u64, Error> {
    let memory = call::memory(bytes)?;
    let mapped = call::map(start::process(), memory, bytes);
    // What is mapped stays so without it.
    call::close(memory);
    mapped
}

/// Makes a thread, as urgent as it may be if nothing else was asked.
fn create(mut start: ThreadStart) -> Result<Handle, Error> {
    if start.priority != 0 {
        return call::thread(start::process(), &start);
    }
    let mut last = Error::BadArgument;
    for priority in (0..=HIGHEST_PRIORITY).rev() {
        start.priority = priority;
        match call::thread(start::process(), &start) {
            Err(error @ (Error::BadArgument | Error::NoRight)) => last = error,
            other => return other,
        }
    }
    Err(last)
}

/// Puts what the thread is to find on its stack, and starts it.
fn launch(
    thread: &mut Thread,
    entry: extern "C" fn(*mut c_void),
    argument: *mut c_void,
    options: &Options,
) -> Result<(), Error> {
    let top = thread.stack + thread.stack_bytes;
    let locals = top - locals::room();
    let first = locals - size_of::<First>() as u64;
    // SAFETY: the stack was just mapped for this, and has room for both (`petrel_spawn`).
    unsafe {
        locals::fill(locals);
        core::ptr::with_exposed_provenance_mut::<First>(first as usize)
            .write(First { entry, argument });
    }
    let ended = call::notification()?;
    thread.ended = ended.0;
    let handle = create(ThreadStart {
        entry: begin as extern "C" fn(&First) -> ! as usize as u64,
        stack: first,
        argument: first,
        tls: locals,
        priority: options.priority,
        flags: USES_FP,
        cpus: options.cpus,
    })?;
    thread.handle = handle.0;
    call::watch(handle, ended)?;
    call::resume(handle)
}

/// Frees all that belongs to a thread which has ended or never ran.
fn clear(thread: &mut Thread) {
    call::unmap(start::process(), thread.stack, thread.stack_bytes);
    for handle in [thread.handle, thread.ended] {
        if handle != Handle::NONE.0 {
            call::close(Handle(handle));
        }
    }
    (thread.handle, thread.ended) = (0, 0);
}

/// Starts a thread.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_spawn(
    thread: &mut Thread,
    entry: extern "C" fn(*mut c_void),
    argument: *mut c_void,
    options: Option<&Options>,
) -> u64 {
    let options = options.copied().unwrap_or_default();
    let asked = match options.stack_bytes {
        0 => USUAL_STACK,
        other => other,
    };
    let needed = locals::room() + size_of::<First>() as u64 + PAGE;
    let bytes = match asked.max(needed).checked_next_multiple_of(PAGE) {
        Some(bytes) if options.reserved == 0 => bytes,
        _ => return Error::BadArgument as u64,
    };
    let stack = match map_stack(bytes) {
        Ok(stack) => stack,
        Err(error) => return error as u64,
    };
    *thread = Thread {
        handle: Handle::NONE.0,
        ended: Handle::NONE.0,
        stack,
        stack_bytes: bytes,
    };
    match launch(thread, entry, argument, &options) {
        Ok(()) => 0,
        Err(error) => {
            clear(thread);
            error as u64
        }
    }
}

/// Waits for its end.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_join(thread: &mut Thread) -> u64 {
    match call::wait(Handle(thread.ended)) {
        Ok(()) => {
            clear(thread);
            0
        }
        Err(error) => error as u64,
    }
}

/// Thread-local variables: the thread pointer points to 16 bytes that are the run-time's, and
/// behind them, aligned, lies a copy of the program's initial values ("ELF for the Arm 64-bit
/// Architecture", variant 1).
mod locals {
    /// The run-time's bytes; what is behind is aligned to no more.
    const HEAD: u64 = 16;

    #[cfg(target_os = "none")]
    unsafe extern "C" {
        /// The initial values; the linker script's.
        static petrel_tls_start: u8;
        /// The address is how many bytes of them are copied.
        static petrel_tls_copied: u8;
        /// The address is how many bytes there are, with those that begin as zero.
        static petrel_tls_bytes: u8;
    }

    /// Bytes that a thread needs.
    pub(super) fn room() -> u64 {
        #[cfg(target_os = "none")]
        let bytes = (&raw const petrel_tls_bytes).addr() as u64;
        #[cfg(not(target_os = "none"))]
        let bytes = 0;
        (HEAD + bytes).next_multiple_of(16)
    }

    /// Writes the initial values behind a thread pointer.
    ///
    /// # Safety
    /// There are [`room`] bytes of zeroes, and nobody else uses them.
    pub(super) unsafe fn fill(pointer: u64) {
        #[cfg(target_os = "none")]
        // SAFETY: the linker says where the values lie, the caller that there is room.
        unsafe {
            core::ptr::copy_nonoverlapping(
                &raw const petrel_tls_start,
                core::ptr::with_exposed_provenance_mut((pointer + HEAD) as usize),
                (&raw const petrel_tls_copied).addr(),
            );
        }
        #[cfg(not(target_os = "none"))]
        let _ = pointer + HEAD;
    }
}

/// Gives the first thread its thread-local variables, if the program has any.
#[cfg(target_os = "none")]
pub(crate) fn begin_first() {
    let memory = crate::memory::petrel_calloc(1, locals::room() as usize);
    if memory.is_null() {
        crate::panic::give_up("libpetrel: no memory for thread-local variables");
    }
    // SAFETY: zeroed memory of that size, which is never freed; the register is EL0's own.
    unsafe {
        locals::fill(memory.expose_provenance() as u64);
        core::arch::asm!("msr tpidr_el0, {}", in(reg) memory, options(nostack));
    }
}
