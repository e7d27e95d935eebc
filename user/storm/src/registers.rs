//! Registers must come through whatever happens between two instructions.

use core::sync::atomic::Ordering::Relaxed;

use alloc::boxed::Box;

use rt::abi::message::FaultKind;
use rt::object::{ThreadStart, USES_FP};
use rt::time::Deadline;
use rt::{Endpoint, Incoming, Process, Thread};

use crate::assembly::{
    General, Vectors, petrel_storm_fresh, petrel_storm_general, petrel_storm_plain,
    petrel_storm_trespass, petrel_storm_vectors,
};
use crate::board::Post;
use crate::random::Random;
use crate::{Wrong, ensure};

/// The flags in NZCV.
const FLAGS: u64 = 0xf << 28;
/// FPCR: rounding mode, flush to zero, default NaN, alternative half-precision.
const FPCR: u64 = 0b1_1111 << 22;
/// FPSR: QC, IDC, IXC, UFC, OFC, DZC, IOC.
const FPSR: u64 = 1 << 27 | 0x9f;
/// `TPIDR_EL0` of a thread without FP.
const TLS: u64 = 0x7135_0000_7135;

/// Integer registers, flags, `TPIDR_EL0`, and increments by an exclusive pair.
pub(crate) fn integer(post: &Post) -> Result<(), Wrong> {
    post.pin()?;
    let mut buffer = Box::new([0; 64]);
    let own = post.number << 32 | 0x7135;
    set_tpidr(own);
    post.work(|| {
        fill(&mut buffer, &post.random, 200 + post.random.below(4000));
        // SAFETY: the buffer is what it wants.
        unsafe { petrel_storm_general(&raw mut *buffer) };
        check_general(&buffer)?;
        let found = tpidr();
        ensure!(found == own, "TPIDR_EL0 is {found:#x}, was {own:#x}");
        for _ in 0..4 {
            increment_exclusively(post);
        }
        post.events(4);
        Ok(())
    })
}

fn fill(buffer: &mut General, random: &Random, turns: u64) {
    buffer[0] = turns;
    buffer[1..31].fill_with(|| random.number());
}

fn check_general(buffer: &General) -> Result<(), Wrong> {
    let flags = (buffer[32], buffer[1] & FLAGS);
    ensure!(
        flags.0 == flags.1,
        "the flags are {:#x}, were {:#x}",
        flags.0,
        flags.1
    );
    for register in 1..31 {
        let (is, was) = (buffer[32 + register], buffer[register]);
        ensure!(is == was, "X{register} has changed: {is:#x}, was {was:#x}");
    }
    Ok(())
}

fn set_tpidr(value: u64) {
    // SAFETY: the first thread of a process keeps nothing there.
    unsafe { core::arch::asm!("msr tpidr_el0, {}", in(reg) value, options(nomem, nostack)) };
}

fn tpidr() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mrs {}, tpidr_el0", out(reg) value, options(nomem, nostack)) };
    value
}

/// Adds one by a load-exclusive and a store-exclusive with some time in between: a store that succeeds
/// although somebody else has been there loses an increment.
fn increment_exclusively(post: &Post) {
    // SAFETY: the word is the board's, which only has atomics.
    unsafe {
        core::arch::asm!(
            "2: ldxr {value}, [{word}]",
            "mov {turns}, #20",
            "3: sub {turns}, {turns}, #1",
            "cbnz {turns}, 3b",
            "add {value}, {value}, #1",
            "stxr {failed:w}, {value}, [{word}]",
            "cbnz {failed:w}, 2b",
            word = in(reg) post.board.shared.as_ptr(),
            value = out(reg) _,
            turns = out(reg) _,
            failed = out(reg) _,
            options(nostack),
        );
    }
}

/// All FP and SIMD registers, with the rounding mode and the cumulative flags. Two such processes are on
/// each CPU, equal, and count how often one took the CPU from the other.
pub(crate) fn floating(post: &Post) -> Result<(), Wrong> {
    post.pin()?;
    let mut both = Box::new([const { Vectors::ZERO }; 2]);
    let ran_last = post.board.ran_last[post.cpu].as_ptr();
    post.work(|| {
        patterns(&mut both[0], &post.random);
        let turns = 2000 + post.random.below(20_000);
        // SAFETY: the buffer is what it wants, and the word is the board's.
        let switches = unsafe {
            petrel_storm_vectors(
                &raw mut *both,
                ran_last.cast_const().cast(),
                post.number,
                turns,
            )
        };
        check_vectors(&both)?;
        post.events(switches);
        Ok(())
    })
}

fn patterns(vectors: &mut Vectors, random: &Random) {
    let wide = || u128::from(random.number()) << 64 | u128::from(random.number());
    vectors.v.fill_with(wide);
    vectors.fpcr = random.number() & FPCR;
    vectors.fpsr = random.number() & FPSR;
}

fn check_vectors([was, is]: &[Vectors; 2]) -> Result<(), Wrong> {
    for (register, (is, was)) in is.v.iter().zip(&was.v).enumerate() {
        ensure!(is == was, "V{register} has changed: {is:#x}, was {was:#x}");
    }
    ensure!(
        is.fpcr == was.fpcr && is.fpsr == was.fpsr,
        "FPCR, FPSR have changed: {:#x}, {:#x}, were {:#x}, {:#x}",
        is.fpcr,
        is.fpsr,
        was.fpcr,
        was.fpsr
    );
    Ok(())
}

/// Bytes of the stack of a thread in assembly.
const STACK_BYTES: usize = 512;

/// Threads that begin: with nothing of others in their FP registers, or without any.
pub(crate) fn threads(post: &Post) -> Result<(), Wrong> {
    let mut both = Box::new([const { Vectors::ZERO }; 2]);
    let mut found = Box::new(Vectors::ZERO);
    let mut buffer: Box<General> = Box::new([0; 64]);
    let faults = Endpoint::create()?;
    post.work(|| {
        patterns(&mut both[0], &post.random);
        both[0].fpcr = 0;
        // What a new thread must not see is in the registers now.
        let nobody = core::sync::atomic::AtomicU64::new(0);
        // SAFETY: the buffer is what it wants.
        unsafe { petrel_storm_vectors(&raw mut *both, &raw const nobody, 1, 1) };
        found.v.fill(1);
        let place = (&raw mut *found).expose_provenance();
        run(petrel_storm_fresh, place, USES_FP)?;
        // SAFETY: the thread, which wrote it, has ended.
        let seen = unsafe { (&raw const *found).read_volatile() };
        let dirty = seen.v.iter().position(|v| *v != 0);
        ensure!(
            dirty.is_none() && seen.fpcr == 0 && seen.fpsr == 0,
            "a thread begins with V{} = {:#x}, FPCR = {:#x}, FPSR = {:#x}",
            dirty.unwrap_or(0),
            seen.v[dirty.unwrap_or(0)],
            seen.fpcr,
            seen.fpsr
        );

        fill(&mut buffer, &post.random, 500);
        let place = (&raw mut *buffer).expose_provenance();
        run(petrel_storm_plain, place, 0)?;
        // SAFETY: as above.
        let seen = unsafe { (&raw const *buffer).read_volatile() };
        check_general(&seen)?;
        ensure!(
            seen[63] == TLS,
            "TPIDR_EL0 is {:#x}, was {TLS:#x}",
            seen[63]
        );

        let stack = Box::new([0_u128; STACK_BYTES / 16]);
        let thread = create(petrel_storm_trespass, 0, 0, &*stack)?;
        thread.set_fault_endpoint(Some(&faults))?;
        thread.resume()?;
        match faults.receive(Deadline::FOREVER)? {
            Incoming::Fault(fault, _) => ensure!(
                fault.kind == FaultKind::NoFp as u64,
                "a thread without FP that uses it: fault {}",
                fault.kind
            ),
            _ => return Err(Wrong::from("a message that is no fault")),
        }
        thread.kill(0)?;
        thread.wait()?;
        post.events(3);
        Ok(())
    })?;
    Ok(())
}

/// Has a thread execute `entry`, and waits for its end.
fn run(entry: unsafe extern "C" fn(), argument: usize, flags: u32) -> Result<(), Wrong> {
    let stack = Box::new([0_u128; STACK_BYTES / 16]);
    let thread = create(entry, argument, flags, &*stack)?;
    thread.resume()?;
    Ok(thread.wait()?)
}

fn create(
    entry: unsafe extern "C" fn(),
    argument: usize,
    flags: u32,
    stack: &[u128],
) -> Result<Thread, Wrong> {
    let start = ThreadStart {
        entry: entry as usize as u64,
        stack: stack.as_ptr_range().end.expose_provenance() as u64,
        argument: argument as u64,
        tls: TLS,
        priority: rt::thread::default_priority(),
        flags,
        cpus: [0; 2],
    };
    // SAFETY: it runs on a stack of its own, which is kept until it has ended, as is what it writes.
    Ok(unsafe { Thread::create(Process::own(), &start) }?)
}

/// How often equal FP processes took the CPU from each other, at the least.
pub(crate) const LEAST_SWITCHES: u64 = 20;

/// What a line of such a process says.
pub(crate) fn switches(line: &crate::board::Line) -> u64 {
    line.events.load(Relaxed)
}
