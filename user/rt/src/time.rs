//! Time: the virtual counter, which a program reads without asking the kernel.

pub use core::time::Duration;

use abi::syscall::{AT_ONCE, FOREVER};

use crate::syscall::{Call, plain};

/// A moment, in ticks of `CNTVCT_EL0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

/// How long to wait at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(u64);

impl Instant {
    /// So many ticks since the counter was 0.
    pub const fn from_ticks(ticks: u64) -> Self {
        Self(ticks)
    }

    /// In ticks since the counter was 0.
    pub const fn ticks(self) -> u64 {
        self.0
    }

    /// How long ago it was; zero if it is yet to come.
    pub fn elapsed(self) -> Duration {
        now().since(self)
    }

    /// How long after `earlier` it is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        from_ticks(self.0.saturating_sub(earlier.0), frequency_hz())
    }
}

impl core::ops::Add<Duration> for Instant {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        Self(self.0.saturating_add(to_ticks(after, frequency_hz())))
    }
}

impl Deadline {
    /// Never.
    pub const FOREVER: Self = Self(FOREVER);
    /// Do not wait.
    pub const AT_ONCE: Self = Self(AT_ONCE);

    /// At that moment.
    pub const fn at(moment: Instant) -> Self {
        Self(moment.0)
    }

    /// So long after now.
    pub fn after(duration: Duration) -> Self {
        Self::at(now() + duration)
    }

    /// As the kernel takes it.
    pub const fn ticks(self) -> u64 {
        self.0
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        self.0 <= now().0
    }
}

/// Now.
pub fn now() -> Instant {
    Instant(counter())
}

/// Sleeps for at least so long.
pub fn sleep(duration: Duration) {
    sleep_until(now() + duration);
}

/// Sleeps until then.
pub fn sleep_until(moment: Instant) {
    // SAFETY: the call writes no memory. It cannot fail.
    let _ = unsafe { plain(Call::Sleep, [moment.0]) };
}

/// Ticks in a second.
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub fn frequency_hz() -> u64 {
    let hz: u64;
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mrs {}, cntfrq_el0", out(reg) hz, options(nomem, nostack, preserves_flags));
    };
    hz.max(1)
}

/// Ticks in a second.
#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
pub fn frequency_hz() -> u64 {
    62_500_000
}

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
fn counter() -> u64 {
    let ticks: u64;
    // The ISB keeps the read from being taken early (DDI 0487, D12.1.2).
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack, preserves_flags));
    };
    ticks
}

#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
fn counter() -> u64 {
    0
}

fn to_ticks(duration: Duration, hz: u64) -> u64 {
    let ticks = (duration.as_nanos() * u128::from(hz)).div_ceil(1_000_000_000);
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

fn from_ticks(ticks: u64, hz: u64) -> Duration {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(hz);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_durations() {
        assert_eq!(to_ticks(Duration::from_millis(1), 62_500_000), 62_500);
        assert_eq!(to_ticks(Duration::from_nanos(1), 62_500_000), 1);
        assert_eq!(to_ticks(Duration::MAX, 62_500_000), u64::MAX);
        assert_eq!(from_ticks(62_500, 62_500_000), Duration::from_millis(1));
        assert_eq!(from_ticks(u64::MAX, 1), Duration::from_nanos(u64::MAX));
    }
}
