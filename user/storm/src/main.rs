#![no_std]
#![no_main]
//! The storm with EL0 in it: `run=exec:path=/bin/storm,args=seconds=2`.
//!
//! The kernel's own storm lets NMIs rain on threads of its own. Here it is asked for by a program
//! (`Machine::workload`), over processes that each do one thing again and again and check every time that
//! it came out right. One program with many roles: without a role it is the coordinator, which starts
//! the others, asks for the storm, stops them, and looks whether anything is missing.
//!
//! | argument | meaning | default |
//! |---|---|---|
//! | `seconds`, `time` | how long the kernel's storm lasts, in guest time | 2 s |
//! | `nmis` | until so many NMIs instead | – |
//! | `seed` | of what the processes draw | 7 |
//!
//! | file | roles |
//! |---|---|
//! | `registers` | integer and FP registers, threads that begin, threads without FP |
//! | `memory` | patterns in memory, memory made and mapped |
//! | `chain` | a message through four processes, with badges and a memory |
//! | `pager` | a process whose pages are mapped when it faults |
//! | `waits` | sleeps, timers, notifications |
//! | `servers` | a server that is killed, a reply that is used twice |

extern crate alloc;

mod assembly;
mod board;
mod chain;
mod coordinator;
mod memory;
mod pager;
mod random;
mod registers;
mod servers;
mod waits;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use board::Post;

rt::entry!(main);

/// What was wrong, in a sentence.
pub(crate) struct Wrong(String);

impl From<&str> for Wrong {
    fn from(why: &str) -> Self {
        Self(String::from(why))
    }
}

impl From<rt::Error> for Wrong {
    fn from(error: rt::Error) -> Self {
        Self(format!("a call failed: {error}"))
    }
}

impl From<loader::process::LoadError> for Wrong {
    fn from(error: loader::process::LoadError) -> Self {
        Self(format!("{error}"))
    }
}

/// Ends the role with that sentence unless `$condition` holds.
macro_rules! ensure {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::Wrong(alloc::format!($($why)+)));
        }
    };
}
use ensure;

/// What one process does.
type Body = fn(&Post) -> Result<(), Wrong>;

/// A role: its name, and what it does.
pub(crate) struct Role {
    /// How it is called.
    pub(crate) name: &'static str,
    body: Body,
}

/// All of them.
pub(crate) const ROLES: &[Role] = &[
    Role::new("integer", registers::integer),
    Role::new("fp", registers::floating),
    Role::new("threads", registers::threads),
    Role::new("memory", memory::run),
    Role::new("head", chain::head),
    Role::new("link", chain::link),
    Role::new("pager", pager::run),
    Role::new("waits", waits::run),
    Role::new("restart", servers::restart),
    Role::new("replies", servers::replies),
];

impl Role {
    const fn new(name: &'static str, body: Body) -> Self {
        Self { name, body }
    }
}

fn main() -> Result<(), String> {
    let arguments: Vec<&str> = rt::start::arguments().skip(1).collect();
    if arguments == [servers::SERVER] {
        return servers::serve().map_err(|Wrong(why)| why);
    }
    let role = ROLES
        .iter()
        .find(|role| arguments.first() == Some(&role.name));
    match role {
        None => coordinator::run(&arguments).map_err(|Wrong(why)| why),
        Some(role) => {
            let end = Post::mine(&arguments[1..]).and_then(|post| (role.body)(&post));
            end.map_err(|Wrong(why)| {
                // Into the kernel's log: the verdict may come before the console has printed it.
                rt::log!("storm: {}: {why}", role.name);
                why
            })
        }
    }
}
