//! The end of a run: the last line, and the exit status that agrees with it.

use crate::workload::background;
use crate::{console, panic, power, say, semihosting, trace};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};
use cpu::cell::NoSteps;
use cpu::hw::local;
use cpu::thread::PREEMPT_ONE;

/// The first CPU that ends the machine does; any other waits for it.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Ends the machine after a run that did what it promised.
pub(crate) fn pass(what: fmt::Arguments<'_>) -> ! {
    begin();
    if panic::is_panicking() {
        // Another CPU found something, and was about to stop this one.
        stand_still();
    }
    if let Err(dry) = background::report() {
        say!("petrel: FAIL {dry}");
        end(1);
    }
    say!("petrel: PASS {}", OneLine(what));
    end(0)
}

/// Ends the machine after anything else.
pub(crate) fn fail(why: fmt::Arguments<'_>) -> ! {
    begin();
    say!("petrel: FAIL {}", OneLine(why));
    end(1)
}

/// A message as one line: the verdict is the last *line*, and a failed assertion's message has three.
struct OneLine<'a>(fmt::Arguments<'a>);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Joined<'f, 'a>(&'f mut fmt::Formatter<'a>);

        impl Write for Joined<'_, '_> {
            fn write_str(&mut self, part: &str) -> fmt::Result {
                let mut lines = part.split('\n');
                self.0.write_str(lines.next().unwrap_or_default())?;
                lines.try_for_each(|line| write!(self.0, "; {}", line.trim_start()))
            }
        }

        Joined(f).write_fmt(self.0)
    }
}

/// Masks everything on this CPU, and never switches again: it is about to end the machine.
pub(crate) fn stay() {
    // SAFETY: nothing is let in any more on this CPU.
    unsafe { core::arch::asm!("msr daifset, #0xf", options(nostack)) };
    // Never given back: guards that are dropped from here on must not look for others to run.
    local::thread().preempt.add::<NoSteps>(PREEMPT_ONE);
}

/// Stops the other CPUs, so that nothing is printed after the verdict, and nothing in its midst.
fn begin() {
    stay();
    if ENDING.swap(true, Ordering::SeqCst) && !panic::is_panicking() {
        stand_still();
    }
    console::seize();
    panic::stop_others();
    console::drain_after_stop();
    trace::dump();
}

/// Ends the machine: by semihosting, so that the status is seen; else by PSCI; else it stands still.
fn end(status: u8) -> ! {
    console::drain_after_stop();
    semihosting::exit(status);
    power::off();
    stand_still()
}

/// Waits, for ever, with nothing let in.
pub(crate) fn stand_still() -> ! {
    loop {
        // SAFETY: waits.
        unsafe { core::arch::asm!("msr daifset, #0xf", "wfi", options(nostack)) };
    }
}
