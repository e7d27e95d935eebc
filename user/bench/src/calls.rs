//! System calls and messages.

use super::child::{
    Ask, Child, Fp, bench_client_fp, bench_client_ten, bench_client_thread, bench_server,
    bench_server_ten, receiver, refused, start,
};
use super::stretch::{OVERHEAD, Samples, TIMES, end};
use alloc::string::String;
use alloc::vec;
use core::arch::asm;
use rt::object::{Process, Thread};
use rt::thread::default_priority;
use rt::{Endpoint, Error};

/// From the `svc` (1 instruction) to the instruction after it.
pub(crate) fn null() -> Result<Samples, String> {
    Samples::of(|| {
        let start: u64;
        // SAFETY: the null call changes x0 to x3 only.
        unsafe {
            asm!("mrs {start}, cntvct_el0", "hint #0x40", "svc #0",
                start = out(reg) start, in("x8") 0_u64,
                lateout("x0") _, lateout("x1") _, lateout("x2") _, lateout("x3") _, options(nostack));
        }
        Ok([start, end::<0>()])
    })
}

/// Call and reply between two processes whose threads have no FP registers: from the client's `svc` to
/// the instruction after it. Four instructions of the server are in it.
pub(crate) fn without_fp() -> Result<Samples, String> {
    measure(bench_server, Fp::None, |ask| {
        let mut stack = vec![0_u128; 64];
        let top = stack.as_mut_ptr_range().end.expose_provenance() as u64;
        let argument = (&raw const *ask).expose_provenance() as u64;
        let start = start(
            bench_client_thread as *const () as u64,
            argument,
            Fp::None,
            default_priority(),
            top,
        );
        // SAFETY: it runs on a stack of its own and is waited for.
        let thread =
            unsafe { Thread::create(Process::own(), &start) }.map_err(refused("thread"))?;
        thread.resume().map_err(refused("resume"))?;
        thread.wait().map_err(refused("join"))?;
        Ok(0)
    })
}

/// The same, with FP registers that are kept apart.
pub(crate) fn with_fp() -> Result<Samples, String> {
    measure(bench_server, Fp::Kept, |ask| {
        // SAFETY: it writes into the room it was given.
        Ok(unsafe { bench_client_fp(ask) })
    })
}

/// The same with ten words each way: eight in registers, two through a page that both have. It is one
/// call, and the two words cost the four instructions that write and read them.
pub(crate) fn ten_words() -> Result<Samples, String> {
    measure(bench_server_ten, Fp::Kept, |ask| {
        // SAFETY: as above; the shared page is mapped.
        Ok(unsafe { bench_client_ten(ask) })
    })
}

fn measure(
    server: unsafe extern "C" fn(u64) -> u64,
    fp: Fp,
    client: impl Fn(&Ask) -> Result<u64, String>,
) -> Result<Samples, String> {
    let child = Child::new()?;
    let endpoint = Endpoint::create().map_err(refused("endpoint"))?;
    let there = child.give(receiver(&endpoint)?)?;
    let server = child.thread(server, there, fp, default_priority())?;
    server.resume().map_err(refused("resume"))?;
    // The server goes first, and waits.
    rt::thread::yield_now();
    let mut ticks = vec![0; TIMES];
    let ask = Ask {
        endpoint: u64::from(endpoint.handle().0),
        ticks: ticks.as_mut_ptr(),
        count: TIMES as u64,
        shared: child.shared.pointer(),
    };
    match Error::from_number(client(&ask)?) {
        Some(error) => Err(refused("call")(error)),
        None => Samples::of_differences(ticks, OVERHEAD),
    }
}
