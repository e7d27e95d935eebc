//! Each planted bug is found.
//!
//! A bug with nothing to inject is found because the way it is on is simply wrong; where a number of
//! injections is given, it needs so many things to come at the wrong moment, and not fewer.

use crate::programs::{self, Program};
use crate::{run, usual};
use cpu::machine::Machine;
use cpu::model::{ModelDaif, ModelPmr, Violation};
use cpu::plant::{Plant, switch_on};

/// The longest story that is still readable, in lines.
const READABLE: usize = 70;

/// Whose code a planted bug is in, and so what the model proves about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wall {
    /// In `entry`: the model runs the very code.
    Model,
    /// In the kernel: the model runs its own copy of the rule, which shows that the model would see
    /// it. The kernel's code is held by a workload (wall K): `harness`, trials with `plant=`.
    CopyInTheModel,
    /// In the kernel, about something that the model does not have (memory, TLBs, FP/SIMD
    /// registers): a workload or the boot self-test alone.
    Kernel,
}

/// Every planted bug has a wall: without a wildcard, so that a new one must be given its own.
const fn wall(plant: Plant) -> Wall {
    match plant {
        Plant::PreemptAfterMasks
        | Plant::PmrNotRestored
        | Plant::AcknowledgeAtPmrOn
        | Plant::PreemptFromNmi
        | Plant::DropAfterResched
        | Plant::DeactivateAfterResched
        | Plant::FaultNeverPreempts
        | Plant::DaifBeforePmr
        | Plant::EoiOfSpecial
        | Plant::NmiCountLeaks
        | Plant::PathNotPopped
        | Plant::NotWatching
        | Plant::PmrLowAtEl0
        | Plant::WorkLoopSkipped
        | Plant::RegisterLeakOnReturn
        | Plant::WatchingAtEl0 => Wall::Model,
        // `cpu::hw::idle` is assembly, and `kernel::thread::wake` does not compile for the host.
        Plant::WfiAtPmrOff | Plant::ForgetSelfSgi => Wall::CopyInTheModel,
        Plant::WrongAsid
        | Plant::AsidNotFlushed
        | Plant::UnmapNotFlushed
        | Plant::DeadHandleHonoured
        | Plant::IrqUnmaskedBeforeAcknowledge
        | Plant::FastForgetsBadge
        | Plant::ReplyUsedTwice
        | Plant::FpRegisterLost
        | Plant::FpLeaked => Wall::Kernel,
    }
}

fn program<M: Machine>(name: &str) -> Program {
    let mut all = programs::all::<M>().into_iter();
    all.find(|program| program.name == name)
        .expect("a program's name")
}

/// What the explorer finds with `plant` switched on.
fn find<M: Machine>(plant: Plant, name: &str) -> Violation {
    switch_on(Some(plant));
    let found = run::<M>(&usual::<M>(), 2, program::<M>(name));
    switch_on(None);
    match found {
        Ok(tally) => panic!("{} was not found: {tally}", plant.name()),
        Err(violation) => *violation,
    }
}

/// The bug is found with exactly so many injections, told in few lines, and for the right reason.
#[track_caller]
fn catches<M: Machine>(plant: Plant, name: &str, injections: u32, why: &str) -> Violation {
    let violation = find::<M>(plant, name);
    println!("{}: {violation}", plant.name());
    assert!(violation.what.contains(why), "{}", violation.what);
    assert_eq!(violation.injections, injections);
    assert_eq!(violation.injected().count(), injections as usize);
    assert!(violation.story.len() <= READABLE);
    violation
}

#[test]
fn model_catches_preempt_after_masks() {
    let why = "code that should run in NoIrq";
    catches::<ModelPmr>(Plant::PreemptAfterMasks, "fault", 0, why);
    catches::<ModelDaif>(Plant::PreemptAfterMasks, "fault", 0, why);
}

#[test]
fn model_catches_pmr_not_restored() {
    catches::<ModelPmr>(Plant::PmrNotRestored, "tick", 0, "DAIF or PMR differs");
}

#[test]
fn model_catches_acknowledge_at_pmr_on() {
    let why = "PMR rises while a masked context is interrupted";
    catches::<ModelPmr>(Plant::AcknowledgeAtPmrOn, "nmi_in_no_irq", 0, why);
}

#[test]
fn model_catches_preempt_from_nmi() {
    let why = "code that should run in NoIrq";
    let violation = catches::<ModelPmr>(Plant::PreemptFromNmi, "fault", 1, why);
    assert!(violation.injected().all(|what| what.starts_with("NMI")));
}

#[test]
fn model_catches_wfi_at_pmr_off() {
    catches::<ModelPmr>(Plant::WfiAtPmrOff, "idle", 0, "WFI sleeps on");
}

#[test]
fn model_catches_drop_after_resched() {
    let why = "deactivation of what was not dropped";
    catches::<ModelPmr>(Plant::DropAfterResched, "tick", 0, why);
    catches::<ModelDaif>(Plant::DropAfterResched, "tick", 0, why);
}

#[test]
fn model_catches_deactivate_after_resched() {
    let why = "switch with an interrupt not dropped and deactivated";
    catches::<ModelPmr>(Plant::DeactivateAfterResched, "tick", 0, why);
    catches::<ModelDaif>(Plant::DeactivateAfterResched, "tick", 0, why);
}

#[test]
fn model_catches_fault_never_preempts() {
    let why = "the fault left an eligible preemption undone";
    catches::<ModelPmr>(Plant::FaultNeverPreempts, "fault", 0, why);
    catches::<ModelDaif>(Plant::FaultNeverPreempts, "fault", 0, why);
}

#[test]
fn model_catches_daif_before_pmr() {
    let why = "DAIF opens before PMR was lowered";
    catches::<ModelPmr>(Plant::DaifBeforePmr, "fault", 0, why);
}

#[test]
fn model_catches_eoi_of_special() {
    let why = "end of interrupt of a special INTID";
    catches::<ModelPmr>(Plant::EoiOfSpecial, "nmi_in_no_irq", 1, why);
    catches::<ModelDaif>(Plant::EoiOfSpecial, "tick", 1, why);
}

#[test]
fn model_catches_nmi_count_leaks() {
    let why = "preempt count differs after the NMI A";
    catches::<ModelPmr>(Plant::NmiCountLeaks, "nmi", 0, why);
    let why = "preempt count differs after the SError";
    catches::<ModelDaif>(Plant::NmiCountLeaks, "serror", 0, why);
}

#[test]
fn model_catches_forget_self_sgi() {
    let why = "need_resched is set and nobody will look";
    catches::<ModelPmr>(Plant::ForgetSelfSgi, "wake_in_no_irq", 0, why);
    catches::<ModelDaif>(Plant::ForgetSelfSgi, "wake_with_both_held", 0, why);
}

#[test]
fn model_catches_path_not_popped() {
    let why = "path stack differs after the fault";
    catches::<ModelPmr>(Plant::PathNotPopped, "fault", 0, why);
}

#[test]
fn model_catches_not_watching() {
    let why = "a handler runs on a quiescent CPU";
    catches::<ModelPmr>(Plant::NotWatching, "quiescent", 1, why);
    catches::<ModelDaif>(Plant::NotWatching, "quiescent", 1, why);
}

#[test]
fn model_catches_pmr_low_at_el0() {
    let why = "a program runs with DAIF ---- PMR 0xb0";
    catches::<ModelPmr>(Plant::PmrLowAtEl0, "el0", 0, why);
}

#[test]
fn model_catches_work_loop_skipped() {
    let why = "a program runs although something is wanted";
    for program in ["el0_tick", "el0_signal", "el0_open", "el0_fault"] {
        catches::<ModelPmr>(Plant::WorkLoopSkipped, program, 0, why);
        catches::<ModelDaif>(Plant::WorkLoopSkipped, program, 0, why);
    }
}

#[test]
fn model_catches_register_leak_on_return() {
    let why = "the frame of the tick changed";
    catches::<ModelPmr>(Plant::RegisterLeakOnReturn, "el0_tick", 0, why);
    catches::<ModelDaif>(Plant::RegisterLeakOnReturn, "el0_tick", 0, why);
}

#[test]
fn model_catches_watching_at_el0() {
    let why = "a program runs on a CPU that is not quiescent";
    catches::<ModelPmr>(Plant::WatchingAtEl0, "el0", 0, why);
    catches::<ModelDaif>(Plant::WatchingAtEl0, "el0", 0, why);
}

/// Bugs that a path from EL1 and one from EL0 can have are found on both.
#[test]
fn bugs_of_both_ways_in_are_found_from_el0_too() {
    let watching = "a handler runs on a quiescent CPU";
    let path = "a program runs inside the paths";
    for program in ["el0_signal", "el0_fault", "el0_tick"] {
        catches::<ModelPmr>(Plant::NotWatching, program, 0, watching);
        catches::<ModelDaif>(Plant::PathNotPopped, program, 0, path);
    }
    let why = "deactivation of what was not dropped";
    catches::<ModelPmr>(Plant::DropAfterResched, "el0_tick", 0, why);
    let why = "code that should run in NoIrq";
    catches::<ModelPmr>(Plant::PreemptFromNmi, "el0_signal", 1, why);
}

#[test]
fn no_planted_bug_is_without_a_wall() {
    let own = |plant: &&Plant| wall(**plant) == Wall::Model;
    assert_eq!(Plant::ALL.iter().filter(|plant| own(plant)).count(), 16);
    for plant in Plant::ALL
        .iter()
        .filter(|plant| wall(**plant) != Wall::Kernel)
    {
        let test = format!("fn model_catches_{}()", plant.name().replace('-', "_"));
        assert!(include_str!("planted.rs").contains(&test), "no {test}");
    }
}
