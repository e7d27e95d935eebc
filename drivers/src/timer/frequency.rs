//! Ticks to time and back: exact for every value, with two divisions and no 128-bit arithmetic.
//!
//! Multiplying ticks by 10^9 overflows after 18 seconds at a gigahertz; a rounded reciprocal drifts.
//! So whole seconds are split off first. What is left is less than one second's worth of ticks,
//! CNTFRQ_EL0 has 32 bits, and 2^32 times 10^9 fits in 64.
//!
//! Ticks to time rounds down (a clock never shows time that has not passed), time to ticks rounds
//! up (a sleep is never shorter than asked), and what does not fit saturates. Up to 1 GHz a number of
//! ticks survives the way to nanoseconds and back.

use super::TimerError;
use core::{num::NonZeroU32, time::Duration};

/// A number of counter ticks: a point in time since the counter started, or a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(pub u64);

const NS_PER_SEC: u64 = 1_000_000_000;

/// The frequency of the counter: never zero, at most 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequency(NonZeroU32);

impl Frequency {
    /// The frequency in a value of CNTFRQ_EL0, of which bits 31:0 count.
    ///
    /// # Errors
    ///
    /// [`TimerError::NoFrequency`] if it is zero.
    pub const fn from_register(cntfrq: u64) -> Result<Self, TimerError> {
        match NonZeroU32::new(cntfrq as u32) {
            Some(hz) => Ok(Self(hz)),
            None => Err(TimerError::NoFrequency),
        }
    }

    /// Ticks per second.
    pub const fn hz(self) -> u64 {
        self.0.get() as u64
    }

    /// The whole nanoseconds in a span, rounded down; `u64::MAX` (584 years) if there are more.
    #[inline]
    pub const fn nanoseconds(self, span: Ticks) -> u64 {
        let seconds = span.0 / self.hz();
        let rest = span.0 % self.hz();
        seconds
            .saturating_mul(NS_PER_SEC)
            .saturating_add(rest * NS_PER_SEC / self.hz())
    }

    /// The span in ticks that lasts at least so many nanoseconds, rounded up; `u64::MAX` if it does
    /// not fit.
    #[inline]
    pub const fn ticks_from_nanoseconds(self, nanoseconds: u64) -> Ticks {
        self.ticks(nanoseconds / NS_PER_SEC, nanoseconds % NS_PER_SEC)
    }

    /// A span as a [`Duration`], rounded down to nanoseconds. Every span fits.
    #[inline]
    pub const fn duration(self, span: Ticks) -> Duration {
        let rest = span.0 % self.hz();
        Duration::new(span.0 / self.hz(), (rest * NS_PER_SEC / self.hz()) as u32)
    }

    /// The span in ticks that lasts at least as long as `duration`, rounded up; `u64::MAX` if it
    /// does not fit.
    #[inline]
    pub const fn ticks_from_duration(self, duration: Duration) -> Ticks {
        self.ticks(duration.as_secs(), duration.subsec_nanos() as u64)
    }

    const fn ticks(self, seconds: u64, below_second_ns: u64) -> Ticks {
        let rest = (below_second_ns * self.hz()).div_ceil(NS_PER_SEC);
        Ticks(seconds.saturating_mul(self.hz()).saturating_add(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rounding() {
        let odd = Frequency::from_register(3).unwrap();
        assert_eq!(odd.nanoseconds(Ticks(1)), 333_333_333);
        assert_eq!(odd.ticks_from_nanoseconds(333_333_333), Ticks(1));
        assert_eq!(odd.ticks_from_nanoseconds(333_333_334), Ticks(2));
        assert_eq!(odd.ticks_from_nanoseconds(0), Ticks(0));
        assert_eq!(odd.ticks_from_duration(Duration::MAX), Ticks(u64::MAX));
        assert_eq!(odd.nanoseconds(Ticks(u64::MAX)), u64::MAX);
    }

    /// The definition, in arithmetic that cannot overflow.
    fn nanoseconds_reference(ticks: u64, hz: u64) -> u128 {
        u128::from(ticks) * u128::from(NS_PER_SEC) / u128::from(hz)
    }

    fn ticks_reference(ns: u128, hz: u64) -> u64 {
        let exact = (ns * u128::from(hz)).div_ceil(u128::from(NS_PER_SEC));
        exact.try_into().unwrap_or(u64::MAX)
    }

    fn any_frequency() -> impl Strategy<Value = Frequency> {
        let common = prop::sample::select(std::vec![1, 24_000_000, 62_500_000, 1_000_000_000]);
        prop_oneof![common, 1..=u32::MAX]
            .prop_map(|hz| Frequency::from_register(hz.into()).unwrap())
    }

    /// Small, large and everything between alike: uniform in the number of bits.
    fn any_magnitude() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift)
    }

    proptest! {
        #[test]
        fn ticks_to_time_is_exact_and_rounds_down(f in any_frequency(), ticks in any_magnitude()) {
            let exact = nanoseconds_reference(ticks, f.hz());
            prop_assert_eq!(f.nanoseconds(Ticks(ticks)), exact.try_into().unwrap_or(u64::MAX));
            prop_assert_eq!(f.duration(Ticks(ticks)).as_nanos(), exact);
        }

        #[test]
        fn time_to_ticks_is_exact_and_rounds_up(
            f in any_frequency(),
            seconds in any_magnitude(),
            below_second_ns in 0..1_000_000_000_u32,
        ) {
            let duration = Duration::new(seconds, below_second_ns);
            let exact = ticks_reference(duration.as_nanos(), f.hz());
            prop_assert_eq!(f.ticks_from_duration(duration), Ticks(exact));
            let exact = ticks_reference(seconds.into(), f.hz());
            prop_assert_eq!(f.ticks_from_nanoseconds(seconds), Ticks(exact));
        }

        #[test]
        fn up_to_a_gigahertz_no_tick_is_lost_on_the_way_and_back(
            hz in 1..=1_000_000_000_u32,
            ticks in any_magnitude(),
        ) {
            let f = Frequency::from_register(hz.into()).unwrap();
            prop_assert_eq!(f.ticks_from_duration(f.duration(Ticks(ticks))), Ticks(ticks));
        }
    }
}
