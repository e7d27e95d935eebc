//! The modelled GIC: one CPU interface and four interrupts (IHI 0069 H, chapter 4).
//!
//! As much of it as entry can see: which interrupt is signalled, the acknowledge with its special
//! answers, the running priority, and EOImode 1 with its two ends, the priority drop and the
//! deactivation. Where the architecture leaves a misuse UNPREDICTABLE, the model refuses it.

use crate::machine::Group;
use crate::priority::{IDLE, NMI, ORDINARY, non_secure_view};

/// The answer to an acknowledge when nothing of that group can be signalled (IHI 0069 H, 2.2.1).
pub const SPURIOUS: u32 = 1023;
const FIRST_SPECIAL: u32 = 1020;

/// One interrupt of the modelled machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Line {
    /// The timer: ordinary, level-triggered.
    Tick,
    /// A software interrupt that the CPU sends itself: ordinary, cannot be withdrawn.
    SelfSgi,
    /// An NMI that wants something done outside it; level-triggered.
    NmiA,
    /// An NMI that only looks; level-triggered.
    NmiB,
}

impl Line {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tick, Self::SelfSgi, Self::NmiA, Self::NmiB];

    /// Its number.
    pub const fn intid(self) -> u32 {
        match self {
            Self::Tick => 27,
            Self::SelfSgi => 1,
            Self::NmiA => 23,
            Self::NmiB => 33,
        }
    }

    /// The interrupt with that number.
    pub fn from_intid(intid: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|line| line.intid() == intid)
    }

    /// Whether it was given an NMI's priority.
    pub const fn is_nmi(self) -> bool {
        matches!(self, Self::NmiA | Self::NmiB)
    }

    /// Whether its source may lower it again before it was acknowledged.
    pub const fn can_be_withdrawn(self) -> bool {
        !matches!(self, Self::SelfSgi)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What the security state makes of the priorities that were programmed (IHI 0069 H, 4.8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Nothing: `GICD_CTLR.DS` = 1.
    Plain,
    /// `(p >> 1) | 0x80`: a non-secure CPU interface with `GICD_CTLR.DS` = 0.
    NonSecure,
}

/// One CPU interface with its interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gic {
    ordinary: Group,
    view: View,
    pending: u8,
    active: u8,
    /// Dropped, but not deactivated.
    dropped: u8,
    /// Acknowledged and not dropped: the active priorities, the least urgent first.
    running: [Option<Line>; 4],
    depth: u8,
}

impl Gic {
    /// Nothing pending, nothing active. NMIs are in Group 1, ordinary interrupts in `ordinary`.
    pub const fn new(ordinary: Group, view: View) -> Self {
        Self {
            ordinary,
            view,
            pending: 0,
            active: 0,
            dropped: 0,
            running: [None; 4],
            depth: 0,
        }
    }

    /// The group of `line`: with it its vector.
    pub fn group(&self, line: Line) -> Group {
        if line.is_nmi() {
            Group::One
        } else {
            self.ordinary
        }
    }

    /// The priority of `line` as this CPU sees it.
    pub fn priority(&self, line: Line) -> u8 {
        let stored = if line.is_nmi() { NMI } else { ORDINARY };
        match self.view {
            View::Plain => stored,
            View::NonSecure => non_secure_view(stored),
        }
    }

    /// Makes `line` pending.
    pub fn pend(&mut self, line: Line) {
        self.pending |= line.bit();
    }

    /// Takes `line` back, if it was not acknowledged yet.
    pub fn withdraw(&mut self, line: Line) {
        self.pending &= !line.bit();
    }

    /// Whether `line` waits to be acknowledged.
    pub fn is_pending(&self, line: Line) -> bool {
        self.pending & line.bit() != 0
    }

    /// Whether `line` is neither pending nor active.
    pub fn is_quiet(&self, line: Line) -> bool {
        (self.pending | self.active) & line.bit() == 0
    }

    /// The most urgent pending interrupt that is not active.
    fn highest(&self) -> Option<Line> {
        Line::ALL
            .into_iter()
            .filter(|line| self.pending & !self.active & line.bit() != 0)
            .min_by_key(|line| self.priority(*line))
    }

    /// What is signalled to the CPU under this PMR: IRQ or FIQ, by its group.
    pub fn signalled(&self, pmr: u8) -> Option<Line> {
        if self.pending == 0 {
            return None;
        }
        self.highest().filter(|line| self.passes(*line, pmr))
    }

    /// Whether `line`, if it were pending, would be signalled under this PMR.
    pub fn passes(&self, line: Line, pmr: u8) -> bool {
        let priority = self.priority(line);
        priority < pmr && priority < self.running_priority() && self.active & line.bit() == 0
    }

    /// `ICC_IARn_EL1`: makes the most urgent signalled interrupt active, if it is of `group`.
    ///
    /// # Panics
    /// With more interrupts active than there are priorities: the model is broken.
    pub fn acknowledge(&mut self, group: Group, pmr: u8) -> u32 {
        match self.signalled(pmr) {
            Some(line) if self.group(line) == group => {
                self.pending &= !line.bit();
                self.active |= line.bit();
                self.running[self.depth as usize] = Some(line);
                self.depth += 1;
                line.intid()
            }
            _ => SPURIOUS,
        }
    }

    /// The interrupt that was acknowledged last and not dropped.
    fn innermost(&self) -> Option<Line> {
        self.depth
            .checked_sub(1)
            .and_then(|top| self.running[top as usize])
    }

    /// `ICC_RPR_EL1`, its 8 bits: the priority of what was acknowledged last and not dropped.
    pub fn running_priority(&self) -> u8 {
        self.innermost().map_or(IDLE, |line| self.priority(line))
    }

    /// `ICC_EOIRn_EL1`: drops the running priority.
    ///
    /// # Errors
    /// What is wrong with it, if it is not the end of what was acknowledged last.
    pub fn drop_priority(&mut self, group: Group, intid: u32) -> Result<(), &'static str> {
        if intid >= FIRST_SPECIAL {
            return Err("end of interrupt of a special INTID");
        }
        match self.innermost() {
            Some(line) if line.intid() == intid && self.group(line) == group => {
                self.depth -= 1;
                self.running[self.depth as usize] = None;
                self.dropped |= line.bit();
                Ok(())
            }
            Some(line) if line.intid() == intid => Err("priority drop in the wrong group"),
            _ => Err("priority drop of what was not acknowledged last"),
        }
    }

    /// `ICC_DIR_EL1`: lets the interrupt come again.
    ///
    /// # Errors
    /// What is wrong with it, if the interrupt was not dropped before.
    pub fn deactivate(&mut self, intid: u32) -> Result<(), &'static str> {
        match Line::from_intid(intid) {
            Some(line) if self.dropped & line.bit() != 0 => {
                self.dropped &= !line.bit();
                self.active &= !line.bit();
                Ok(())
            }
            _ => Err("deactivation of what was not dropped"),
        }
    }

    /// Whether an interrupt was acknowledged and not dropped.
    pub fn is_running(&self) -> bool {
        self.depth > 0
    }

    /// Whether nothing is active: every acknowledge had its drop and its deactivation.
    pub fn is_idle(&self) -> bool {
        self.active == 0 && self.depth == 0
    }

    /// The same interrupts active, and as far, as in `other`.
    pub fn same_active(&self, other: &Self) -> bool {
        self.active == other.active
            && self.dropped == other.dropped
            && self.running == other.running
    }

    /// Whether a WFI under this PMR ends: something is signalled, whatever DAIF says.
    pub fn wakes(&self, pmr: u8) -> bool {
        self.signalled(pmr).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::priority::{PMR_OFF, PMR_ON};

    fn gic() -> Gic {
        Gic::new(Group::One, View::Plain)
    }

    #[test]
    fn an_nmi_preempts_an_ordinary_interrupt_and_not_the_other_way() {
        for view in [View::Plain, View::NonSecure] {
            let mut gic = Gic::new(Group::One, view);
            gic.pend(Line::Tick);
            assert_eq!(gic.acknowledge(Group::One, PMR_ON), Line::Tick.intid());
            assert!(gic.running_priority() >= PMR_OFF);
            gic.pend(Line::SelfSgi);
            assert_eq!(gic.signalled(PMR_ON), None);
            gic.pend(Line::NmiA);
            assert_eq!(gic.acknowledge(Group::One, PMR_OFF), Line::NmiA.intid());
            assert!(gic.running_priority() < PMR_OFF);
            gic.pend(Line::NmiB);
            assert_eq!(gic.signalled(PMR_ON), None);
        }
    }

    #[test]
    fn a_withdrawn_nmi_is_special_with_pmr_off_and_ordinary_with_pmr_on() {
        let mut gic = gic();
        gic.pend(Line::Tick);
        gic.pend(Line::NmiA);
        gic.withdraw(Line::NmiA);
        let mut other = gic;
        assert_eq!(gic.acknowledge(Group::One, PMR_OFF), SPURIOUS);
        assert_eq!(other.acknowledge(Group::One, PMR_ON), Line::Tick.intid());
    }

    #[test]
    fn the_other_group_is_special() {
        let mut gic = Gic::new(Group::Zero, View::Plain);
        gic.pend(Line::Tick);
        assert_eq!(gic.acknowledge(Group::One, PMR_ON), SPURIOUS);
        gic.pend(Line::NmiA);
        assert_eq!(gic.acknowledge(Group::Zero, PMR_ON), SPURIOUS);
        assert_eq!(gic.acknowledge(Group::One, PMR_ON), Line::NmiA.intid());
    }

    #[test]
    fn both_ends_are_due_in_order() {
        let mut gic = gic();
        let tick = Line::Tick.intid();
        gic.pend(Line::Tick);
        gic.acknowledge(Group::One, PMR_ON);
        assert!(gic.deactivate(tick).is_err());
        assert!(gic.drop_priority(Group::Zero, tick).is_err());
        assert!(gic.drop_priority(Group::One, SPURIOUS).is_err());
        assert_eq!(gic.drop_priority(Group::One, tick), Ok(()));
        assert!(gic.drop_priority(Group::One, tick).is_err());
        assert_eq!(gic.running_priority(), IDLE);
        gic.pend(Line::Tick);
        assert_eq!(gic.signalled(PMR_ON), None, "still active");
        assert!(!gic.is_idle());
        assert_eq!(gic.deactivate(tick), Ok(()));
        assert_eq!(gic.signalled(PMR_ON), Some(Line::Tick));
        assert!(gic.is_idle());
    }

    #[test]
    fn wfi_does_not_wake_for_what_pmr_masks() {
        let mut gic = gic();
        gic.pend(Line::Tick);
        assert!(!gic.wakes(PMR_OFF));
        assert!(gic.wakes(PMR_ON));
        gic.pend(Line::NmiB);
        assert!(gic.wakes(PMR_OFF));
    }
}
