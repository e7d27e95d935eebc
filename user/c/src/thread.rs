//! Threads and mutexes: the run-time's, with C's thread-local variables.

use alloc::boxed::Box;
use core::ffi::c_void;

use rt::service::Error;
use rt::sync::RawMutex;
use rt::thread::{Builder, JoinHandle};

use crate::status;

/// `struct petrel_thread`.
#[repr(C)]
pub struct Thread {
    pub(crate) handle: u32,
    pub(crate) reserved: u32,
    pub(crate) join: *mut JoinHandle<()>,
}

/// `struct petrel_spawn_options`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Options {
    pub(crate) stack_bytes: u64,
    pub(crate) priority: u32,
    pub(crate) reserved: u32,
    pub(crate) cpus: [u64; 2],
}

/// What C hands to a thread: what it points to is C's to share rightly.
struct Argument(*mut c_void);

// SAFETY: whoever calls `petrel_spawn` says so.
unsafe impl Send for Argument {}

impl Argument {
    fn take(self) -> *mut c_void {
        self.0
    }
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
    let mut builder = Builder::new();
    if options.stack_bytes != 0 {
        builder = builder.stack_bytes(usize::try_from(options.stack_bytes).unwrap_or(usize::MAX));
    }
    if options.priority != 0 {
        builder = builder.priority(options.priority);
    }
    let [low, high] = options.cpus.map(u128::from);
    let argument = Argument(argument);
    let spawned = builder
        .cpus(low | high << 64)
        .spawn(move || with_locals(|| entry(argument.take())));
    let made = spawned.map(|join| Thread {
        handle: join.thread().handle().0,
        reserved: 0,
        join: Box::into_raw(Box::new(join)),
    });
    status::give(made.map_err(Error::Kernel), Some(thread))
}

/// Waits for its end.
///
/// # Safety
/// `thread` was spawned, and is not joined yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_join(thread: &mut Thread) -> u64 {
    // SAFETY: as the caller promised, `petrel_spawn` made it from a box.
    let join = unsafe { Box::from_raw(thread.join) };
    thread.join = core::ptr::null_mut();
    thread.handle = 0;
    status::give(join.join().map(drop).map_err(Error::Kernel), None)
}

/// Takes a mutex, when it is free.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_mutex_lock(mutex: &RawMutex) {
    mutex.lock();
}

/// Frees it.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_mutex_unlock(mutex: &RawMutex) {
    mutex.unlock();
}

/// Runs `body` with the calling thread's own copies of the program's thread-local variables.
///
/// The thread pointer points to 16 bytes that are the run-time's, and behind them, aligned, lies a copy
/// of the program's initial values ("ELF for the Arm 64-bit Architecture", variant 1).
#[cfg(target_os = "none")]
pub(crate) fn with_locals<T>(body: impl FnOnce() -> T) -> T {
    /// Bytes before the variables, and what these are aligned to.
    const HEAD: usize = 16;

    unsafe extern "C" {
        /// The initial values; the linker script's.
        static petrel_tls_start: u8;
        /// Its address is how many bytes of them are copied.
        static petrel_tls_copied: u8;
        /// Its address is how many bytes there are, with those that begin as zero.
        static petrel_tls_bytes: u8;
    }

    let copied = (&raw const petrel_tls_copied).addr();
    let bytes = (&raw const petrel_tls_bytes).addr();
    let mut block = alloc::vec![0_u128; 1 + bytes.div_ceil(HEAD)];
    let pointer = block.as_mut_ptr().cast::<u8>();
    let before: *mut u8;
    // SAFETY: the block has room behind its head for the values, whose place the linker says. The
    // register is EL0's own; the run-time looks at nothing behind it.
    unsafe {
        core::ptr::copy_nonoverlapping(&raw const petrel_tls_start, pointer.add(HEAD), copied);
        core::arch::asm!(
            "mrs {before}, tpidr_el0",
            "msr tpidr_el0, {pointer}",
            before = out(reg) before,
            pointer = in(reg) pointer,
            options(nostack),
        );
    }
    let result = body();
    // SAFETY: as it was before; the block lives until here.
    unsafe { core::arch::asm!("msr tpidr_el0, {}", in(reg) before, options(nostack)) };
    drop(block);
    result
}

/// The host's tests have no such variables.
#[cfg(not(target_os = "none"))]
pub(crate) fn with_locals<T>(body: impl FnOnce() -> T) -> T {
    body()
}
