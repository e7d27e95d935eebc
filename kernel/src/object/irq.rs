//! Interrupt lines: a shared interrupt that a process handles.
//!
//! When it comes, the kernel masks its line at the distributor and signals a notification; the line
//! stays masked until the driver says that it has handled it. A level that is still asserted then
//! comes again at once. So a driver that dies, or never answers, costs one interrupt and no storm.
//!
//! The kernel has one handler for all of these, and a table that leads it from the number to the
//! [`Irq`]. It reads the table as any handler does, pinned. When the last handle goes, the `Irq` is taken out of
//! the table before that handle is retired: so its memory outlives a handler that came late. And
//! everything that touches the line does so under the `Irq`'s own lock, so that the late handler does
//! not mask the line of who took the interrupt next.

use super::quota::{Charge, Quota};
use super::{Notification, Ref};
use crate::irq::{self, Spi};
use crate::{control, smp};
use abi::error::Error;
use abi::report::IrqReport;
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicPtr, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use cpu::guard::PreemptGuard;
use cpu::lock::{self, Lock};
use cpu::plant::{Plant, planted};
use drivers::gicv3::{Class, IntId, Line, Trigger};

/// INTIDs below this can be shared interrupts.
const INTIDS: usize = 1020;

/// By INTID. What is here outlives a reader that is pinned.
static LINES: [AtomicPtr<Irq>; INTIDS] = [const { AtomicPtr::new(null_mut()) }; INTIDS];

/// A shared interrupt that processes handle.
pub(crate) struct Irq {
    line: Line,
    handles: AtomicU32,
    state: Lock<State, lock::Irq>,
    _charge: Charge,
}

struct State {
    /// The right to the interrupt; `None`: it is released, and the line is not to be touched.
    spi: Option<Spi>,
    /// Whom it is delivered to, and as which bits.
    to: Option<(Ref<Notification>, u64)>,
    /// It was delivered and not acknowledged; the line is masked.
    is_waiting: bool,
    count: u64,
}

impl Irq {
    /// The shared interrupt `intid`, which is delivered to nobody yet. `Process`.
    ///
    /// # Errors
    /// [`Error::BadArgument`]: no shared interrupt of this machine; [`Error::Busy`]: somebody has it;
    /// [`Error::NoMemory`].
    pub(crate) fn create(
        intid: u64,
        trigger: Trigger,
        quota: &Ref<Quota>,
    ) -> Result<Ref<Self>, Error> {
        let raw = u32::try_from(intid).map_err(|_| Error::BadArgument)?;
        let intid = IntId::from_raw(raw).ok_or(Error::BadArgument)?;
        // Knows shared interrupts only, and those that the distributor has.
        let line = control::spis().line(intid);
        let line = line.map_err(|_| Error::BadArgument)?;
        let charge = Charge::new(quota, size_of::<Self>().next_power_of_two() as u64)?;
        let spi = Spi::take(line).ok_or(Error::Busy)?;
        let this = Self {
            line,
            handles: AtomicU32::new(0),
            state: Lock::new(State {
                spi: Some(spi),
                to: None,
                is_waiting: false,
                count: 0,
            }),
            _charge: charge,
        };
        let this = Ref::try_new(this)?;
        let Some(cpu) = smp::get(0) else {
            return Err(Error::BadArgument);
        };
        control::configure_spi(intid, Class::Ordinary, trigger, cpu)
            .map_err(|_| Error::BadArgument)?;
        line.clear_pending();
        irq::set_handler(intid, on_interrupt, 0)?;
        Ok(this)
    }

    /// Has it delivered as `bits` of `notification` from now on, and not to whom it was delivered
    /// before. `Process`.
    ///
    /// # Errors
    /// [`Error::BadArgument`]: there are no bits; [`Error::Gone`].
    pub(crate) fn bind(&self, notification: Ref<Notification>, bits: u64) -> Result<(), Error> {
        if bits == 0 {
            return Err(Error::BadArgument);
        }
        let mut state = self.state.lock();
        if state.spi.is_none() {
            return Err(Error::Gone);
        }
        let old = state.to.replace((notification, bits));
        // Whom it was delivered to before will not acknowledge it.
        state.is_waiting = false;
        self.line.enable();
        drop(state);
        drop(old);
        Ok(())
    }

    /// It was handled, and may come again. Without effect if it does not wait for that.
    pub(crate) fn acknowledge(&self) {
        let mut state = self.state.lock();
        if state.is_waiting && state.spi.is_some() {
            state.is_waiting = false;
            self.line.enable();
        }
    }

    /// It has come. `NoIrq`, in its handler.
    fn deliver(&self) {
        let mut state = self.state.lock();
        if state.spi.is_none() {
            return;
        }
        state.count += 1;
        state.is_waiting = true;
        if !planted(Plant::IrqUnmaskedBeforeAcknowledge) {
            self.line.disable();
            // Or it might come once more. If the distributor is stuck, that is what happens.
            let _ = control::spis().settle();
        }
        if let Some((notification, bits)) = &state.to {
            notification.signal(*bits);
        }
    }

    /// There is one more handle to it.
    pub(crate) fn handle_added(&self) {
        if self.handles.fetch_add(1, Relaxed) == 0 {
            // Its memory is the handle's from now on, and so outlives who reads the table.
            self.listed()
                .store(core::ptr::from_ref(self).cast_mut(), Release);
        }
    }

    /// There is one less; after the last one somebody else may take the interrupt.
    pub(crate) fn handle_removed(&self) {
        if self.handles.fetch_sub(1, AcqRel) == 1 {
            self.release();
        }
    }

    fn release(&self) {
        let mut state = self.state.lock();
        let Some(spi) = state.spi.take() else {
            return;
        };
        self.line.disable();
        let _ = control::spis().settle();
        let to = state.to.take();
        drop(state);
        self.listed().store(null_mut(), Release);
        drop(spi);
        drop(to);
    }

    /// Its place in the table.
    fn listed(&self) -> &'static AtomicPtr<Self> {
        &LINES[self.line.interrupt().raw() as usize % INTIDS]
    }

    fn report(&self) -> Option<IrqReport> {
        let state = self.state.lock();
        state.to.as_ref()?;
        Some(IrqReport {
            intid: self.line.interrupt().raw(),
            pending: u32::from(state.is_waiting),
            count: state.count,
        })
    }
}

impl Drop for Irq {
    fn drop(&mut self) {
        // If it never had a handle.
        self.release();
    }
}

/// What is known of those that are bound, by INTID. `Process` or `NoIrq`.
pub(crate) fn reports() -> impl Iterator<Item = IrqReport> {
    LINES.iter().filter_map(|line| {
        let _pinned = PreemptGuard::new();
        // SAFETY: what is in the table outlives a reader that is pinned.
        let irq = unsafe { line.load(Acquire).as_ref() }?;
        irq.report()
    })
}

/// The handler of all shared interrupts that processes have.
fn on_interrupt(interrupt: &irq::Interrupt<'_>) {
    let line = &LINES[interrupt.intid as usize % INTIDS];
    // SAFETY: what is in the table outlives a reader that is pinned, as a handler is.
    if let Some(irq) = unsafe { line.load(Acquire).as_ref() } {
        irq.deliver();
    }
}
