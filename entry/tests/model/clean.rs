//! The source as it is: no violation, and enough tried.

use crate::{programs, run, setup, sources, usual};
use cpu::machine::{Group, Machine};
use cpu::mask::Mechanism;
use cpu::model::{ModelDaif, ModelPmr, Setup, Source, Tally, View};

/// How many injections most programs are explored with.
const DEPTH: u32 = 2;
/// How many those are that differ from others in one thing only.
const SHALLOW: u32 = 1;

/// `usual`, and more where somebody has the time: `PETREL_MODEL_DEPTH=3` is one more everywhere.
fn depth(usual: u32) -> u32 {
    let wanted = std::env::var("PETREL_MODEL_DEPTH").ok();
    let wanted = wanted.map_or(DEPTH, |depth| {
        depth.parse().expect("a number of injections")
    });
    usual + wanted.saturating_sub(DEPTH)
}

/// Explores those programs (all that there are, for an empty list); everything must hold.
fn holds<M: Machine>(setup: &Setup, usual_depth: u32, names: &[&str]) -> Tally {
    let mut total = Tally::default();
    let depth = depth(usual_depth);
    let wanted = |name| names.is_empty() || names.contains(&name);
    let programs: Vec<_> = programs::all::<M>()
        .into_iter()
        .filter(|program| wanted(program.name))
        .collect();
    assert!(programs.len() >= names.len(), "a name that no program has");
    for program in programs {
        match run::<M>(setup, depth, program) {
            Ok(tally) => {
                println!("{} to depth {depth}: {tally}", program.name);
                total.add(&tally);
            }
            Err(violation) => panic!("{}: {violation}", program.name),
        }
    }
    println!("together: {total}");
    not_vacuous::<M>(&total);
    total
}

/// Everything that can come came, wherever the masks let it in, and the rare answers were seen.
fn not_vacuous<M: Machine>(tally: &Tally) {
    for source in sources(M::MECHANISM) {
        assert!(tally.taken(*source) > 0, "no {source} ever came");
    }
    assert!(tally.taken(Source::SelfSgi) > 0);
    assert_eq!(tally.missed().next(), None, "a site where nothing came");
    assert!(tally.specials > 0 && tally.switches > 0);
    for file in ["entry/src/irqentry.rs", "entry/src/resched.rs"] {
        assert_eq!(tally.lines_of(file, Source::Tick), 0, "a tick in NoIrq");
    }
    if M::MECHANISM == Mechanism::Pmr {
        assert!(tally.nmis_saw_resched > 0);
        // Each line of these files at which a cell is read or written, or a verb begins.
        for (file, lines) in [
            ("entry/src/irqentry.rs", 5),
            ("entry/src/resched.rs", 1),
            ("cpu/src/epoch.rs", 1),
            ("cpu/src/context.rs", 3),
        ] {
            let hit = tally.lines_of(file, Source::NmiA);
            assert!(hit >= lines, "NMIs on {hit} lines of {file}");
        }
    }
    // SError and breakpoints come inside NMI-like handlers, too: before, in and after `nmi_enter`.
    for source in [Source::SError, Source::Debug] {
        let hit = tally.lines_of("entry/src/nmi.rs", source);
        let needed = if source == Source::Debug || M::MECHANISM == Mechanism::Pmr {
            5
        } else {
            0
        };
        assert!(hit >= needed, "{source} on {hit} lines of nmi.rs");
    }
}

#[test]
fn clean_faults() {
    let names = ["fault", "fault_in_no_irq", "fault_without_preemption"];
    let tally = holds::<ModelPmr>(&usual::<ModelPmr>(), DEPTH, &names);
    assert!(tally.executions > 80_000);
    // The window that this order of steps opens, and its mirror image.
    assert!(tally.nmis_before_enter.fault > 1_000);
    assert!(tally.nmis_after_exit.fault > 500);
    assert!(tally.nmis_saw_resched > 10_000 && tally.migrations > 100);
}

#[test]
fn clean_interrupts() {
    let names = ["tick", "tick_without_preemption", "nmi", "nmi_in_no_irq"];
    let tally = holds::<ModelPmr>(&usual::<ModelPmr>(), DEPTH, &names);
    assert!(tally.executions > 100_000);
    assert!(tally.nmis_before_enter.ordinary > 1_000);
    assert!(tally.nmis_after_exit.ordinary > 500);
    assert!(tally.specials > 500);
}

#[test]
fn clean_errors_and_debug() {
    let names = [
        "thread",
        "fixed_fault",
        "serror",
        "serror_in_no_irq",
        "debug",
        "debug_in_no_irq",
    ];
    let tally = holds::<ModelPmr>(&usual::<ModelPmr>(), DEPTH, &names);
    assert!(tally.executions > 8_000);
    assert!(tally.taken(Source::SError) > 5_000);
    assert!(tally.taken(Source::Debug) > 5_000);
}

#[test]
fn clean_wake_ups() {
    let names = ["block", "wake", "wake_in_no_irq", "wake_with_both_held"];
    let tally = holds::<ModelPmr>(&usual::<ModelPmr>(), DEPTH, &names);
    assert!(tally.executions > 60_000);
    assert!(tally.taken(Source::SelfSgi) > 80_000);
}

#[test]
fn clean_idle() {
    let tally = holds::<ModelPmr>(&usual::<ModelPmr>(), DEPTH, &["idle", "quiescent"]);
    assert!(tally.executions > 20_000);
}

/// Programs, while another CPU may want something of them at any step.
fn with_kicks<M: Machine>() -> Setup {
    let usual = usual::<M>();
    Setup {
        sources: usual.sources.with(Source::Kick),
        ..usual
    }
}

fn every_way_from_el0(tally: &Tally, sources: &[Source]) {
    for source in sources {
        let taken = tally.taken_from_el0(*source);
        assert!(taken > 0, "no {source} ever interrupted a program");
    }
}

#[test]
fn clean_system_calls() {
    let names = ["el0_null", "el0_signal", "el0_open"];
    let tally = holds::<ModelPmr>(&with_kicks::<ModelPmr>(), DEPTH, &names);
    every_way_from_el0(&tally, &[Source::SystemCall, Source::Debug, Source::NmiA]);
    assert!(tally.executions > 100_000 && tally.taken(Source::Kick) > 30_000);
    assert!(tally.nmis_before_enter.program > 1_000);
    assert!(tally.nmis_after_exit.program > 1_000);
}

#[test]
fn clean_waits_of_programs() {
    let names = ["el0_wait", "el0_open_wait"];
    let tally = holds::<ModelPmr>(&with_kicks::<ModelPmr>(), DEPTH, &names);
    assert!(tally.executions > 90_000 && tally.parked > 90_000);
    assert!(tally.migrations > 400);
}

#[test]
fn clean_interrupts_of_programs() {
    let names = ["el0", "el0_tick", "el0_nmi", "el0_serror"];
    let tally = holds::<ModelPmr>(&with_kicks::<ModelPmr>(), DEPTH, &names);
    let sources = [Source::Tick, Source::SelfSgi, Source::NmiB, Source::SError];
    every_way_from_el0(&tally, &sources);
    assert!(tally.executions > 140_000 && tally.migrations > 500);
}

#[test]
fn clean_faults_of_programs() {
    let names = ["el0_fault", "el0_debug"];
    let tally = holds::<ModelPmr>(&with_kicks::<ModelPmr>(), DEPTH, &names);
    every_way_from_el0(&tally, &[Source::Fault, Source::Debug]);
    assert!(tally.executions > 80_000 && tally.parked > 200);
    assert!(tally.nmis_before_enter.program > 500);
}

#[test]
fn clean_daif() {
    let tally = holds::<ModelDaif>(&usual::<ModelDaif>(), DEPTH, &[]);
    assert!(tally.executions > 20_000);
    assert_eq!(tally.taken(Source::NmiA) + tally.taken(Source::NmiB), 0);
}

/// What differs with the group or the view: how it is told what an interrupt is, and its ends.
const INTERRUPTS: [&str; 3] = ["fault", "tick", "nmi_in_no_irq"];

#[test]
fn clean_pmr_with_ordinary_interrupts_in_group_0() {
    let machine = setup::<ModelPmr>(Group::Zero, View::Plain);
    let tally = holds::<ModelPmr>(&machine, DEPTH, &INTERRUPTS);
    assert!(tally.executions > 60_000);
    holds::<ModelPmr>(&machine, SHALLOW, &[]);
}

#[test]
fn clean_daif_with_ordinary_interrupts_in_group_0() {
    let machine = setup::<ModelDaif>(Group::Zero, View::Plain);
    let tally = holds::<ModelDaif>(&machine, DEPTH, &["fault", "tick", "wake_in_no_irq"]);
    assert!(tally.executions > 15_000);
    holds::<ModelDaif>(&machine, SHALLOW, &[]);
}

#[test]
fn clean_pmr_in_the_non_secure_view() {
    let machine = setup::<ModelPmr>(Group::One, View::NonSecure);
    let tally = holds::<ModelPmr>(&machine, DEPTH, &INTERRUPTS);
    assert!(tally.executions > 60_000);
    holds::<ModelPmr>(&machine, SHALLOW, &[]);
}
