//! Interrupts and NMIs, taken by a kernel thread.

use super::Failure;
use super::stretch::{Reading, Samples, begin, end};
use crate::irq::{self, Handler, Interrupt, Sgi, To};
use crate::smp;
use crate::{clock, control};
use core::arch::asm;
use cpu::guard::{IrqGuard, NmiGuard, Pinned};
use drivers::affinity::Affinity;
use drivers::gicv3::sgi::{Request, Target};
use drivers::gicv3::{Group, IntId};
use drivers::timer::{Physical, Ticks, TimerRegisters};

/// Where a stretch began, if that was in a handler.
static BEGAN: Reading = Reading::new();
/// Where a stretch ended, if that was in a handler.
static ENDED: Reading = Reading::new();

/// The smallest handler.
fn nothing(_: &Interrupt<'_>) {}

/// A handler that a stretch ends in, as soon as it has made its frame record (3 instructions).
fn ends<const K: u32>(_: &Interrupt<'_>) {
    ENDED.put(end::<K>());
}

/// A handler that a stretch begins in, as nearly its last instruction: the reading is stored yet.
fn begins<const K: u32>(_: &Interrupt<'_>) {
    BEGAN.put(begin::<K>());
}

/// From the write that raises a self-SGI (1 instruction) to the `eret`; the handler does nothing.
pub(super) fn irq_el1<const K: u32>() -> Result<Samples, Failure> {
    there_and_back::<K>(Sgi::Test)
}

/// The same for an NMI.
pub(super) fn nmi_el1<const K: u32>() -> Result<Samples, Failure> {
    there_and_back::<K>(Sgi::TestNmi)
}

fn there_and_back<const K: u32>(sgi: Sgi) -> Result<Samples, Failure> {
    irq::set_handler(sgi.intid(), nothing, 0)?;
    let sgi = to_self(sgi)?;
    Samples::of(|| sgi.between(begin::<K>, end::<K>))
}

/// From the call of `irq::send` to the handler's first instruction.
pub(super) fn sgi_to_handler<const K: u32>() -> Result<Samples, Failure> {
    send_to_handler::<K>(Sgi::Test)
}

fn send_to_handler<const K: u32>(sgi: Sgi) -> Result<Samples, Failure> {
    irq::set_handler(sgi.intid(), ends::<K>, 0)?;
    let me = To::Cpu(IrqGuard::new().cpu());
    Samples::of(|| {
        let start = begin::<K>();
        irq::send(sgi, me);
        [start, ENDED.take()]
    })
}

/// From the end of a self-SGI's handler to the instruction after the one that raised it.
pub(super) fn sgi_to_resumed<const K: u32>() -> Result<Samples, Failure> {
    irq::set_handler(Sgi::Test.intid(), begins::<K>, 0)?;
    let sgi = to_self(Sgi::Test)?;
    Samples::of(|| {
        let [_, ended] = sgi.between(|| 0, end::<K>);
        [BEGAN.take(), ended]
    })
}

/// From the write that raises an NMI to this CPU (1 instruction) to the handler's first instruction.
pub(super) fn nmi_to_handler<const K: u32>() -> Result<Samples, Failure> {
    irq::set_handler(Sgi::TestNmi.intid(), ends::<K>, 0)?;
    let sgi = to_self(Sgi::TestNmi)?;
    Samples::of(|| sgi.between(begin::<K>, || ENDED.take()))
}

/// From the unmask that lets the timer's NMI in (1 instruction) to the handler's first instruction.
pub(super) fn timer_nmi_to_handler<const K: u32>() -> Result<Samples, Failure> {
    fn on_timer<const K: u32>(_: &Interrupt<'_>) {
        ENDED.put(end::<K>());
        Physical.set_control(0);
        Physical.synchronize();
    }
    let timer = clock::free_timer().ok_or("there is no timer for NMIs")?;
    let intid = control::free_ppi();
    irq::set_handler(intid, on_timer::<K>, 0)?;
    let lines = smp::this(&IrqGuard::new()).lines();
    let line = lines
        .ok_or("this CPU has no interrupt lines")?
        .line(intid)?;
    line.enable();
    let samples = Samples::of(|| {
        let held = NmiGuard::new();
        timer.arm_at(Ticks(clock::now()));
        let start = begin::<K>();
        drop(held);
        [start, ENDED.take()]
    });
    line.disable();
    irq::clear_handler(intid)?;
    samples
}

/// From the unmask that lets the scheduler's timer interrupt in (1 instruction) to the handler's
/// first instruction.
pub(super) fn tick_to_handler<const K: u32>() -> Result<Samples, Failure> {
    fn on_timer<const K: u32>(interrupt: &Interrupt<'_>) {
        ENDED.put(end::<K>());
        clock::on_timer(interrupt);
    }
    let intid = control::scheduler_ppi();
    with_handler(intid, on_timer::<K>, || {
        Samples::of(|| {
            let held = tick_pending();
            let start = begin::<K>();
            drop(held);
            [start, ENDED.take()]
        })
    })
}

/// The kernel's tick when nobody is to be switched to: from the unmask that lets the timer interrupt
/// in (1 instruction) to the `eret`.
pub(super) fn tick_el1<const K: u32>() -> Result<Samples, Failure> {
    Samples::of(|| {
        let held = tick_pending();
        let start = begin::<K>();
        drop(held);
        [start, end::<K>()]
    })
}

/// Holds ordinary interrupts and has the scheduler's timer expire.
fn tick_pending() -> IrqGuard {
    let held = IrqGuard::new();
    smp::this(&held).clock.arm(Some(clock::now()));
    held
}

/// Runs `work` with another handler for the scheduler's timer.
fn with_handler<R>(
    intid: IntId,
    handler: Handler,
    work: impl FnOnce() -> Result<R, Failure>,
) -> Result<R, Failure> {
    irq::set_handler(intid, handler, 0)?;
    let result = work();
    irq::set_handler(intid, clock::on_timer, 0)?;
    result
}

/// A self-SGI as one write: the value, and which register takes it.
#[derive(Clone, Copy)]
struct Raise {
    value: u64,
    group: Group,
}

fn to_self(sgi: Sgi) -> Result<Raise, Failure> {
    let group = irq::setup().groups.of(irq::effective(sgi.class()));
    let me = Affinity::from_mpidr(IrqGuard::new().cpu().mpidr());
    let request = Request::new(sgi.intid(), Target::Cpu(me), group).ok_or("it is no SGI")?;
    let value = request.register_value();
    Ok(Raise { value, group })
}

impl Raise {
    /// Raises it between the counter reading that `begin` gives and the one that `end` gives.
    #[inline(always)]
    fn between(self, begin: impl Fn() -> u64, end: impl Fn() -> u64) -> [u64; 2] {
        let value = self.value;
        // Two arms, so that the write is one instruction.
        match self.group {
            Group::Zero => {
                let began = begin();
                // SAFETY: as in `sgi::send`: this is its one write, without the barriers.
                unsafe {
                    asm!("msr icc_sgi0r_el1, {}", in(reg) value, options(nostack, preserves_flags));
                }
                [began, end()]
            }
            Group::One => {
                let began = begin();
                // SAFETY: as above.
                unsafe {
                    asm!("msr icc_sgi1r_el1, {}", in(reg) value, options(nostack, preserves_flags));
                }
                [began, end()]
            }
        }
    }
}
