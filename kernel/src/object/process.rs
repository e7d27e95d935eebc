//! Processes: an address space, a table of handles, a quota, and threads.
//!
//! A process ends when its last thread has, or when somebody ends it. Its threads end themselves, each
//! on its way to EL0; when the last one is off its stack, the reclaimer empties the table of handles and
//! the address space, and only then tells whoever watches: who starts it anew finds its interrupts and
//! its memory free.
//!
//! A process lives on the quota of the one that made it, and ends with it: who holds no handle but its own, or
//! is suspended for ever, would otherwise keep that memory for good.

use super::handle::HandleTable;
use super::quota::{Charge, Quota};
use super::{Notification, Ref, reclaim};
use crate::mm::space::Space;
use crate::thread::{self, Thread};
use crate::user;
use abi::error::Error;
use abi::message::WORDS;
use abi::report::{Name, ProcessReport, ProcessState};
use alloc::vec::Vec;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, SeqCst},
};
use cpu::lock::{Irq, Lock, Preempt};

/// What a process is charged as, its address space and its table aside.
const BYTES: u64 = 1024;
/// How many may watch one process or thread.
const MAX_WATCHERS: usize = 16;

/// A process.
pub(crate) struct Process {
    number: u32,
    name: Name,
    /// What it may cause.
    pub(crate) quota: Ref<Quota>,
    /// What it may name.
    pub(crate) handles: HandleTable,
    space: Space,
    ttbr: u64,
    threads: Lock<Vec<&'static Thread>, Irq>,
    /// Threads that are not yet off their stacks.
    live: AtomicU32,
    state: AtomicU32,
    status: AtomicU64,
    fault: [AtomicU64; WORDS],
    /// Somebody has said how it ends.
    is_ending: AtomicBool,
    /// The reclaimer has been told.
    is_told: AtomicBool,
    watchers: Watchers,
    /// For the reclaimer's list.
    pub(super) next_ended: AtomicPtr<Process>,
    _charge: Charge,
    from_parent: Option<Charge>,
}

/// Who is to be told of an end.
pub(crate) struct Watchers(Lock<Option<Vec<Watcher>>, Preempt>);

/// Somebody who is to be told.
struct Watcher {
    notification: Ref<Notification>,
    /// That of the handle by which it was named.
    badge: u64,
    bits: u64,
}

impl Watchers {
    /// Nobody.
    pub(crate) const fn new() -> Self {
        Self(Lock::new(Some(Vec::new())))
    }

    /// Has `notification`, named by a handle with that badge, signalled with `bits` at the end, which may
    /// have been; 0: no longer. Who names it by another badge is another watcher, whom this does not
    /// concern. `Process`.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::NoMemory`].
    pub(crate) fn watch(
        &self,
        notification: Ref<Notification>,
        badge: u64,
        bits: u64,
    ) -> Result<(), Error> {
        let mut held = self.0.lock();
        let Some(watchers) = held.as_mut() else {
            drop(held);
            notification.signal(bits);
            return Ok(());
        };
        let known = watchers
            .iter()
            .position(|known| known.notification.is(&notification) && known.badge == badge);
        let old = match (known, bits) {
            (Some(at), 0) => Some(watchers.swap_remove(at)),
            (Some(at), bits) => {
                watchers[at].bits = bits;
                None
            }
            (None, 0) => None,
            (None, _) if watchers.len() >= MAX_WATCHERS => return Err(Error::TooMany),
            (None, bits) => {
                watchers.try_reserve(1).map_err(|_| Error::NoMemory)?;
                watchers.push(Watcher {
                    notification,
                    badge,
                    bits,
                });
                None
            }
        };
        drop(held);
        drop(old);
        Ok(())
    }

    /// It has ended. `Process`.
    pub(crate) fn tell(&self) {
        let watchers = self.0.lock().take();
        for watcher in watchers.into_iter().flatten() {
            watcher.notification.signal(watcher.bits);
        }
    }
}

/// The address of a process that is in the list of all.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Listed(*const Process);

// SAFETY: a process is `Sync`.
unsafe impl Send for Listed {}

/// All processes that were not reclaimed.
static ALL: Lock<Vec<Listed>, Preempt> = Lock::new(Vec::new());
static NEXT_NUMBER: AtomicU32 = AtomicU32::new(FIRST_NUMBER);
/// The first process's.
const FIRST_NUMBER: u32 = 1;

impl Process {
    /// Without threads. `parent` pays for `bytes` of quota.
    ///
    /// # Errors
    /// [`Error::NoMemory`], [`Error::TooMany`].
    pub(crate) fn create(
        name: Name,
        bytes: u64,
        parent: Option<&Ref<Quota>>,
    ) -> Result<Ref<Self>, Error> {
        let from_parent = parent.map(|quota| Charge::new(quota, bytes)).transpose()?;
        let quota = Ref::try_new(Quota::new(bytes))?;
        let charge = Charge::new(&quota, BYTES)?;
        let space = Space::new(&quota)?;
        let process = Ref::try_new(Self {
            number: NEXT_NUMBER.fetch_add(1, Relaxed),
            name,
            handles: HandleTable::new(quota.clone())?,
            quota,
            ttbr: space.ttbr(),
            space,
            threads: Lock::new(Vec::new()),
            live: AtomicU32::new(0),
            state: AtomicU32::new(ProcessState::Alive as u32),
            status: AtomicU64::new(0),
            fault: [const { AtomicU64::new(0) }; WORDS],
            is_ending: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
            watchers: Watchers::new(),
            next_ended: AtomicPtr::new(null_mut()),
            _charge: charge,
            from_parent,
        })?;
        let mut all = ALL.lock();
        all.try_reserve(1).map_err(|_| Error::NoMemory)?;
        all.push(Listed(&raw const *process));
        Ok(process)
    }

    /// Its number, unique for ever.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        abi::start::text(&self.name)
    }

    /// `TTBR0_EL1` of its threads.
    pub(crate) fn ttbr(&self) -> u64 {
        self.ttbr
    }

    /// Its address space.
    ///
    /// # Errors
    /// [`Error::Gone`]: it has ended.
    pub(crate) fn space(&self) -> Result<&Space, Error> {
        if self.has_ended() {
            return Err(Error::Gone);
        }
        Ok(&self.space)
    }

    /// Whether it has ended, or is to end.
    pub(crate) fn has_ended(&self) -> bool {
        self.state.load(SeqCst) != ProcessState::Alive as u32
    }

    /// Whoever watches it.
    pub(crate) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// Takes a thread in that is about to run for the first time.
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::NoMemory`].
    pub(crate) fn add_thread(&self, thread: &'static Thread) -> Result<(), Error> {
        let mut threads = self.threads.lock();
        if self.has_ended() {
            return Err(Error::Gone);
        }
        threads.try_reserve(1).map_err(|_| Error::NoMemory)?;
        threads.push(thread);
        self.live.fetch_add(1, Relaxed);
        Ok(())
    }

    /// The running thread ends. If it was the last one, the process has exited with `status`.
    pub(crate) fn remove_thread(&self, thread: &'static Thread, status: u64) {
        let mut threads = self.threads.lock();
        threads.retain(|known| !core::ptr::eq(*known, thread));
        if threads.is_empty() {
            self.set_ended(ProcessState::Exited, status);
        }
    }

    /// A thread is off its stack for good. In `NoIrq`.
    pub(crate) fn thread_gone(this: &Ref<Self>) {
        // Against `end`: each side stores, then loads the other's word.
        if this.live.fetch_sub(1, SeqCst) == 1 && this.has_ended() {
            Self::reclaim_soon(this);
        }
    }

    /// Ends it: each of its threads ends on its way to EL0. The first reason stays.
    pub(crate) fn end(this: &Ref<Self>, state: ProcessState, status: u64) {
        if !this.set_ended(state, status) {
            return;
        }
        // Nobody is added any more. From the last one on: who leaves meanwhile moves those behind it.
        let mut left = this.threads.lock().len();
        while left != 0 {
            left -= 1;
            thread::end_found(|_| this.threads.lock().get(left).copied());
        }
        if this.live.load(SeqCst) == 0 {
            Self::reclaim_soon(this);
        }
    }

    /// It faulted and nobody resumed it.
    pub(crate) fn end_by_fault(this: &Ref<Self>, words: [u64; WORDS]) {
        if !this.has_ended() {
            for (to, from) in this.fault.iter().zip(words) {
                to.store(from, Relaxed);
            }
        }
        Self::end(this, ProcessState::Faulted, 0);
    }

    fn set_ended(&self, state: ProcessState, status: u64) -> bool {
        // The status first: who sees the state sees it too. A later reason changes neither.
        let alive = ProcessState::Alive as u32;
        if self.is_ending.swap(true, AcqRel) {
            return false;
        }
        self.status.store(status, Relaxed);
        self.state
            .compare_exchange(alive, state as u32, SeqCst, Relaxed)
            .is_ok()
    }

    /// Has the reclaimer empty it, once.
    fn reclaim_soon(this: &Ref<Self>) {
        if !this.is_told.swap(true, AcqRel) {
            reclaim::process_ended(this);
        }
    }

    /// Gives up all that it holds, and ends the processes that live on its quota. By the reclaimer, in
    /// `Process`, when no thread is left.
    pub(super) fn empty(&self) {
        self.handles.clear();
        self.space.close();
        while let Some(child) = self.child() {
            Self::end(&child, ProcessState::Killed, 0);
        }
    }

    /// A process that lives on this one's quota.
    fn child(&self) -> Option<Ref<Self>> {
        let all = ALL.lock();
        all.iter().find_map(|listed| {
            // SAFETY: a process takes itself out of the list before it ends, under the lock.
            let process = unsafe { &*listed.0 };
            let lives_on = |charge: &Charge| charge.is_to(&self.quota);
            if process.has_ended() || !process.from_parent.as_ref().is_some_and(lives_on) {
                return None;
            }
            // SAFETY: as above; a process in the list is a `Ref`'s.
            unsafe { Ref::try_share(NonNull::from(process)) }
        })
    }

    /// Tells whoever watches it that it has ended, and is empty. By the reclaimer, in `Process`.
    pub(super) fn tell(&self) {
        if self.number == FIRST_NUMBER {
            user::first_ended(&self.report());
        }
        self.watchers.tell();
    }

    /// What is known of it.
    pub(crate) fn report(&self) -> ProcessReport {
        let mut ran_ticks = 0;
        let threads = {
            let threads = self.threads.lock();
            for thread in threads.iter() {
                ran_ticks += thread.ran_ticks.load(Relaxed);
            }
            threads.len() as u32
        };
        ProcessReport {
            number: self.number,
            state: self.state.load(Acquire),
            name: self.name,
            status: self.status.load(Relaxed),
            threads,
            handles: self.handles.count(),
            used: self.quota.used(),
            quota: self.quota.limit(),
            ran_ticks,
            fault: core::array::from_fn(|at| self.fault[at].load(Relaxed)),
        }
    }

    /// What is known of the `index`th of those that were not yet reclaimed.
    pub(crate) fn report_at(index: usize) -> Option<ProcessReport> {
        let all = ALL.lock();
        let listed = all.get(index)?;
        // SAFETY: a process takes itself out of the list before it ends, under the lock.
        Some(unsafe { &*listed.0 }.report())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let this = Listed(core::ptr::from_ref(self));
        ALL.lock().retain(|listed| *listed != this);
    }
}
