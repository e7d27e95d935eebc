//! Notifications, timers, sleep.

use super::{NOTHING, Values, find, insert, object};
use crate::clock;
use crate::ipc::transfer;
use crate::ipc::wait::{For, QueuePlace, Side};
use crate::object::{Notification, Object, timer};
use crate::thread::user::current_process;
use crate::thread::{self, current};
use abi::error::Error;
use abi::handle::Rights;
use abi::syscall::AT_ONCE;
use cpu::context::Switchable;
use entry::frame::Frame;

/// [`abi::syscall::Call::Signal`].
#[inline]
pub(super) fn signal(frame: &mut Frame, legal: Switchable<'_>) {
    let result = (|| {
        let entry = find(frame.x[0], Rights::NONE, &legal)?;
        let Object::Notification(notification) = entry.object() else {
            return Err(Error::WrongKind);
        };
        if !entry.rights().contains(Rights::SIGNAL) {
            return Err(Error::NoRight);
        }
        let bits = match entry.badge() {
            0 => frame.x[1],
            badge => badge,
        };
        if let Some(woken) = notification.add(bits) {
            thread::wake_in_call(woken);
        }
        Ok(())
    })();
    transfer::plain_status(frame, result);
}

/// [`abi::syscall::Call::Wait`].
#[inline]
pub(super) fn wait(frame: &mut Frame, mut legal: Switchable<'_>) {
    let deadline = frame.x[1];
    let result = (|| {
        let proof = legal.reborrow();
        let entry = find(frame.x[0], Rights::NONE, &proof)?;
        let Object::Notification(notification) = entry.object() else {
            return Err(Error::WrongKind);
        };
        if !entry.rights().contains(Rights::WAIT) {
            return Err(Error::NoRight);
        }
        let mut state = notification.lock();
        let bits = state.take();
        if bits != 0 {
            return Ok(Some(bits));
        }
        if state.is_gone() {
            return Err(Error::Gone);
        }
        if deadline == AT_ONCE {
            return Err(Error::TimedOut);
        }
        let me = current();
        let wait = &me.user().wait;
        wait.enter(
            QueuePlace::Notification(&raw const **notification),
            Side::Receiver,
        );
        state.waiters.push(me);
        wait.begin(For::Bits, deadline);
        Ok(None)
    })();
    match result {
        Ok(Some(bits)) => {
            frame.x[0] = 0;
            frame.x[1] = bits;
        }
        Ok(None) => thread::block_at_frame(legal, deadline, None),
        Err(error) => transfer::plain_status(frame, Err(error)),
    }
}

/// [`abi::syscall::Call::Sleep`].
pub(super) fn sleep(frame: &mut Frame, legal: Switchable<'_>) {
    let deadline = frame.x[0];
    frame.x[0] = 0;
    if clock::now() < deadline {
        current().user().wait.begin(For::Time, deadline);
        thread::block_at_frame(legal, deadline, None);
    }
}

/// [`abi::syscall::Call::NotificationCreate`].
pub(super) fn create() -> Result<Values, Error> {
    let notification = Notification::create(&current_process().quota)?;
    insert(Object::Notification(notification), Rights::ALL)
}

/// [`abi::syscall::Call::ThreadBindNotification`].
pub(super) fn bind(handle: u64) -> Result<Values, Error> {
    let notification = match handle {
        0 => None,
        handle => Some(object::<Notification>(handle, Rights::WAIT)?),
    };
    let me = current();
    me.user().bind(me, notification)?;
    Ok(NOTHING)
}

/// [`abi::syscall::Call::TimerSet`].
pub(super) fn timer_set(handle: u64, deadline: u64, bits: u64) -> Result<Values, Error> {
    let notification = object::<Notification>(handle, Rights::WAIT)?;
    timer::set(&notification, deadline, bits)?;
    Ok(NOTHING)
}
