//! The process that makes the calls.
//!
//! Its threads are known to nobody, not even by a handle in its own table: so nothing that they do to
//! threads stops one of them, or writes its registers, and what [`verify`] finds is the kernel's doing.

use alloc::format;
use alloc::string::String;

use callfuzz::arguments::{SCRATCH, SCRATCH_BYTES, SCRATCH_STRIDE, Source};
use callfuzz::board::Board;
use callfuzz::pool::Pool;
use callfuzz::random::Random;
use callfuzz::verify::{Registers, verify};
use rt::abi::handle::{Handle, Kind};
use rt::abi::message::Info;
use rt::abi::syscall::{AT_ONCE, Call};
use rt::abi::thread::{ThreadStart, USES_FP};
use rt::object::{MemoryKind, Owned};
use rt::syscall::{MessageRegisters, message, plain};
use rt::time::Duration;
use rt::{Endpoint, Memory, Notification, Process, Rights, Thread};

use crate::raw;

/// How many threads make calls.
pub(crate) const THREADS: u64 = 4;
/// Where the board is mapped.
const BOARD: usize = 0x28_0000_0000;
/// A thread's stack.
const STACK_BYTES: usize = 32 << 10;
/// Where they lie.
const STACKS: usize = 0x29_0000_0000;
/// From one to the next.
const STACK_STRIDE: usize = 1 << 20;

/// How often to look whether anything goes on.
const LOOK: Duration = Duration::from_millis(2);

static POOL: Pool = Pool::new();

/// What a thread is told.
struct Task {
    board: &'static Board,
    seed: u64,
    calls: u64,
    number: u64,
}

/// Makes so many calls, from several threads, with what is drawn by the seed.
pub(crate) fn run(seed: u64, calls: u64) -> Result<(), String> {
    let board = rt::start::take::<Memory>("board").ok_or("no board")?;
    let both = Rights::READ.with(Rights::WRITE);
    // SAFETY: nothing else lies there.
    let mapped = unsafe { board.map_into(Process::own(), both, BOARD, 0, 4096) };
    mapped.map_err(|error| format!("the board: {error}"))?;
    // SAFETY: it was just mapped, and whoever may see it uses atomics.
    let board: &'static Board = unsafe { &*core::ptr::with_exposed_provenance(BOARD) };
    fill_pool(&mut Random::new(!seed)).map_err(|error| format!("handles: {error}"))?;
    for number in 0..THREADS {
        let task = Task {
            board,
            seed,
            calls,
            number,
        };
        start(task).map_err(|error| format!("thread {number}: {error}"))?;
    }
    // From now on nobody can name this thread either.
    // SAFETY: the handle is the run-time's, which uses it no more: no thread is spawned any more.
    let _ = unsafe {
        plain(
            Call::HandleClose,
            [rt::start::first_thread().handle().0.into()],
        )
    };
    let mut made = 0;
    while made < calls {
        rt::time::sleep(LOOK);
        let now = board.made();
        if now == made {
            rescue();
        }
        made = now;
    }
    Ok(())
}

/// Some handles of every kind to begin with.
fn fill_pool(random: &mut Random) -> Result<(), rt::Error> {
    for grant in rt::start::page().grants() {
        let name = rt::abi::start::text(&grant.name);
        if matches!(name, "thread" | "board") {
            continue;
        }
        let handle = Owned::new(Handle(grant.handle));
        let kind = handle.inspect()?.kind;
        let handle = handle.leak().0;
        for _ in 0..6 {
            POOL.put(Some(kind), handle, random);
        }
    }
    for _ in 0..6 {
        let endpoint = Endpoint::create()?;
        let badged = endpoint.sender(random.number())?;
        POOL.put(Some(Kind::Endpoint), Owned::from(badged).leak().0, random);
        POOL.put(Some(Kind::Endpoint), Owned::from(endpoint).leak().0, random);
        let notification = Owned::from(Notification::create()?).leak();
        POOL.put(Some(Kind::Notification), notification.0, random);
        let memory = Memory::create(8192, MemoryKind::Normal)?;
        POOL.put(Some(Kind::Memory), Owned::from(memory).leak().0, random);
    }
    Ok(())
}

/// Has everybody go on who waits for something that only the others could do, and they wait too.
fn rescue() {
    for handle in POOL.all(Kind::Notification) {
        // SAFETY: the call writes no memory.
        let _ = unsafe { plain(Call::Signal, [handle.into(), 1]) };
    }
    for handle in POOL.all(Kind::Endpoint) {
        for call in [Call::Send, Call::Receive] {
            let mut registers = MessageRegisters {
                target: Handle(handle),
                deadline_ticks: AT_ONCE,
                ..MessageRegisters::default()
            };
            let _ = message(call, &mut registers);
        }
    }
}

/// Starts a thread, with memory of its own.
fn start(task: Task) -> Result<(), rt::Error> {
    let both = Rights::READ.with(Rights::WRITE);
    let scratch = (SCRATCH + task.number * SCRATCH_STRIDE) as usize;
    let memory = Memory::create(SCRATCH_BYTES as usize, MemoryKind::Normal)?;
    // SAFETY: nothing else lies there.
    unsafe { memory.map_into(Process::own(), both, scratch, 0, SCRATCH_BYTES as usize) }?;
    let bottom = STACKS + task.number as usize * STACK_STRIDE;
    let memory = Memory::create(STACK_BYTES, MemoryKind::Normal)?;
    // SAFETY: nor there.
    unsafe { memory.map_into(Process::own(), both, bottom, 0, STACK_BYTES) }?;
    let top = bottom + STACK_BYTES;
    let place = top - size_of::<Task>().next_multiple_of(16);
    // SAFETY: the stack was just mapped.
    unsafe { core::ptr::with_exposed_provenance_mut::<Task>(place).write(task) };
    let start = ThreadStart {
        entry: thread as extern "C" fn(&Task) -> ! as usize as u64,
        stack: place as u64,
        argument: place as u64,
        priority: rt::thread::default_priority(),
        flags: USES_FP,
        ..ThreadStart::default()
    };
    // SAFETY: it has a stack of its own, and its argument lies above it.
    let thread = unsafe { Thread::create(Process::own(), &start) }?;
    thread.resume()
    // Here its handle is closed.
}

extern "C" fn thread(task: &Task) -> ! {
    let scratch = SCRATCH + task.number * SCRATCH_STRIDE;
    let mut source = Source {
        random: Random::new(task.seed.wrapping_mul(THREADS).wrapping_add(task.number)),
        pool: &POOL,
        scratch,
        now: || rt::time::now().ticks(),
        harmless: raw::harmless(),
        itself: Process::own().handle().0.into(),
    };
    while task.board.made() < task.calls {
        let (before, structure) = source.draw();
        let whole = scratch..=scratch + SCRATCH_BYTES - 64;
        if let Some(words) = structure
            && whole.contains(&before[1])
        {
            // SAFETY: the thread's own memory.
            unsafe {
                core::ptr::with_exposed_provenance_mut::<[u64; 8]>(before[1] as usize)
                    .write_unaligned(words);
            }
        }
        // SAFETY: nothing that lies in the process's own memory matters to it.
        let after = unsafe { raw::call(&before) };
        if let Some(register) = verify(&before, &after) {
            task.board.note_broken(before[8], register);
        }
        let call = Call::from_number(before[8]);
        let status = match call {
            Some(call) if call.carries_message() => after[9],
            _ => after[0],
        };
        task.board.note(before[8], status);
        if status == 0
            && let Some(call) = call
        {
            keep(call, &before, &after, &mut source.random);
        }
    }
    loop {
        // SAFETY: the thread is done.
        let _ = unsafe { plain(Call::ThreadExit, [0]) };
    }
}

/// Keeps the handles that a call gave, for all threads; closes those in whose place they come.
fn keep(call: Call, before: &Registers, after: &Registers, random: &mut Random) {
    let mut put = |kind: Option<Kind>, handle: u32| {
        let old = POOL.put(kind, handle, random);
        if old != Handle::NONE.0 && old != Process::own().handle().0 {
            // SAFETY: only calls by number use the handles of the pool.
            let _ = unsafe { plain(Call::HandleClose, [old.into()]) };
        }
    };
    let kind = match call {
        Call::SaveReply => Kind::Reply,
        Call::ProcessCreate => Kind::Process,
        Call::ThreadCreate => Kind::Thread,
        Call::MemoryCreate | Call::MachineDeviceMemory => Kind::Memory,
        Call::EndpointCreate => Kind::Endpoint,
        Call::NotificationCreate => Kind::Notification,
        Call::MachineIrq => Kind::Irq,
        Call::HandleDuplicate => {
            let of = POOL.kind(before[0] as u32);
            return put(of, after[1] as u32);
        }
        Call::MessageCall | Call::ReplyReceive | Call::Receive => {
            let handles = [Handle::unpack(after[12]), Handle::unpack(after[13])];
            let count = Info(after[10]).handles();
            for handle in handles.as_flattened().iter().take(count) {
                if *handle != Handle::NONE {
                    put(None, handle.0);
                }
            }
            return;
        }
        _ => return,
    };
    put(Some(kind), after[1] as u32);
}
