//! FP and SIMD registers: each thread's own, or none.

use alloc::vec::Vec;
use core::arch::asm;

use rt::abi::message::{Access, FaultKind};
use rt::object::Registers;
use rt::thread::{Builder, JoinHandle, yield_now};

use crate::case::{Case, Outcome, World, Wrong, equal, joined};
use crate::probe::{MARK, Place, Probe, is_fault};

pub(crate) const CASES: &[Case] = &[
    ("sel4test FPU0000", fpu0000),
    ("sel4test FPU0001", fpu0001),
    ("sel4test FPU0003", fpu0003),
    (
        "hubris test_floating_point_lowregs",
        test_floating_point_lowregs,
    ),
    (
        "hubris test_floating_point_highregs",
        test_floating_point_highregs,
    ),
    (
        "hubris test_floating_point_fault",
        test_floating_point_fault,
    ),
];

/// `fmov d0, x1`.
const TO_VECTOR: u32 = 0x9e67_0020;
/// `fmov x2, d0`.
const FROM_VECTOR: u32 = 0x9e66_0002;
const THREADS: u64 = 5;

/// A sum that depends on every bit of every step, with calls in between.
pub(crate) fn compute(seed: u64, steps: u32) -> u64 {
    let mut value = seed as f64 + 0.1;
    for step in 0..steps {
        value = value * 1.000_000_3 + 1.0 / (f64::from(step) + value);
        if step % 16 == 0 {
            yield_now();
        }
    }
    value.to_bits()
}

/// FP instructions give what they must.
fn fpu0000(_: &World) -> Outcome {
    let [two, three, half] = core::hint::black_box([2.0_f64, 3.0, 0.5]);
    let found = [two * three, two / three, half - two, three + half];
    let expected = [6_f64, 2.0 / 3.0, -1.5, 3.5];
    equal!(
        found.map(f64::to_bits),
        expected.map(f64::to_bits),
        "the bits of the results"
    );
    Ok(())
}

/// Threads that compute with FP at the same time, switched in the middle, each get the right result.
fn fpu0001(_: &World) -> Outcome {
    const STEPS: u32 = 1000;
    let expected: Vec<u64> = (0..THREADS).map(|seed| compute(seed, STEPS)).collect();
    let mut threads = Vec::new();
    for seed in 0..THREADS {
        threads.push(rt::thread::spawn(move || compute(seed, STEPS))?);
    }
    for (thread, expected) in threads.into_iter().zip(expected) {
        equal!(joined(thread)?, expected, "the bits of the result");
    }
    Ok(())
}

/// A thread that was made without FP faults at its first FP instruction; one that has FP executes it.
fn fpu0003(_: &World) -> Outcome {
    let code = [TO_VECTOR, FROM_VECTOR];
    let mut registers = Registers::default();
    registers.x[1] = 0x1234_5678;
    let without = Probe::new(Place::Elsewhere, &code)?;
    let stop = without.run(registers)?;
    is_fault(&stop, FaultKind::NoFp, Access::None, 0, without.code)?;
    let with = Probe::with_fp(Place::Elsewhere, &code)?;
    equal!(
        with.completes(registers)?.x[2],
        registers.x[1],
        "what went through d0"
    );
    Ok(())
}

/// Sixteen vector registers.
type Half = [u128; 16];

macro_rules! keep {
    ($name:ident, $about:literal, $a:literal, $b:literal, $c:literal, $d:literal, $($register:tt),+) => {
        #[doc = $about]
        fn $name(values: &Half, yields: u64) -> Half {
            let mut found = [0; 16];
            // SAFETY: reads the one and writes the other, as long as they are; yielding writes no memory.
            unsafe {
                asm!(
                    concat!("ld1 {{", $a, "}}, [{from}], #64"),
                    concat!("ld1 {{", $b, "}}, [{from}], #64"),
                    concat!("ld1 {{", $c, "}}, [{from}], #64"),
                    concat!("ld1 {{", $d, "}}, [{from}]"),
                    "2: svc #0",
                    "subs {left}, {left}, #1",
                    "b.ne 2b",
                    concat!("st1 {{", $a, "}}, [{to}], #64"),
                    concat!("st1 {{", $b, "}}, [{to}], #64"),
                    concat!("st1 {{", $c, "}}, [{to}], #64"),
                    concat!("st1 {{", $d, "}}, [{to}]"),
                    from = inout(reg) values.as_ptr() => _,
                    to = inout(reg) found.as_mut_ptr() => _,
                    left = inout(reg) yields => _,
                    in("x8") rt::syscall::Call::Yield as u64,
                    out("x0") _,
                    out("x1") _,
                    out("x2") _,
                    out("x3") _,
                    $(out($register) _,)+
                    options(nostack),
                );
            }
            found
        }
    };
}

keep!(
    keep_low,
    "What V0 to V15 hold after so many yields.",
    "v0.2d-v3.2d",
    "v4.2d-v7.2d",
    "v8.2d-v11.2d",
    "v12.2d-v15.2d",
    "v0",
    "v1",
    "v2",
    "v3",
    "v4",
    "v5",
    "v6",
    "v7",
    "v8",
    "v9",
    "v10",
    "v11",
    "v12",
    "v13",
    "v14",
    "v15"
);
keep!(
    keep_high,
    "What V16 to V31 hold after so many yields.",
    "v16.2d-v19.2d",
    "v20.2d-v23.2d",
    "v24.2d-v27.2d",
    "v28.2d-v31.2d",
    "v16",
    "v17",
    "v18",
    "v19",
    "v20",
    "v21",
    "v22",
    "v23",
    "v24",
    "v25",
    "v26",
    "v27",
    "v28",
    "v29",
    "v30",
    "v31"
);

/// Threads of one CPU that have different values in those registers and yield to each other.
fn kept(keep: fn(&Half, u64) -> Half) -> Outcome {
    const YIELDS: u64 = 200;
    let spawn = |seed: u64| -> Result<JoinHandle<Outcome>, Wrong> {
        let body = move || {
            let value = |at: usize| {
                let word = (seed << 8 | at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                u128::from(word) << 64 | u128::from(!word)
            };
            let values: Half = core::array::from_fn(value);
            equal!(
                keep(&values, YIELDS),
                values,
                "the registers after {YIELDS} yields"
            );
            Ok(())
        };
        Ok(Builder::new().cpus(1).spawn(body)?)
    };
    let threads: Vec<_> = (1..=THREADS).map(spawn).collect::<Result<_, _>>()?;
    threads.into_iter().try_for_each(|thread| joined(thread)?)
}

/// V0 to V15 stay each thread's own when threads are switched.
fn test_floating_point_lowregs(_: &World) -> Outcome {
    kept(keep_low)
}

/// V16 to V31 stay each thread's own when threads are switched.
fn test_floating_point_highregs(_: &World) -> Outcome {
    kept(keep_high)
}

/// A fault in between, and FP in who handles it, leave the registers of the thread that faulted alone.
fn test_floating_point_fault(_: &World) -> Outcome {
    for place in [Place::Here, Place::Elsewhere] {
        let probe = Probe::with_fp(place, &[TO_VECTOR, MARK, FROM_VECTOR])?;
        let mut registers = Registers::default();
        registers.x[1] = 0xfeed_0000_1234;
        let mut between = probe.run(registers)?.registers;
        equal!(between.pc, probe.code + 4, "where it stops in between");
        keep_low(&[u128::MAX; 16], 1);
        between.x[1] = 0;
        between.pc += 4;
        let after = probe.run_exactly(between)?.registers;
        equal!(after.x[2], registers.x[1], "what d0 held before the fault");
    }
    Ok(())
}
