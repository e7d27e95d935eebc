//! Which system registers and system instructions can EL0 use?
//!
//! All encodings of the system space are tried (DDI 0487, C5.1), with and without a meaning, and those
//! that are executed must be in a list. A CPU with a feature that this kernel has never heard of, and
//! has not closed, is found here.

use crate::victim::{DATA, Fp, Outcome, Victim};
use crate::{Wrong, ensure};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::ops::Range;
use rt::object::Registers;

/// An encoding: op0, op1, CRn, CRm, op2.
type Encoding = (u32, u32, u32, u32, u32);

/// The registers that EL0 may read.
const READABLE: &[(&str, Encoding)] = &[
    // Closed by MDSCR_EL1.TDCC, which QEMU does not know before 8.1: there it is a constant.
    ("MDCCSR_EL0", (2, 3, 0, 1, 0)),
    ("CTR_EL0", (3, 3, 0, 0, 1)),
    ("DCZID_EL0", (3, 3, 0, 0, 7)),
    ("RNDR", (3, 3, 2, 4, 0)),
    ("RNDRRS", (3, 3, 2, 4, 1)),
    ("NZCV", (3, 3, 4, 2, 0)),
    ("DIT", (3, 3, 4, 2, 5)),
    ("SSBS", (3, 3, 4, 2, 6)),
    ("TCO", (3, 3, 4, 2, 7)),
    ("PMUSERENR_EL0", (3, 3, 9, 14, 0)),
    ("TPIDR_EL0", (3, 3, 13, 0, 2)),
    ("TPIDRRO_EL0", (3, 3, 13, 0, 3)),
    ("AMUSERENR_EL0", (3, 3, 13, 2, 3)),
    ("CNTFRQ_EL0", (3, 3, 14, 0, 0)),
    ("CNTVCT_EL0", (3, 3, 14, 0, 2)),
    ("CNTVCTSS_EL0", (3, 3, 14, 0, 6)),
];
/// Those it may write.
const WRITABLE: &[(&str, Encoding)] = &[
    ("NZCV", (3, 3, 4, 2, 0)),
    ("DIT", (3, 3, 4, 2, 5)),
    ("SSBS", (3, 3, 4, 2, 6)),
    ("TCO", (3, 3, 4, 2, 7)),
    ("TPIDR_EL0", (3, 3, 13, 0, 2)),
];
/// What it may do to its own memory.
const INSTRUCTIONS: &[(&str, Encoding)] = &[
    ("DC ZVA", (1, 3, 7, 4, 1)),
    ("DC GVA", (1, 3, 7, 4, 3)),
    ("DC GZVA", (1, 3, 7, 4, 4)),
];
/// The lowest address of the kernel's.
const KERNEL: u64 = 0xffff_ff80_0000_0000;

/// How many encodings were tried.
pub(crate) fn check() -> Result<u64, Wrong> {
    let mut tried = 0;
    tried += sweep("MRS", 1, 2..4, READABLE)?;
    tried += sweep("MSR", 0, 2..4, WRITABLE)?;
    tried += sweep("SYS", 0, 1..2, INSTRUCTIONS)?;
    tried += sweep("SYSL", 1, 1..2, &[])?;
    Ok(tried + pstate()?)
}

/// The instruction, on `x1`.
fn encode(reads: u32, (op0, op1, crn, crm, op2): Encoding) -> u32 {
    0xd500_0001 | reads << 21 | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
}

/// All encodings with an op0 in `op0s`.
fn encodings(op0s: &Range<u32>) -> impl Iterator<Item = Encoding> {
    let all = op0s.start << 14..op0s.end << 14;
    all.map(|at| (at >> 14, at >> 11 & 7, at >> 7 & 0xf, at >> 3 & 0xf, at & 7))
}

fn sweep(
    what: &str,
    reads: u32,
    op0s: Range<u32>,
    permitted: &[(&str, Encoding)],
) -> Result<u64, Wrong> {
    let words: Vec<u32> = encodings(&op0s)
        .map(|encoding| encode(reads, encoding))
        .collect();
    let mut victim = Victim::new(&words, Fp::None)?;
    let mut registers = Registers::default();
    registers.x[1] = DATA as u64;
    let mut executed = 0;
    let mut unknown = String::new();
    for (slot, encoding) in encodings(&op0s).enumerate() {
        let Outcome::Executed(after) = victim.execute(slot, &registers)? else {
            continue;
        };
        executed += 1;
        let known = permitted.iter().find(|(_, known)| *known == encoding);
        let Some((name, _)) = known else {
            let (op0, op1, crn, crm, op2) = encoding;
            let _ = write!(unknown, " S{op0}_{op1}_C{crn}_C{crm}_{op2}");
            continue;
        };
        let random = name.starts_with("RND");
        ensure!(
            random || after.x[1] < KERNEL,
            "{what} {name} tells an address of the kernel's: {:#x}",
            after.x[1]
        );
    }
    ensure!(
        unknown.is_empty(),
        "EL0 can execute what is in no list: {what}{unknown}"
    );
    ensure!(
        executed > 0 || permitted.is_empty(),
        "no {what} at all was executed: nothing was tested"
    );
    Ok(words.len() as u64)
}

/// `MSR` of a field of PSTATE, with a constant: masks, PAN, the stack pointer.
fn pstate() -> Result<u64, Wrong> {
    // UAO, PAN, SPSel, ALLINT, DAIF set and clear, SM and ZA; not SSBS, DIT, TCO, which are EL0's, and not
    // CFINV, XAFLAG, AXFLAG, which only compute.
    const FIELDS: [(u32, u32); 7] = [(0, 3), (0, 4), (0, 5), (1, 0), (3, 6), (3, 7), (3, 3)];
    let mut words = Vec::new();
    for (op1, op2) in FIELDS {
        for constant in 0..16 {
            words.push(0xd500_401f | op1 << 16 | constant << 8 | op2 << 5);
        }
    }
    // ERET, HVC, SMC, HLT, DRPS.
    words.extend([
        0xd69f_03e0,
        0xd400_0002,
        0xd400_0003,
        0xd45e_0000,
        0xd6bf_03e0,
    ]);
    let mut victim = Victim::new(&words, Fp::None)?;
    for (slot, word) in words.iter().enumerate() {
        if let Outcome::Executed(_) = victim.execute(slot, &Registers::default())? {
            return Err(Wrong(alloc::format!("EL0 can execute {word:#010x}")));
        }
    }
    Ok(words.len() as u64)
}
