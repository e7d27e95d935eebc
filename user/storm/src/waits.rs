//! Who waits is woken: not too early, and not never.

use alloc::sync::Arc;

use rt::time::{Deadline, Duration, now};
use rt::{Error, Notification};

use crate::board::Post;
use crate::{Wrong, ensure};

/// Go on.
const AGAIN: u64 = 1;
/// End.
const END: u64 = 2;
/// A wake-up that has not come by then is lost.
const LOST: Duration = Duration::from_secs(30);

/// The role.
pub(crate) fn run(post: &Post) -> Result<(), Wrong> {
    let (there, back) = (
        Arc::new(Notification::create()?),
        Arc::new(Notification::create()?),
    );
    let partner = {
        let (there, back) = (there.clone(), back.clone());
        rt::thread::spawn(move || answer(&there, &back))?
    };
    let timer = Notification::create()?;
    let worked = post.work(|| {
        let span = Duration::from_nanos(20_000 + post.random.below(400_000));
        let end = now() + span;
        rt::time::sleep_until(end);
        ensure!(now() >= end, "a sleep of {span:?} was too short");

        let end = now() + span / 2;
        timer.set_timer(Deadline::at(end), 4)?;
        let bits = wait(&timer)?;
        ensure!(
            bits == 4 && now() >= end,
            "a timer gave {bits:#x}, or early"
        );

        let end = now() + span / 2;
        let waited = timer.wait(Deadline::at(end));
        let right = waited == Err(Error::TimedOut) && now() >= end;
        ensure!(right, "a wait that nobody ends gave {waited:?}");

        for _ in 0..8 {
            there.signal(AGAIN)?;
            let bits = wait(&back)?;
            ensure!(bits == AGAIN, "the partner signalled {bits:#x}");
        }
        post.events(8);
        Ok(())
    });
    worked?;
    there.signal(END)?;
    partner.join()?;
    Ok(())
}

fn wait(notification: &Notification) -> Result<u64, Wrong> {
    match notification.wait(Deadline::after(LOST)) {
        Err(Error::TimedOut) => Err(Wrong::from("a wake-up was lost")),
        other => Ok(other?),
    }
}

/// The partner: wakes who woke it.
fn answer(there: &Notification, back: &Notification) {
    while let Ok(bits) = there.wait(Deadline::FOREVER) {
        if bits & END != 0 || back.signal(AGAIN).is_err() {
            return;
        }
    }
}
