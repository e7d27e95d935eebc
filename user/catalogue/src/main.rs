#![no_std]
#![no_main]
//! What other microkernels are tested for, asked of this one: `run=exec:path=/bin/catalogue`.
//!
//! The suites of seL4 (sel4test) and Hubris (its test suite) have grown for years; each case in them is a
//! promise that somebody once found worth holding. Here the behaviour of each that Petrel promises too is
//! written anew, under the name of the case that it answers, with Petrel's own calls. What the cases mean is
//! told in `docs/src/catalogue.md`, which a test holds equal to the tables here.
//!
//! Arguments choose themes, or cases by the last word of their names; without any, all run. One line is
//! printed for each case that does not hold, and the exit status is their number.
//!
//! No case asks how long something takes. Where the order of events matters, all threads are on one CPU and
//! their priorities decide ([`stage`]); where threads must meet, they wait for each other.
//!
//! | room | what |
//! |---|---|
//! | `case` | what a case is, and how it says what is wrong |
//! | `stage` | threads of one CPU whose order is certain |
//! | `probe` | a thread that executes a few instructions and stops |
//! | `assistant` | this program again, as another process that serves |
//! | the others | a theme each |

extern crate alloc;

mod assistant;
mod bounds;
mod case;
mod faults;
mod fpu;
mod handles;
mod interrupts;
mod ipc;
mod memory;
mod multicore;
mod notifications;
mod probe;
mod restart;
mod rights;
mod scheduler;
mod stage;
mod sync;
mod threads;

use alloc::string::String;
use alloc::vec::Vec;

use case::{Theme, World};
use rt::println;

rt::entry!(main);

/// All themes.
const THEMES: &[Theme] = &[
    Theme::new("ipc", ipc::CASES),
    Theme::new("rights", rights::CASES),
    Theme::new("notifications", notifications::CASES),
    Theme::new("interrupts", interrupts::CASES),
    Theme::new("scheduler", scheduler::CASES),
    Theme::new("sync", sync::CASES),
    Theme::new("threads", threads::CASES),
    Theme::new("fpu", fpu::CASES),
    Theme::new("faults", faults::CASES),
    Theme::new("bounds", bounds::CASES),
    Theme::new("handles", handles::CASES),
    Theme::new("memory", memory::CASES),
    Theme::new("restart", restart::CASES),
    Theme::new("multicore", multicore::CASES).needs_cpus(2),
];

fn main() -> Result<u64, String> {
    let arguments: Vec<&str> = rt::start::arguments().skip(1).collect();
    if arguments == [assistant::ROLE] {
        return assistant::serve().map_err(|error| alloc::format!("assistant: {error}"));
    }
    let known = |word: &str| {
        THEMES
            .iter()
            .any(|theme| theme.name == word || theme.cases.iter().any(|(name, _)| is(name, word)))
    };
    if let Some(unknown) = arguments.iter().find(|word| !known(word)) {
        return Err(alloc::format!("{unknown}: no such theme, and no such case"));
    }
    let world = World::new().map_err(|why| alloc::format!("set-up: {}", why.0))?;
    let (mut passed, mut failed) = (0, 0);
    for theme in THEMES {
        let is_chosen = |name: &str| {
            arguments.is_empty()
                || arguments
                    .iter()
                    .any(|word| theme.name == *word || is(name, word))
        };
        let chosen = theme.cases.iter().filter(|(name, _)| is_chosen(name));
        if world.cpus < theme.least_cpus {
            let left_out = chosen.count();
            if left_out > 0 {
                println!(
                    "catalogue: {}: {left_out} cases left out, they need {} CPUs",
                    theme.name, theme.least_cpus
                );
            }
            continue;
        }
        for (name, case) in chosen {
            match case(&world) {
                Ok(()) => passed += 1,
                Err(why) => {
                    println!("catalogue: {name} ({}): {}", theme.name, why.0);
                    failed += 1;
                }
            }
        }
    }
    println!("catalogue: {passed} cases passed");
    match passed + failed {
        0 => Err(String::from("vacuous: no case ran")),
        _ => Ok(failed),
    }
}

/// Whether a case is meant by that word.
fn is(name: &str, word: &str) -> bool {
    name.rsplit(' ').next() == Some(word)
}
