//! The frame and `eret`: what a vector leaves changed, the model finds.

use crate::kernel::{ModelKernel, framed, vectors};
use crate::usual;
use cpu::context::Cx;
use cpu::machine::Machine;
use cpu::model::{self, ModelPmr, Saved, Setup, Source, explore};
use cpu::priority::{PMR_OFF, PMR_ON};
use entry::frame::Frame;
use std::cell::Cell;

/// What is found if `vector`, instead of the IRQ vector as it is, handles one tick.
fn found(irq: fn(&mut Saved)) -> Option<String> {
    let usual = usual::<ModelPmr>();
    let setup = Setup {
        vectors: model::Vectors {
            irq,
            ..usual.vectors
        },
        ..usual
    };
    let tick = || model::raise(Source::Tick);
    explore(&setup, 0, tick)
        .err()
        .map(|violation| violation.what)
}

/// The vector as it is, with something done to the frame afterwards.
macro_rules! spoiled {
    ($saved:ident, $spoil:expr) => {
        found(|$saved| {
            (vectors::<ModelPmr>().irq)($saved);
            $spoil
        })
    };
}

#[test]
fn an_untouched_frame_is_fine() {
    assert_eq!(spoiled!(_saved, ()), None);
}

#[test]
fn every_register_of_a_frame_must_come_back() {
    let spoils = [
        spoiled!(saved, saved.x[0] ^= 1),
        spoiled!(saved, saved.x.swap(29, 30)),
        spoiled!(saved, saved.sp += 16),
        spoiled!(saved, saved.elr += 4),
        // A condition flag.
        spoiled!(saved, saved.spsr ^= 1 << 30),
    ];
    for what in spoils {
        let what = what.expect("a changed frame");
        assert!(what.contains("the frame of the tick changed"), "{what}");
    }
}

/// What is found if the IRQ vector from EL0 spoils the frame.
fn found_at_el0(irq: fn(&mut Saved)) -> Option<String> {
    let usual = usual::<ModelPmr>();
    let el0 = model::El0Vectors {
        irq,
        ..usual.vectors.el0
    };
    let setup = Setup {
        vectors: model::Vectors {
            el0,
            ..usual.vectors
        },
        ..usual
    };
    let program = || {
        let irqs = model::irq_save();
        model::run_program(|| model::raise(Source::Tick));
        model::irq_restore(irqs);
    };
    explore(&setup, 0, program)
        .err()
        .map(|violation| violation.what)
}

macro_rules! spoiled_at_el0 {
    ($saved:ident, $spoil:expr) => {
        found_at_el0(|$saved| {
            (vectors::<ModelPmr>().el0.irq)($saved);
            $spoil
        })
    };
}

#[test]
fn every_register_of_a_program_must_come_back() {
    assert_eq!(spoiled_at_el0!(_saved, ()), None);
    let spoils = [
        spoiled_at_el0!(saved, saved.x[0] ^= 1),
        spoiled_at_el0!(saved, saved.x[30] = 0),
        spoiled_at_el0!(saved, saved.sp += 16),
        spoiled_at_el0!(saved, saved.elr += 4),
        // EL1h.
        spoiled_at_el0!(saved, saved.spsr |= 0b0101),
    ];
    for what in spoils {
        let what = what.expect("a changed frame");
        assert!(what.contains("the frame of the tick changed"), "{what}");
    }
    for what in [
        spoiled_at_el0!(saved, saved.pmr = PMR_OFF.into()),
        spoiled_at_el0!(saved, saved.spsr |= 1 << 7),
    ] {
        let what = what.expect("changed masks");
        assert!(what.contains("DAIF or PMR differs"), "{what}");
    }
}

std::thread_local! {
    /// What the kernel does to a program's frame while it handles an interrupt.
    static SPOIL: Cell<fn(&mut Frame)> = const { Cell::new(|_| ()) };
}

#[test]
fn only_a_programs_frame_goes_to_el0() {
    let found = |spoil| {
        SPOIL.set(spoil);
        found_at_el0(|saved| {
            framed::<ModelPmr>(saved, |frame| {
                SPOIL.get()(frame);
                // SAFETY: the model has just taken an exception, as the hardware would.
                let cx = unsafe { Cx::assume() };
                entry::user::irq::<ModelPmr, ModelKernel>(frame, cx).leave();
            });
        })
    };
    assert_eq!(found(|_| ()), None);
    let spoils: [fn(&mut Frame); 5] = [
        |frame| frame.pmr = PMR_OFF.into(),
        |frame| frame.spsr |= 1 << 6,
        |frame| frame.spsr |= 1 << 9,
        // EL1h.
        |frame| frame.spsr |= 0b0101,
        // AArch32.
        |frame| frame.spsr |= 1 << 4,
    ];
    for spoil in spoils {
        let what = found(spoil).expect("a frame that is no program's");
        assert!(what.contains("fatal: NotForEl0(0)"), "{what}");
    }
}

#[test]
fn every_mask_must_come_back() {
    let spoils = [
        spoiled!(saved, saved.pmr = PMR_OFF.into()),
        spoiled!(saved, saved.spsr ^= 1 << 6),
        spoiled!(saved, saved.spsr ^= 1 << 7),
        spoiled!(saved, saved.spsr ^= 1 << 8),
        spoiled!(saved, saved.spsr ^= 1 << 9),
    ];
    for what in spoils {
        let what = what.expect("changed masks");
        assert!(what.contains("DAIF or PMR differs"), "{what}");
    }
}

#[test]
fn a_vector_must_leave_in_critical() {
    let what = spoiled!(_saved, ModelPmr::clear_daif::<{ 1 << 9 }>());
    let what = what.expect("an open vector");
    assert!(what.contains("leaves with"), "{what}");
    let what = spoiled!(_saved, ModelPmr::write_pmr(PMR_ON));
    let what = what.expect("a vector with PMR on");
    assert!(what.contains("PMR rises while DAIF masks"), "{what}");
}

#[test]
fn a_fault_that_may_not_be_is_fatal() {
    let program = || {
        let irqs = model::irq_save();
        model::to_idle();
        model::raise(Source::Fault);
        model::from_idle();
        model::irq_restore(irqs);
    };
    let violation = explore(&usual::<ModelPmr>(), 0, program).expect_err("a fault from Idle");
    assert!(violation.what.contains("FaultWhileMasked"), "{violation}");
}
