//! Does a thread find anything of others in its registers, and does it find its own again?

use crate::victim::{Fp, Outcome, Victim};
use crate::{Wrong, ensure};
use alloc::vec::Vec;
use rt::abi::syscall::Call;
use rt::object::Registers;

/// `svc #0`.
const SVC: u32 = 0xd400_0001;
/// What system calls write: status and values.
const RESULTS: usize = 4;
/// The flags in PSTATE.
const FLAGS: u64 = 0xf << 28;

/// How many registers were looked at.
pub(crate) fn check() -> Result<u64, Wrong> {
    Ok(general()? + vectors()?)
}

fn general() -> Result<u64, Wrong> {
    let mut victim = Victim::new(&[SVC], Fp::None)?;
    let first = victim.first;
    let found = first.x.iter().position(|x| *x != 0);
    ensure!(
        found.is_none() && first.tls == 0 && first.pstate & FLAGS == 0,
        "a new thread finds x{} = {:#x}, TPIDR_EL0 = {:#x}, PSTATE = {:#x}",
        found.unwrap_or(0),
        first.x[found.unwrap_or(0)],
        first.tls,
        first.pstate
    );
    let mut looked = first.x.len() as u64;
    for (round, call) in [
        Call::Null as u64,
        Call::WhoAmI as u64,
        Call::Yield as u64,
        // Neither is one.
        u64::MAX,
        Call::HandleInspect as u64,
    ]
    .into_iter()
    .enumerate()
    {
        let mut before = Registers::default();
        for (at, x) in before.x.iter_mut().enumerate() {
            *x = (0x0101_0101_0101_0101 * (at as u64 + 1)) ^ round as u64;
        }
        before.x[8] = call;
        before.tls = 0x7135;
        before.pstate = (round as u64 & 0xf) << 28;
        let Outcome::Executed(after) = victim.execute(0, &before)? else {
            return Err(Wrong(alloc::format!("call {call} faults")));
        };
        ensure!(
            after.x[RESULTS..] == before.x[RESULTS..]
                && after.tls == before.tls
                && after.pstate & FLAGS == before.pstate & FLAGS,
            "call {call} changes a register that is the caller's: {:x?} were {:x?}",
            &after.x[RESULTS..],
            &before.x[RESULTS..]
        );
        looked += after.x.len() as u64;
    }
    Ok(looked)
}

/// All of a new thread's FP and SIMD registers are zero, whatever this thread has in them.
fn vectors() -> Result<u64, Wrong> {
    let mut words = Vec::new();
    for register in 0..32 {
        // `fmov x1, dN`, `fmov x1, vN.d[1]`.
        words.push(0x9e66_0001 | register << 5);
        words.push(0x9eae_0001 | register << 5);
    }
    // `mrs x1, fpcr`, `mrs x1, fpsr`.
    words.extend([0xd53b_4401, 0xd53b_4421]);
    let mut victim = Victim::new(&words, Fp::Used)?;
    let mut before = Registers::default();
    before.x[1] = u64::MAX;
    for (slot, word) in words.iter().enumerate() {
        let Outcome::Executed(after) = victim.execute(slot, &before)? else {
            return Err(Wrong(alloc::format!(
                "a thread with FP registers cannot execute {word:#010x}"
            )));
        };
        ensure!(
            after.x[1] == 0,
            "a new thread's FP state holds {:#x} (read by {word:#010x})",
            after.x[1]
        );
    }
    drop(victim);
    let mut without = Victim::new(&words[..1], Fp::None)?;
    let refused = matches!(without.execute(0, &before)?, Outcome::Refused(_));
    ensure!(refused, "a thread without FP registers can read them");
    Ok(words.len() as u64)
}
