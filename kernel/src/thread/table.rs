//! Threads by number, and their lives.
//!
//! A thread has two owners: itself until it has ended and is off its stack, and the [`JoinHandle`].
//! Whoever is last frees it. Its number is the scheduler's [`TaskId`].

use super::schedule;
use super::user::User;
use super::user::WORK_SUSPEND;
use crate::mm::heap::{OutOfMemory, try_box};
use crate::mm::stacks;
use crate::object::Process;
use crate::object::reclaim::{self, Retirable};
use crate::smp::CpuError;
use alloc::boxed::Box;
use core::fmt;
use core::fmt::Write;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};
use cpu::hw::{local, switch};
use cpu::lock::{Irq, Lock};
use cpu::thread::Core;
use entry::frame::Frame;
use heapless::String;
use sched::{CpuSet, Level, Links, TaskId, Tasks};

/// The most threads there can be, idle threads included.
pub(crate) const MAX_THREADS: usize = 4096;

/// A thread.
#[repr(C)]
pub(crate) struct Thread {
    /// What entry and the switch know of it; `TPIDR_EL1` points here.
    pub(crate) core: Core,
    /// The scheduler's part.
    pub(crate) links: Links,
    /// Its name, for reports.
    pub(crate) name: String<16>,
    entry: fn(usize),
    argument: usize,
    owners: AtomicU32,
    done: AtomicBool,
    /// Who waits for its end; `u32::MAX` for nobody.
    joiner: AtomicU32,
    /// How long it has run before the current turn, in ticks.
    pub(crate) ran_ticks: AtomicU64,
    /// When its current turn began, in ticks.
    pub(crate) since_ticks: AtomicU64,
    /// What it has because it runs at EL0.
    user: Option<Box<User>>,
    /// Where it is on the heap.
    home: AtomicPtr<Retirable<Thread>>,
}

/// The thread that boots, and then idles, on CPU 0.
pub(crate) static BOOT: Thread = Thread::new(0, Level::LOWEST, CpuSet::ALL, nothing, 0);

fn nothing(_: usize) {}

impl Thread {
    const fn new(
        id: u32,
        level: Level,
        allowed: CpuSet,
        entry: fn(usize),
        argument: usize,
    ) -> Self {
        Self {
            core: Core::new(id),
            links: Links::new(level, allowed),
            name: String::new(),
            entry,
            argument,
            owners: AtomicU32::new(2),
            done: AtomicBool::new(false),
            joiner: AtomicU32::new(u32::MAX),
            ran_ticks: AtomicU64::new(0),
            since_ticks: AtomicU64::new(0),
            user: None,
            home: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// What it has because it runs at EL0; `None`: it never does.
    #[inline(always)]
    pub(crate) fn try_user(&self) -> Option<&User> {
        self.user.as_deref()
    }

    /// What a thread has that runs at EL0.
    #[inline(always)]
    pub(crate) fn user(&self) -> &User {
        match &self.user {
            Some(user) => user,
            None => not_a_user(),
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> TaskId {
        TaskId(self.core.id())
    }

    /// Its name; `boot` for the one that had none.
    pub(crate) fn name(&self) -> &str {
        if self.name.is_empty() {
            "boot"
        } else {
            &self.name
        }
    }

    /// Runs it. In `NoIrq`, as the first thing on its stack.
    pub(super) fn run(&self) {
        (self.entry)(self.argument);
    }

    /// It has ended and is off its stack: frees the stack, tells who waits. `NoIrq`.
    ///
    /// # Safety
    /// It has left the scheduler for good, and no CPU is on its stack.
    pub(super) unsafe fn reap(&'static self) {
        // SAFETY: the caller's promise.
        unsafe { stacks::free(&self.core.stack()) };
        // Against `join`: each side stores, then loads the other's word.
        self.done.store(true, SeqCst);
        let joiner = self.joiner.load(SeqCst);
        if joiner != u32::MAX {
            super::wake(TABLE.get(TaskId(joiner)));
        }
        if let Some(user) = self.try_user() {
            Process::thread_gone(user.process());
        }
        self.disown();
    }

    /// Gives up one ownership; after the last one it is freed, when nobody can see it any more.
    fn disown(&'static self) {
        if self.owners.fetch_sub(1, AcqRel) == 1 {
            TABLE.slots[self.core.id() as usize].store(core::ptr::null_mut(), Release);
            NUMBERS.lock().give_back(self.core.id());
            // SAFETY: `make` leaked it, and both owners have given it up.
            reclaim::retire(unsafe { Box::from_raw(self.home.load(Relaxed)) });
        }
    }
}

#[cold]
#[inline(never)]
fn not_a_user() -> ! {
    panic!("a kernel thread was taken for one that runs at EL0")
}

/// The thread that runs here.
#[inline(always)]
pub(crate) fn current() -> &'static Thread {
    let core = core::ptr::from_ref(local::thread());
    // SAFETY: every `Core` that runs is the first field of a `Thread`, which is `repr(C)`.
    unsafe { &*core.cast::<Thread>() }
}

/// All threads, by number.
pub(crate) struct Table {
    slots: [AtomicPtr<Thread>; MAX_THREADS],
}

/// All threads, by number.
pub(crate) static TABLE: Table = Table {
    slots: [const { AtomicPtr::new(core::ptr::null_mut()) }; MAX_THREADS],
};

impl Table {
    /// The thread with that number, which lives: it runs, is queued, or the caller owns it.
    #[inline(always)]
    pub(crate) fn get(&self, id: TaskId) -> &'static Thread {
        let thread = self.slots[id.0 as usize % MAX_THREADS].load(Relaxed);
        // SAFETY: the scheduler and owners name only threads that live.
        unsafe { &*thread }
    }

    /// The thread with that number, if there is one. Its memory stays as long as the caller is not
    /// switched away from.
    #[inline(always)]
    pub(crate) fn find(&self, id: u32) -> Option<&'static Thread> {
        let thread = self.slots.get(id as usize)?.load(Acquire);
        // SAFETY: see above.
        unsafe { thread.as_ref() }
    }
}

impl Tasks for Table {
    #[inline(always)]
    fn links(&self, id: TaskId) -> &Links {
        &self.get(id).links
    }
}

/// Numbers to give out: those given back first.
struct Numbers {
    next: u32,
    free: heapless::Vec<u16, MAX_THREADS>,
}

impl Numbers {
    fn take(&mut self) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            return Some(u32::from(number));
        }
        if self.next as usize >= MAX_THREADS {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    fn give_back(&mut self, number: u32) {
        // There is room for every number that was ever taken.
        let _ = self.free.push(number as u16);
    }
}

/// Number 0 is [`BOOT`]'s.
static NUMBERS: Lock<Numbers, Irq> = Lock::new(Numbers {
    next: 1,
    free: heapless::Vec::new(),
});

/// Puts [`BOOT`] into the table. First of all.
pub(crate) fn publish_boot() {
    TABLE.slots[0].store((&raw const BOOT).cast_mut(), Release);
}

/// What a new thread is to be.
#[derive(Clone, Copy)]
pub(crate) struct Spec<'a> {
    /// For reports; cut to 16 bytes.
    pub(crate) name: &'a str,
    /// Its priority level.
    pub(crate) level: Level,
    /// Where it may run.
    pub(crate) allowed: CpuSet,
    /// What it does.
    pub(crate) entry: fn(usize),
    /// What that is given.
    pub(crate) argument: usize,
}

/// Why a thread could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpawnError {
    /// No memory for it or its stack.
    NoMemory,
    /// There are [`MAX_THREADS`].
    TooMany,
    /// None of the CPUs it may run on is up.
    NoCpu,
    /// Its process has ended.
    Gone,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => write!(f, "no memory for a thread"),
            Self::TooMany => write!(f, "there are {MAX_THREADS} threads already"),
            Self::NoCpu => write!(f, "none of the thread's CPUs is up"),
            Self::Gone => write!(f, "the thread's process has ended"),
        }
    }
}

impl From<OutOfMemory> for SpawnError {
    fn from(_: OutOfMemory) -> Self {
        Self::NoMemory
    }
}

fn make(spec: &Spec<'_>, user: Option<Box<User>>) -> Result<&'static Thread, SpawnError> {
    let stack = stacks::allocate().ok_or(SpawnError::NoMemory)?;
    let Some(number) = NUMBERS.lock().take() else {
        // SAFETY: just allocated, nobody is on it.
        unsafe { stacks::free(&stack) };
        return Err(SpawnError::TooMany);
    };
    let mut thread = Thread::new(number, spec.level, spec.allowed, spec.entry, spec.argument);
    for letter in spec.name.chars() {
        // A long name is cut.
        let _ = thread.name.write_char(letter);
    }
    thread.user = user;
    let thread: &'static Thread = match try_box(Retirable::new(thread)) {
        Ok(thread) => {
            let home = Box::into_raw(thread);
            // SAFETY: just made, and freed only when both owners have given it up.
            let thread: &'static Thread = unsafe { &*home };
            thread.home.store(home, Relaxed);
            thread
        }
        Err(error) => {
            NUMBERS.lock().give_back(number);
            // SAFETY: as above.
            unsafe { stacks::free(&stack) };
            return Err(error.into());
        }
    };
    let itself = core::ptr::from_ref(thread) as u64;
    // SAFETY: the stack is the thread's own from here on.
    unsafe { switch::prepare(&thread.core, stack, schedule::first, itself) };
    let itself = core::ptr::from_ref(thread).cast_mut();
    TABLE.slots[number as usize].store(itself, Release);
    Ok(thread)
}

/// Makes a thread and lets it run. `Process`.
///
/// # Errors
/// [`SpawnError`].
pub(crate) fn spawn(spec: &Spec<'_>) -> Result<JoinHandle, SpawnError> {
    let thread = make(spec, None)?;
    if super::wake::start(thread) {
        Ok(JoinHandle(thread))
    } else {
        // SAFETY: it never ran; nobody is on its stack.
        unsafe { thread.reap() };
        thread.disown();
        Err(SpawnError::NoCpu)
    }
}

/// Makes a thread that begins at EL0 with the registers of `frame`, when it is resumed: it begins
/// suspended. `Process`.
///
/// # Errors
/// [`SpawnError`].
pub(crate) fn spawn_user(
    name: &str,
    level: Level,
    allowed: CpuSet,
    user: Box<User>,
    frame: Frame,
) -> Result<JoinHandle, SpawnError> {
    let spec = Spec {
        name,
        level,
        allowed,
        entry: nothing,
        argument: 0,
    };
    let thread = make(&spec, Some(user))?;
    let stack = thread.core.stack();
    let resume = crate::entries::user_resume(crate::irq::setup().mechanism);
    // SAFETY: the stack is the thread's own, and it has not run.
    unsafe { switch::prepare_user(&thread.core, stack.clone(), size_of::<Frame>(), resume) };
    let place = (stack.end as usize - size_of::<Frame>()) as *mut Frame;
    // SAFETY: the top of the thread's own stack.
    unsafe { place.write(frame) };
    let user = thread.user();
    user.set_frame(place);
    thread.core.work.store(WORK_SUSPEND, SeqCst);
    let never_ran = |error| {
        // SAFETY: it never ran; nobody is on its stack.
        unsafe { stacks::free(&thread.core.stack()) };
        thread.disown();
        thread.disown();
        Err(error)
    };
    if user.process().add_thread(thread).is_err() {
        return never_ran(SpawnError::Gone);
    }
    if !super::wake::start(thread) {
        user.process().remove_thread(thread, 0);
        Process::thread_gone(user.process());
        return never_ran(SpawnError::NoCpu);
    }
    Ok(JoinHandle(thread))
}

/// Makes the idle thread of CPU `index`.
///
/// # Errors
/// [`CpuError::NoMemory`].
pub(crate) fn new_idle(index: usize) -> Result<&'static Thread, CpuError> {
    let mut name = String::<16>::new();
    // Fits.
    let _ = write!(name, "idle/{index}");
    let spec = Spec {
        name: &name,
        level: Level::LOWEST,
        allowed: CpuSet::ALL,
        entry: nothing,
        argument: 0,
    };
    make(&spec, None).map_err(|_| CpuError::NoMemory)
}

/// The right to wait for a thread's end. Dropped, the thread goes on by itself.
#[must_use = "a thread that nobody joins goes on by itself"]
pub(crate) struct JoinHandle(&'static Thread);

impl JoinHandle {
    /// The thread.
    pub(crate) fn thread(&self) -> &Thread {
        self.0
    }

    /// The thread, for [`super::wake`].
    pub(crate) fn waker(&self) -> &'static Thread {
        self.0
    }

    /// Waits until it has ended and its stack is free again. `Process`.
    pub(crate) fn join(self) {
        self.0.joiner.store(current().core.id(), SeqCst);
        schedule::wait_until(|| self.0.done.load(SeqCst));
        // The reaper is in its last instructions, in `NoIrq`, and may still name us.
        while self.0.owners.load(Acquire) != 1 {
            crate::smp::spin();
        }
    }

    /// Whether it has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.0.done.load(Acquire)
    }
}

impl Drop for JoinHandle {
    fn drop(&mut self) {
        self.0.disown();
    }
}
