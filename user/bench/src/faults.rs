//! Faults of a thread in another process, which this one handles.

use super::child::{
    Child, Fp, SHARED, bench_faults, bench_faults_and_back, bench_touches, refused,
};
use super::stretch::{OVERHEAD, Samples, TIMES};
use alloc::string::String;
use alloc::vec::Vec;
use core::arch::asm;
use rt::abi::message::{Info, RESUME, RESUME_AT};
use rt::object::{Memory, MemoryKind};
use rt::syscall::Call;
use rt::thread::default_priority;
use rt::{Endpoint, Rights};

/// Where the pager's victim looks.
const TOUCHED: usize = SHARED + 4096;

/// Replies and receives the next fault; the instruction after the `svc` ends stretch 8. Gives the
/// counter then, the status, and where the fault was.
#[inline(always)]
fn reply_receive(call: Call, endpoint: u64, label: u32, word: u64) -> (u64, u64, u64) {
    let (counter, status, pc);
    // SAFETY: a message writes no memory.
    unsafe {
        asm!("svc #0", "hint #0x68", "mrs {counter}, cntvct_el0",
            counter = lateout(reg) counter, in("x8") call as u64,
            inlateout("x0") word => _, lateout("x1") _, lateout("x2") _, lateout("x3") pc,
            lateout("x4") _, lateout("x5") _, lateout("x6") _, lateout("x7") _,
            inlateout("x9") endpoint => status, inlateout("x10") Info::new(label, 1).0 => _,
            inlateout("x11") u64::MAX => _, inlateout("x12") 0_u64 => _, inlateout("x13") 0_u64 => _,
            options(nostack));
    }
    (counter, status, pc)
}

/// What a handler does about a fault at `pc` before it replies, and what it replies.
type Handle<'a> = &'a mut dyn FnMut(&Child, u64) -> Result<(u32, u64), String>;

/// Has `victim` fault, and handles that. Gives the readings around each: the two of the victim, and the
/// handler's.
fn handle(
    victim: unsafe extern "C" fn(u64) -> u64,
    what: Handle<'_>,
) -> Result<Vec<[u64; 3]>, String> {
    let child = Child::new()?;
    let endpoint = Endpoint::create().map_err(refused("endpoint"))?;
    let victim = child.thread(victim, SHARED as u64, Fp::None, default_priority())?;
    let sender = endpoint.sender(0).map_err(refused("duplicate"))?;
    victim
        .set_fault_endpoint(Some(&sender))
        .map_err(refused("fault endpoint"))?;
    victim.resume().map_err(refused("resume"))?;
    let handle = u64::from(endpoint.handle().0);
    let (mut ended, mut status, mut pc) = reply_receive(Call::Receive, handle, 0, 0);
    let mut readings = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        if let Some(error) = rt::Error::from_number(status) {
            return Err(refused("receive")(error));
        }
        let before = ended;
        let (label, word) = what(&child, pc)?;
        (ended, status, pc) = reply_receive(Call::ReplyReceive, handle, label, word);
        let mut bytes = [0; 16];
        child.shared.read(0, &mut bytes);
        let [began, resumed] = [0, 8].map(|at| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        });
        readings.push([began, before, resumed]);
    }
    Ok(readings)
}

fn skip(_: &Child, pc: u64) -> Result<(u32, u64), String> {
    Ok((RESUME_AT, pc + 4))
}

fn samples(readings: &[[u64; 3]], end: usize) -> Result<Samples, String> {
    let differences = readings
        .iter()
        .map(|reading| reading[end].wrapping_sub(reading[0]))
        .collect();
    Samples::of_differences(differences, OVERHEAD)
}

/// From an undefined instruction (1 instruction that is not executed) of a thread to the first
/// instruction of the thread of another process that waits for its faults.
pub(crate) fn to_handler() -> Result<Samples, String> {
    samples(&handle(bench_faults, &mut skip)?, 1)
}

/// From the same to the instruction behind it: the handler has replied that it be skipped.
pub(crate) fn and_back() -> Result<Samples, String> {
    samples(&handle(bench_faults_and_back, &mut skip)?, 2)
}

/// From a load that finds no page to the instruction behind it: a pager in another process has mapped
/// one, and the load was done again. (The page is taken away again outside the stretch: by the next
/// fault, an undefined instruction.)
pub(crate) fn pager() -> Result<Samples, String> {
    let page = Memory::create(4096, MemoryKind::Normal).map_err(refused("memory"))?;
    let read = Rights::READ;
    let mut touched = 0_u64;
    let readings = handle(bench_touches, &mut |child, pc| {
        if touched % 2 == 1 {
            touched += 1;
            // SAFETY: it is another process.
            unsafe { rt::object::unmap(&child.process, TOUCHED, 4096) }
                .map_err(refused("unmap"))?;
            return Ok((RESUME_AT, pc + 4));
        }
        touched += 1;
        // SAFETY: as above.
        unsafe { page.map_into(&child.process, read, TOUCHED, 0, 4096) }.map_err(refused("map"))?;
        Ok((RESUME, 0))
    })?;
    let of_loads: Vec<_> = readings.into_iter().step_by(2).collect();
    samples(&of_loads, 2)
}
