//! System calls: from a number in `x8` to what is done.
//!
//! A call is done in `NoIrq` if it takes a short, bounded time ([`now`]: messages, notifications, waits),
//! otherwise in `Process`, like any thread's work ([`open`]). The arguments are words; what they name is
//! looked up here, and every address is given to [`crate::mm::user`], which alone turns it into memory.
//!
//! | file | calls |
//! |---|---|
//! | `messages` | call, send, receive, reply |
//! | `notifications` | signal, wait, timers; yield and sleep |
//! | `handles` | duplicate, close, revoke, give |
//! | `processes` | processes and threads |
//! | `memory` | memory and mappings |
//! | `machine` | interrupts, devices, reports, the console |
//! | `faults` | what a program's fault becomes |

mod faults;
mod handles;
mod machine;
mod memory;
mod messages;
mod notifications;
mod processes;

use crate::ipc;
use crate::object::{Entry, Object, Ref, reclaim};
use crate::thread;
use crate::thread::user::{WORK_END, WORK_MOVE, WORK_SUSPEND, current_process};
use abi::error::Error;
use abi::handle::{Handle, Rights};
use abi::syscall::Call;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use cpu::context::Switchable;
use cpu::guard::{Pinned, PreemptGuard};
use entry::Flow;
use entry::frame::Frame;

pub(crate) use faults::handle as user_fault;

/// What a call gives beside its status: up to three values, for `x1` to `x3`.
pub(crate) type Values = [u64; 3];
/// No values.
pub(crate) const NOTHING: Values = [0; 3];

/// A call that is short, in `NoIrq`.
#[inline]
pub(crate) fn now(frame: &mut Frame, mut legal: Switchable<'_>) -> Flow {
    let call = Call::from_number(frame.x[8]);
    match call {
        Some(Call::MessageCall) => messages::call(frame, legal.reborrow()),
        Some(Call::ReplyReceive) => messages::reply_receive(frame, legal.reborrow()),
        Some(Call::Receive) => messages::receive(frame, legal.reborrow()),
        Some(Call::Send) => messages::send(frame, legal.reborrow()),
        Some(Call::Reply) => messages::reply(frame, legal.reborrow()),
        Some(Call::Signal) => notifications::signal(frame, legal.reborrow()),
        Some(Call::Wait) => notifications::wait(frame, legal.reborrow()),
        Some(Call::Yield) => {
            frame.x[0] = 0;
            thread::yield_in_call(legal.reborrow());
            return Flow::Done;
        }
        Some(Call::Sleep) => notifications::sleep(frame, legal.reborrow()),
        Some(Call::WhoAmI) => {
            let me = thread::current();
            let here = legal.cpu().index() as u64;
            let number = me.user().process().number();
            give(
                frame,
                Ok([u64::from(me.core.id()), u64::from(number), here]),
            );
            return Flow::Done;
        }
        Some(Call::ThreadExit) => leave_for_good(frame.x[0], legal),
        Some(_) => return Flow::Open,
        None => {
            give(frame, Err(Error::NoSuchCall));
            return Flow::Done;
        }
    }
    ipc::settle(legal);
    Flow::Done
}

/// Every other call, in `Process`.
pub(crate) fn open(frame: &mut Frame) {
    let result = match perform(&frame.x) {
        // What the caller gave up just before may not be free yet.
        Err(Error::NoMemory) if reclaim::is_behind() => {
            reclaim::catch_up();
            perform(&frame.x)
        }
        result => result,
    };
    give(frame, result);
}

/// Does what the registers ask for. If there is no memory, nothing was done.
fn perform(x: &[u64; 31]) -> Result<Values, Error> {
    let (a, b, c, d, e) = (x[0], x[1], x[2], x[3], x[4]);
    match Call::from_number(x[8]) {
        Some(Call::SaveReply) => messages::save_reply(),
        Some(Call::ProcessExit) => processes::exit(a),
        Some(Call::DebugWrite) => machine::debug_write(a, b),
        Some(Call::HandleDuplicate) => handles::duplicate(a, b, c),
        Some(Call::HandleClose) => handles::close(a),
        Some(Call::HandleRevoke) => handles::revoke(a),
        Some(Call::HandleGive) => handles::give(a, b),
        Some(Call::HandleInspect) => handles::inspect(a),
        Some(Call::ProcessCreate) => processes::create(a, b, c),
        Some(Call::ProcessKill) => processes::kill(a, b),
        Some(Call::ProcessReport) => processes::report(a, b),
        Some(Call::Watch) => processes::watch(a, b, c),
        Some(Call::ThreadCreate) => processes::thread_create(a, b),
        Some(Call::ThreadResume) => processes::thread_resume(a),
        Some(Call::ThreadSuspend) => processes::thread_suspend(a),
        Some(Call::ThreadKill) => processes::thread_kill(a),
        Some(Call::ThreadSetPriority) => processes::thread_set_priority(a, b),
        Some(Call::ThreadSetCpus) => processes::thread_set_cpus(a, [b, c]),
        Some(Call::ThreadSetFaultEndpoint) => processes::thread_set_fault_endpoint(a, b),
        Some(Call::ThreadReadRegisters) => processes::thread_read_registers(a, b),
        Some(Call::ThreadWriteRegisters) => processes::thread_write_registers(a, b),
        Some(Call::ThreadBindNotification) => notifications::bind(a),
        Some(Call::MemoryCreate) => memory::create(a, b),
        Some(Call::MemoryMap) => memory::map(a, b),
        Some(Call::MemoryUnmap) => memory::unmap(a, b, c),
        Some(Call::MemoryInspect) => memory::inspect(a, b),
        Some(Call::EndpointCreate) => messages::endpoint_create(),
        Some(Call::NotificationCreate) => notifications::create(),
        Some(Call::TimerSet) => notifications::timer_set(a, b, c),
        Some(Call::IrqBind) => machine::irq_bind(a, b, c),
        Some(Call::IrqAcknowledge) => machine::irq_acknowledge(a),
        Some(Call::MachineIrq) => machine::irq(a, b, c),
        Some(Call::MachineDeviceMemory) => machine::device_memory(a, b, c),
        Some(Call::MachineQuery) => machine::query(a, b, c, d, e),
        Some(Call::ConsoleTake) => machine::console_take(a, b, c),
        Some(Call::ConsoleRead) => machine::console_read(a, b, c),
        Some(Call::MachineWorkload) => machine::workload(a, b, c),
        Some(Call::MachineOff) => machine::off(a, b, c, d),
        // The rest was done by `now`.
        Some(_) | None => Err(Error::NoSuchCall),
    }
}

/// Writes status and values of a plain call.
fn give(frame: &mut Frame, result: Result<Values, Error>) {
    match result {
        Ok(values) => {
            frame.x[0] = 0;
            frame.x[1..4].copy_from_slice(&values);
        }
        Err(error) => frame.x[0] = error as u64,
    }
}

/// Whether the thread's fault is the end of its process: nobody resumes it. If the thread was killed while
/// its fault waited for a reply, the thread ends, and no more.
fn ends_by_fault(me: &thread::Thread) -> bool {
    me.user().is_fatal() && me.core.work.load(Relaxed) & WORK_END == 0
}

/// A thread that waited goes on: one whose fault nobody resumed ends. In `NoIrq`.
pub(crate) fn after_wait() {
    let me = thread::current();
    if ends_by_fault(me) {
        // SAFETY: the thread is in the kernel: the frame is its own.
        faults::end(me, unsafe { &*me.user().frame() });
    }
}

/// What somebody wants of the running thread before it goes on at EL0. In `NoIrq`.
pub(crate) fn work(legal: Switchable<'_>) {
    let me = thread::current();
    let work = &me.core.work;
    let wanted = work.load(Relaxed);
    if wanted & WORK_END != 0 {
        leave_for_good(0, legal);
    }
    if wanted & WORK_MOVE != 0 {
        work.fetch_and(!WORK_MOVE, SeqCst);
        if !me.links.allows(crate::smp::this(&legal).id()) {
            // Looked at again then: if it is woken before it is gone, it is still here.
            work.fetch_or(WORK_MOVE, SeqCst);
            // Who comes after it wakes it, where it may run.
            let _ = me.links.state().prepare_to_block();
            thread::block_in_exit(legal);
        }
        return;
    }
    if wanted & WORK_SUSPEND != 0 {
        let _ = me.links.state().prepare_to_block();
        // Against `resume`, which clears the bit and then wakes.
        if work.load(SeqCst) & WORK_SUSPEND != 0 {
            thread::block_in_exit(legal);
        }
    }
}

/// Ends the running thread. In `NoIrq`.
pub(crate) fn leave_for_good(status: u64, legal: Switchable<'_>) -> ! {
    let me = thread::current();
    let user = me.user();
    if let Some(caller) = user.take_caller() {
        ipc::abandon(caller);
    }
    // Unbinding cannot fail.
    let _ = user.bind(me, None);
    user.set_fault_endpoint(None);
    user.process().remove_thread(me, status);
    user.watchers().tell();
    thread::exit_in_call(legal)
}

/// What `handle` names, for the calling process, with `rights`. In `NoIrq`, or with preemption off.
#[inline(always)]
fn find(handle: u64, rights: Rights, proof: &impl Pinned) -> Result<&Entry, Error> {
    let handle = Handle(u32::try_from(handle).map_err(|_| Error::BadHandle)?);
    let entry = current_process()
        .handles
        .get(handle, proof)
        .ok_or(Error::BadHandle)?;
    if !entry.rights().contains(rights) {
        return Err(Error::NoRight);
    }
    Ok(entry)
}

/// The object of a handle, if it is a `T`.
trait Of: Sized {
    /// Which of the objects it is.
    fn of(object: &Object) -> Option<&Ref<Self>>;
}

macro_rules! of {
    ($($name:ident: $type:ty,)+) => {$(
        impl Of for $type {
            #[inline(always)]
            fn of(object: &Object) -> Option<&Ref<Self>> {
                match object {
                    Object::$name(object) => Some(object),
                    _ => None,
                }
            }
        }
    )+};
}

of! {
    Process: crate::object::Process,
    Thread: crate::object::ThreadObject,
    Endpoint: crate::object::Endpoint,
    Reply: crate::object::Reply,
    Notification: crate::object::Notification,
    Memory: crate::object::Memory,
    Irq: crate::object::Irq,
}

/// The object that `handle` names, with `rights`, kept as long as the result lives. `Process`.
fn object<T: Of>(handle: u64, rights: Rights) -> Result<Ref<T>, Error> {
    object_and_badge(handle, rights).map(|(object, _)| object)
}

/// The same with the handle's badge.
fn object_and_badge<T: Of>(handle: u64, rights: Rights) -> Result<(Ref<T>, u64), Error> {
    let pinned = PreemptGuard::new();
    let entry = find(handle, Rights::NONE, &pinned)?;
    let object = T::of(entry.object()).ok_or(Error::WrongKind)?;
    if !entry.rights().contains(rights) {
        return Err(Error::NoRight);
    }
    Ok((object.clone(), entry.badge()))
}

/// The bits that a handle with `badge` has signalled when `bits` are asked for: those of the badge, if it has
/// one. None are none: that takes a wish back.
fn bits_of(badge: u64, bits: u64) -> u64 {
    if badge == 0 || bits == 0 { bits } else { badge }
}

/// Refuses a handle that is not the machine's, with `rights`. `Process`.
fn machine_right(handle: u64, rights: Rights) -> Result<(), Error> {
    let pinned = PreemptGuard::new();
    let entry = find(handle, Rights::NONE, &pinned)?;
    if !matches!(entry.object(), Object::Machine) {
        return Err(Error::WrongKind);
    }
    if !entry.rights().contains(rights) {
        return Err(Error::NoRight);
    }
    Ok(())
}

/// Gives the calling process a handle. `Process`.
fn insert(object: Object, rights: Rights) -> Result<Values, Error> {
    let handle = current_process().handles.insert(object, rights, 0, None)?;
    Ok([u64::from(handle.0), 0, 0])
}

/// The highest priority that the caller may give.
fn priority_limit() -> sched::Level {
    thread::current().links.level()
}
