//! The end of a run: the last line, and the exit status that agrees with it.

use crate::{console, power, say, semihosting};
use core::fmt;

/// Ends the machine after a run that did what it promised.
pub(crate) fn pass(what: fmt::Arguments<'_>) -> ! {
    say!("petrel: PASS {what}");
    end(0)
}

/// Ends the machine after anything else.
pub(crate) fn fail(why: fmt::Arguments<'_>) -> ! {
    say!("petrel: FAIL {why}");
    end(1)
}

/// Ends the machine: by semihosting, so that the status is seen; else by PSCI; else it stands still.
pub(crate) fn end(status: u8) -> ! {
    console::drain_after_stop();
    semihosting::exit(status);
    power::off();
    loop {
        // SAFETY: waits; nothing can come any more that would be handled.
        unsafe { core::arch::asm!("msr daifset, #0xf", "wfi", options(nomem, nostack)) };
    }
}
