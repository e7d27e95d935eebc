//! Acknowledge, priority drop, deactivate: each once, in that order, by type.
//!
//! ```text
//! acknowledge ─┬─ Special          nothing was taken: no end of interrupt, ever (IHI 0069 H, 4.8.4)
//!              ├─ Nmi(Active)      ── drop_priority ──> Dropped ── deactivate ──> done
//!              └─ Ordinary(Active) ── drop_priority ──> Dropped ── deactivate ──> done
//! ```
//!
//! Which of the three it is, is known from the acknowledge alone: the running priority, read after the
//! acknowledge and before the drop, is below PMR *off* exactly for an NMI, in every security view.

use core::marker::PhantomData;
use cpu::context::{Cx, Entry};
use cpu::counters::{Counter, Nest};
use cpu::machine::{Group, Machine};
use cpu::mask::Mechanism;
use cpu::percpu::PerCpu;
use cpu::plant::{Plant, planted};
use cpu::priority::PMR_OFF;

/// The lowest special INTID; 1020 to 1023 say that there is nothing to handle.
const FIRST_SPECIAL: u32 = 1020;
/// The last one; from here on LPIs begin much higher.
const LAST_SPECIAL: u32 = 1023;

/// What an acknowledge gave.
pub enum Acknowledged<M> {
    /// Nothing to handle.
    Special,
    /// A pseudo-NMI.
    Nmi(Active<M>),
    /// An ordinary interrupt.
    Ordinary(Active<M>),
}

/// An interrupt that is active and blocks all that are not more urgent.
#[must_use = "an acknowledged interrupt must be dropped and deactivated"]
pub struct Active<M> {
    intid: u32,
    group: Group,
    nest: Nest,
    /// Where it was acknowledged; nobody is migrated before it is deactivated.
    cpu: &'static PerCpu,
    machine: PhantomData<M>,
}

/// An interrupt that blocks nobody any more but itself.
#[must_use = "a dropped interrupt must be deactivated"]
pub struct Dropped<M>(Active<M>);

/// Acknowledges, before anything else was done: PMR is still as it was interrupted, so that with PMR
/// *off* the answer is never an ordinary interrupt, even if the NMI was withdrawn meanwhile.
#[inline(always)]
pub fn acknowledge<M: Machine>(_: &Cx<M, Entry>, group: Group) -> Acknowledged<M> {
    if planted(Plant::AcknowledgeAtPmrOn) {
        M::write_pmr(cpu::priority::PMR_ON);
    }
    let intid = M::acknowledge(group);
    let cpu = M::cpu();
    if (FIRST_SPECIAL..=LAST_SPECIAL).contains(&intid) {
        cpu.counters.count(Counter::Special);
        if planted(Plant::EoiOfSpecial) {
            M::drop_priority(group, intid);
        }
        return Acknowledged::Special;
    }
    // Everything is masked still, so that the two sets of counters make no difference here.
    cpu.counters.count(Counter::Acknowledged);
    let active = |nest| Active {
        intid,
        group,
        nest,
        cpu,
        machine: PhantomData,
    };
    match M::MECHANISM {
        Mechanism::Pmr if M::running_priority() < PMR_OFF => Acknowledged::Nmi(active(Nest::Nmi)),
        _ => Acknowledged::Ordinary(active(Nest::Ordinary)),
    }
}

impl<M: Machine> Active<M> {
    /// The CPU that acknowledged it.
    #[inline(always)]
    pub fn cpu(&self) -> &'static PerCpu {
        self.cpu
    }

    /// Its number.
    #[inline(always)]
    pub fn intid(&self) -> u32 {
        self.intid
    }

    /// Lets less urgent interrupts be signalled again.
    #[inline(always)]
    pub fn drop_priority(self) -> Dropped<M> {
        if !planted(Plant::DropAfterResched) {
            M::drop_priority(self.group, self.intid);
            self.cpu.counters.count_in(self.nest, Counter::Dropped);
        }
        Dropped(self)
    }
}

impl<M: Machine> Dropped<M> {
    /// Its number.
    #[inline(always)]
    pub fn intid(&self) -> u32 {
        self.0.intid
    }

    /// Lets the same interrupt come again.
    #[inline(always)]
    pub fn deactivate(self) -> Done<M> {
        if !planted(Plant::DeactivateAfterResched) {
            let Active {
                intid, nest, cpu, ..
            } = self.0;
            M::deactivate(intid);
            cpu.counters.count_in(nest, Counter::Deactivated);
        }
        Done(self.0)
    }
}

/// An interrupt that was handled. Holds what the planted bugs need to be late with.
pub struct Done<M>(Active<M>);

impl<M: Machine> Done<M> {
    /// Where two planted bugs do what they should have done before.
    #[inline(always)]
    pub fn settle(self) {
        let Active { intid, group, .. } = self.0;
        if planted(Plant::DropAfterResched) {
            M::drop_priority(group, intid);
            M::cpu().counters.count(Counter::Dropped);
        }
        if planted(Plant::DeactivateAfterResched) {
            M::deactivate(intid);
            M::cpu().counters.count(Counter::Deactivated);
        }
    }
}
