//! The generic timer: one counter for the whole machine, and comparators of each CPU.
//!
//! The counter runs at a fixed frequency that firmware wrote into CNTFRQ_EL0. Each CPU has, among
//! others, a *virtual* and a *physical* EL1 timer; each raises its PPI, a level, for as long as it is
//! enabled and the counter is at or past its compare value (DDI 0487, D12.2). Two timers are
//! what a kernel with pseudo-NMIs wants: one for the tick, one as an NMI.
//!
//! **When a read or a write happens.** The CPU may read the counter early, before instructions that
//! come first in the program, and a write to a timer register takes effect at the next context
//! synchronization only. The policy here:
//!
//! - [`Timer::now`] has an ISB before the read: the value is not older than anything before it. For
//!   ordering *later* instructions behind the read, the caller needs a barrier of its own.
//! - [`Timer::arm_at`] and [`Timer::disarm`] end with an ISB: when they return, the level of the
//!   interrupt line has followed, and a handler may deactivate without being interrupted again by
//!   the deadline that it just served.
//! - The accesses are `asm!` without `nomem`: what was stored before arming is there when the
//!   interrupt comes, at least on this CPU, which is the only one it comes to.
//!
//! Ticks are turned into time and back by [`Frequency`].

mod frequency;

pub use frequency::{Frequency, Ticks};

use core::fmt;

/// Why the timer cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerError {
    /// CNTFRQ_EL0 reads 0: firmware did not set it on this CPU, and there is no other source.
    NoFrequency,
}

impl fmt::Display for TimerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFrequency => f.write_str("generic timer: CNTFRQ_EL0 is 0 on this CPU"),
        }
    }
}

impl core::error::Error for TimerError {}

/// What a timer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerStatus {
    /// Off; its interrupt line is low.
    Disarmed,
    /// Waiting for its deadline.
    Armed,
    /// The deadline has passed; its interrupt line is high until it is armed anew or disarmed.
    Expired,
}

/// Access to one timer of the calling CPU and to the counter that it follows.
pub trait TimerRegisters {
    /// CNTFRQ_EL0.
    fn frequency(&self) -> u64;
    /// The counter, as it is now or as it was a little earlier.
    fn count(&self) -> u64;
    /// The control register: bit 0 ENABLE, 1 IMASK, 2 ISTATUS.
    fn control(&self) -> u64;
    /// Writes the control register.
    fn set_control(&self, value: u64);
    /// Writes the compare value.
    fn set_compare(&self, value: u64);
    /// Context synchronization (ISB).
    fn synchronize(&self);
}

const ENABLE: u64 = 1 << 0;
const ISTATUS: u64 = 1 << 2;

/// One kind of EL1 timer on the calling CPU: `Timer<Virtual>` or `Timer<Physical>`. It holds no
/// state of its own, so a copy used on another CPU drives that CPU's timer, if the frequency is the
/// same there, as the architecture demands.
#[derive(Clone, Copy, Debug)]
pub struct Timer<R> {
    registers: R,
    frequency: Frequency,
}

impl<R: TimerRegisters> Timer<R> {
    /// The timer behind `registers`, disarmed: firmware may have left it running. Reads the
    /// frequency once.
    ///
    /// # Errors
    ///
    /// [`TimerError::NoFrequency`].
    pub fn new(registers: R) -> Result<Self, TimerError> {
        let frequency = Frequency::from_register(registers.frequency())?;
        let timer = Self {
            registers,
            frequency,
        };
        timer.disarm();
        Ok(timer)
    }

    /// The counter's frequency.
    pub const fn frequency(&self) -> Frequency {
        self.frequency
    }

    /// The time, not older than any instruction before the call. Any context.
    #[inline(always)]
    pub fn now(&self) -> Ticks {
        self.registers.synchronize();
        Ticks(self.registers.count())
    }

    /// Raises the interrupt when the counter reaches `deadline`, at once if it is past it already;
    /// replaces an earlier deadline. Any context; preemption off, or it may be another CPU's timer.
    #[inline(always)]
    pub fn arm_at(&self, deadline: Ticks) {
        self.registers.set_compare(deadline.0);
        self.registers.set_control(ENABLE);
        self.registers.synchronize();
    }

    /// Turns the timer off and lowers its interrupt line. Context as for [`Timer::arm_at`].
    #[inline(always)]
    pub fn disarm(&self) {
        self.registers.set_control(0);
        self.registers.synchronize();
    }

    /// What the timer is doing. Context as for [`Timer::arm_at`].
    pub fn status(&self) -> TimerStatus {
        let control = self.registers.control();
        match (control & ENABLE != 0, control & ISTATUS != 0) {
            (false, _) => TimerStatus::Disarmed, // ISTATUS is unknown then
            (true, false) => TimerStatus::Armed,
            (true, true) => TimerStatus::Expired,
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub use hardware::{Physical, Virtual};

#[cfg(target_arch = "aarch64")]
mod hardware {
    use super::TimerRegisters;
    use core::arch::asm;

    macro_rules! read {
        ($register:literal) => {{
            let value: u64;
            // SAFETY: reading this register changes nothing.
            unsafe {
                asm!(
                    concat!("mrs {}, ", $register),
                    out(reg) value,
                    options(nostack, preserves_flags)
                );
            }
            value
        }};
    }

    macro_rules! write {
        ($register:literal, $value:expr) => {
            // SAFETY: moves the timer's interrupt line and nothing else.
            unsafe {
                asm!(
                    concat!("msr ", $register, ", {}"),
                    in(reg) $value,
                    options(nostack, preserves_flags)
                );
            }
        };
    }

    macro_rules! timer {
        ($(#[$doc:meta])* $name:ident, $count:literal, $control:literal, $compare:literal) => {
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl TimerRegisters for $name {
                #[inline(always)]
                fn frequency(&self) -> u64 {
                    read!("CNTFRQ_EL0")
                }

                #[inline(always)]
                fn count(&self) -> u64 {
                    read!($count)
                }

                #[inline(always)]
                fn control(&self) -> u64 {
                    read!($control)
                }

                #[inline(always)]
                fn set_control(&self, value: u64) {
                    write!($control, value);
                }

                #[inline(always)]
                fn set_compare(&self, value: u64) {
                    write!($compare, value);
                }

                #[inline(always)]
                fn synchronize(&self) {
                    // SAFETY: a barrier changes no state.
                    unsafe { asm!("isb", options(nostack, preserves_flags)) };
                }
            }
        };
    }

    timer!(
        /// The EL1 virtual timer (PPI 11, INTID 27 on every machine that follows the BSA). Always
        /// usable from EL1; its counter is the physical one minus CNTVOFF_EL2.
        Virtual, "CNTVCT_EL0", "CNTV_CTL_EL0", "CNTV_CVAL_EL0"
    );
    timer!(
        /// The EL1 physical timer (PPI 14, INTID 30). Usable from EL1 unless EL2 traps it
        /// (CNTHCTL_EL2), which boot must have seen to.
        Physical, "CNTPCT_EL0", "CNTP_CTL_EL0", "CNTP_CVAL_EL0"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, vec::Vec};

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Event {
        Count,
        Control(u64),
        Compare(u64),
        Synchronize,
    }

    #[derive(Debug, Default)]
    struct FakeTimer {
        frequency: u64,
        control: u64,
        events: RefCell<Vec<Event>>,
    }

    impl FakeTimer {
        fn note(&self, event: Event) {
            self.events.borrow_mut().push(event);
        }
    }

    impl TimerRegisters for &FakeTimer {
        fn frequency(&self) -> u64 {
            self.frequency
        }
        fn count(&self) -> u64 {
            self.note(Event::Count);
            1234
        }
        fn control(&self) -> u64 {
            self.control
        }
        fn set_control(&self, value: u64) {
            self.note(Event::Control(value));
        }
        fn set_compare(&self, value: u64) {
            self.note(Event::Compare(value));
        }
        fn synchronize(&self) {
            self.note(Event::Synchronize);
        }
    }

    const FREQUENCY_HZ: u64 = 62_500_000;

    #[test]
    fn no_frequency_is_an_error() {
        // Bits above 31 are reserved and do not count.
        for cntfrq in [0, 1 << 32] {
            let fake = FakeTimer {
                frequency: cntfrq,
                ..FakeTimer::default()
            };
            assert_eq!(Timer::new(&fake).err(), Some(TimerError::NoFrequency));
        }
    }

    #[test]
    fn each_verb_touches_these_registers_in_this_order() {
        use Event::{Compare, Control, Count, Synchronize};
        let fake = FakeTimer {
            frequency: FREQUENCY_HZ,
            ..FakeTimer::default()
        };
        let timer = Timer::new(&fake).unwrap();
        assert_eq!(
            fake.events.take(),
            [Control(0), Synchronize],
            "firmware's timer is stopped"
        );
        timer.arm_at(Ticks(77));
        assert_eq!(fake.events.take(), [Compare(77), Control(1), Synchronize]);
        timer.disarm();
        assert_eq!(fake.events.take(), [Control(0), Synchronize]);
        assert_eq!(timer.now(), Ticks(1234));
        assert_eq!(fake.events.take(), [Synchronize, Count]);
    }

    #[test]
    fn status_is_decoded() {
        let expected = [
            (0b000, TimerStatus::Disarmed),
            (0b100, TimerStatus::Disarmed),
            (0b001, TimerStatus::Armed),
            (0b101, TimerStatus::Expired),
            (0b111, TimerStatus::Expired),
        ];
        for (control, status) in expected {
            let fake = FakeTimer {
                frequency: FREQUENCY_HZ,
                control,
                ..FakeTimer::default()
            };
            assert_eq!(Timer::new(&fake).unwrap().status(), status, "{control:#b}");
        }
    }
}
