//! Threads of this process.
//!
//! Each has a slot of addresses, at whose upper end its stack lies; the rest of the slot below is never
//! mapped, so a stack that overflows faults instead of writing over its neighbour. What a thread must
//! know about itself ([`Local`]) lies at the top of its stack, where `TPIDR_EL0` points.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::thread::{ThreadStart, USES_FP};

use crate::Error;
use crate::Rights;
use crate::object::{Memory, MemoryKind, Process, Thread, unmap};
use crate::sync::Mutex;
use crate::syscall::{Call, plain};

/// Where the stacks of threads lie that a program spawns.
pub const STACKS: Range<usize> = 0x20_0000_0000..0x20_4000_0000;
/// Addresses for each: its stack, and the gap that guards it.
pub const SLOT_BYTES: usize = 1 << 20;
const SLOTS: usize = (STACKS.end - STACKS.start) / SLOT_BYTES;
/// The stack of a thread that was asked for none in particular.
pub const STACK_BYTES: usize = 64 << 10;

/// How a thread is to be.
#[derive(Clone, Copy, Debug)]
pub struct Builder {
    stack_bytes: usize,
    priority: Option<u32>,
    cpus: u128,
    flags: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// As [`spawn`] makes them.
    pub const fn new() -> Self {
        Self {
            stack_bytes: STACK_BYTES,
            priority: None,
            cpus: 0,
            flags: USES_FP,
        }
    }

    /// With so much stack, rounded up to pages; at most half of [`SLOT_BYTES`].
    #[must_use]
    pub const fn stack_bytes(self, stack_bytes: usize) -> Self {
        Self {
            stack_bytes,
            ..self
        }
    }

    /// With that priority, at most the creator's own; without, that of the process's first thread.
    #[must_use]
    pub const fn priority(self, priority: u32) -> Self {
        Self {
            priority: Some(priority),
            ..self
        }
    }

    /// On those CPUs only: bit n is CPU n. 0: on all.
    #[must_use]
    pub const fn cpus(self, cpus: u128) -> Self {
        Self { cpus, ..self }
    }

    /// Without FP and SIMD registers: it pays nothing for them, and using one is a fault. The compiler
    /// uses them as it likes, so this is for threads written in assembly.
    #[must_use]
    pub const fn without_fp(self) -> Self {
        Self { flags: 0, ..self }
    }

    /// Runs `body` in a new thread.
    ///
    /// # Errors
    /// [`Error::NoMemory`], [`Error::TooMany`], [`Error::BadArgument`].
    pub fn spawn<T, F>(self, body: F) -> Result<JoinHandle<T>, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        bury();
        let stack = Stack::new(self.stack_bytes)?;
        let result = Arc::new(Mutex::new(None));
        let place = result.clone();
        let packet: Box<Packet> = Box::new(Packet(Box::new(move || {
            let value = body();
            *place.lock() = Some(value);
        })));
        let local = stack.top() - size_of::<Local>().next_multiple_of(16);
        let packet = Box::into_raw(packet);
        // SAFETY: the stack was just mapped, and is nobody else's.
        unsafe {
            core::ptr::with_exposed_provenance_mut::<Local>(local).write(Local {
                itself: local as u64,
            });
        }
        let start = ThreadStart {
            entry: run as *const () as u64,
            stack: local as u64,
            argument: packet.expose_provenance() as u64,
            tls: local as u64,
            priority: self.priority.unwrap_or_else(default_priority),
            flags: self.flags,
            cpus: [self.cpus as u64, (self.cpus >> 64) as u64],
        };
        // SAFETY: `run` consumes the packet once, on a stack of its own.
        let thread = unsafe { Thread::create(Process::own(), &start) };
        let thread = match thread.and_then(|thread| thread.resume().map(|()| thread)) {
            Ok(thread) => thread,
            Err(error) => {
                // SAFETY: no thread has got it.
                drop(unsafe { Box::from_raw(packet) });
                return Err(error);
            }
        };
        Ok(JoinHandle {
            running: Some(Running {
                thread,
                _stack: stack,
            }),
            result,
        })
    }
}

/// Runs `body` in a new thread, with the default stack and priority.
///
/// # Errors
/// [`Builder::spawn`].
pub fn spawn<T, F>(body: F) -> Result<JoinHandle<T>, Error>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    Builder::new().spawn(body)
}

/// The priority of this process's first thread: the start page says it with the thread's grant.
pub fn default_priority() -> u32 {
    crate::start::page()
        .grant("thread")
        .map_or(0, |grant| grant.detail)
}

/// Lets others of this priority run first.
pub fn yield_now() {
    // SAFETY: the call writes no memory.
    let _ = unsafe { plain(Call::Yield, []) };
}

/// The calling thread's number, its process's, and that of the CPU it was on when it asked.
pub fn who_am_i() -> (u64, u64, u64) {
    // SAFETY: the call writes no memory.
    let [thread, process, cpu] = unsafe { plain(Call::WhoAmI, []) }.unwrap_or_default();
    (thread, process, cpu)
}

/// A thread that can be waited for. Dropped, the thread goes on without.
#[derive(Debug)]
pub struct JoinHandle<T> {
    running: Option<Running>,
    result: Arc<Mutex<Option<T>>>,
}

#[derive(Debug)]
struct Running {
    thread: Thread,
    /// Dropped with this, when the thread has ended.
    _stack: Stack,
}

impl<T> JoinHandle<T> {
    /// Waits for its end. What it returned; `None` if it was killed.
    ///
    /// # Errors
    /// [`Error::NoMemory`] if there is no notification to wait with.
    pub fn join(mut self) -> Result<Option<T>, Error> {
        if let Some(running) = &self.running {
            running.thread.wait()?;
        }
        // It has ended, so its stack can go.
        drop(self.running.take());
        Ok(self.result.lock().take())
    }

    /// The thread.
    pub fn thread(&self) -> &Thread {
        match &self.running {
            Some(running) => &running.thread,
            None => crate::start::first_thread(),
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            GRAVEYARD.lock().push(running);
        }
    }
}

/// Threads nobody joins. Each spawn looks which of them have ended, and takes back their stacks.
static GRAVEYARD: Mutex<Vec<Running>> = Mutex::new(Vec::new());

fn bury() {
    let Some(mut graveyard) = GRAVEYARD.try_lock() else {
        return;
    };
    if graveyard.is_empty() {
        return;
    }
    let Ok(bell) = crate::object::Notification::create() else {
        return;
    };
    graveyard.retain(|running| {
        let ended = running.thread.watch(&bell, 1).is_ok() && bell.poll() == Ok(1);
        if !ended {
            let _ = running.thread.watch(&bell, 0);
        }
        !ended
    });
}

/// What a thread knows of itself, where `TPIDR_EL0` points.
#[repr(C)]
struct Local {
    /// Its own address, as C's ABI for thread-local storage has it.
    itself: u64,
}

struct Packet(Box<dyn FnOnce() + Send>);

extern "C" fn run(packet: *mut Packet) -> ! {
    // SAFETY: `spawn` made it from a box, for this thread alone.
    let packet = unsafe { Box::from_raw(packet) };
    (packet.0)();
    loop {
        // SAFETY: the thread owns nothing any more that needs dropping.
        let _ = unsafe { plain(Call::ThreadExit, [0]) };
    }
}

/// A stack in its slot. Dropped, it is unmapped: nobody may run on it then.
#[derive(Debug)]
struct Stack {
    slot: usize,
    bytes: usize,
}

/// Which slots are taken.
static TAKEN: [AtomicU64; SLOTS / 64] = [const { AtomicU64::new(0) }; SLOTS / 64];

impl Stack {
    fn new(bytes: usize) -> Result<Self, Error> {
        let bytes = bytes.max(1).next_multiple_of(4096);
        if bytes > SLOT_BYTES / 2 {
            return Err(Error::BadArgument);
        }
        let slot = take_slot().ok_or(Error::TooMany)?;
        let map = || {
            let memory = Memory::create(bytes, MemoryKind::Normal)?;
            let rights = Rights::READ.with(Rights::WRITE);
            let bottom = STACKS.start + (slot + 1) * SLOT_BYTES - bytes;
            // SAFETY: the slot is ours, and nothing is mapped in it.
            unsafe { memory.map_into(Process::own(), rights, bottom, 0, bytes) }
        };
        match map() {
            Ok(_) => Ok(Self { slot, bytes }),
            Err(error) => {
                release_slot(slot);
                Err(error)
            }
        }
    }

    fn top(&self) -> usize {
        STACKS.start + (self.slot + 1) * SLOT_BYTES
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: its thread has ended or never was.
        if unsafe { unmap(Process::own(), self.top() - self.bytes, self.bytes) }.is_ok() {
            release_slot(self.slot);
        }
    }
}

fn take_slot() -> Option<usize> {
    for (index, word) in TAKEN.iter().enumerate() {
        let mut seen = word.load(Ordering::Relaxed);
        while seen != u64::MAX {
            let free = seen.trailing_ones() as usize;
            match word.compare_exchange(
                seen,
                seen | 1 << free,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(index * 64 + free),
                Err(now) => seen = now,
            }
        }
    }
    None
}

fn release_slot(slot: usize) {
    TAKEN[slot / 64].fetch_and(!(1 << (slot % 64)), Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_given_once_and_come_back() {
        let taken: Vec<_> = core::iter::from_fn(take_slot).collect();
        assert_eq!(taken.len(), SLOTS);
        assert!(taken.iter().enumerate().all(|(index, slot)| index == *slot));
        release_slot(70);
        assert_eq!(take_slot(), Some(70));
        for slot in taken {
            release_slot(slot);
        }
    }
}
