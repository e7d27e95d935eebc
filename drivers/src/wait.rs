//! Waiting for hardware, but not for ever.
//!
//! A driver has no clock (the timer is a driver too), so a wait is bounded by the number of times
//! it looks. Each look is an uncached device access, some 100 ns on silicon and under TCG: the bound
//! below is tens of milliseconds, a thousand times more than any register of these devices needs.

/// How often a register is looked at before the hardware counts as dead.
pub(crate) const POLLS: u32 = 200_000;

/// The hardware did not get there within [`POLLS`] looks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unanswered;

/// Looks until `done` says true, at most [`POLLS`] times.
pub(crate) fn poll_until(mut done: impl FnMut() -> bool) -> Result<(), Unanswered> {
    for _ in 0..POLLS {
        if done() {
            return Ok(());
        }
        core::hint::spin_loop();
    }
    Err(Unanswered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_at_the_first_yes() {
        let mut looks = 0;
        let outcome = poll_until(|| {
            looks += 1;
            looks == 3
        });
        assert_eq!((outcome, looks), (Ok(()), 3));
    }

    #[test]
    fn gives_up() {
        let mut looks = 0;
        let outcome = poll_until(|| {
            looks += 1;
            false
        });
        assert_eq!((outcome, looks), (Err(Unanswered), POLLS));
    }
}
