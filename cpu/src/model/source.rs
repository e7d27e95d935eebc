//! What can interrupt the modelled CPU.

use super::gic::Line;
use std::fmt;

/// One kind of exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Source {
    /// The timer's ordinary interrupt.
    Tick,
    /// The ordinary interrupt that the CPU sends itself. Never the explorer's choice: it comes
    /// when it was raised, as soon as the masks allow.
    SelfSgi,
    /// An NMI whose handler wants a switch, and raises the self-SGI for it.
    NmiA,
    /// An NMI whose handler only looks around.
    NmiB,
    /// A system error.
    SError,
    /// A debug exception that `PSTATE.D` masks: a hardware breakpoint.
    Debug,
    /// A fault of the running code, where it may make one.
    Fault,
    /// A fault of an instruction that has a fix-up.
    FixedFault,
    /// A system call of a program. Never the explorer's choice.
    SystemCall,
    /// Not an exception: another CPU wants something of the program's thread, and sends its CPU the
    /// SGI that [`Source::SelfSgi`] is. At any step, whatever is masked.
    Kick,
}

impl Source {
    /// How many kinds there are.
    pub const COUNT: usize = 10;

    /// All kinds.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Tick,
        Self::SelfSgi,
        Self::NmiA,
        Self::NmiB,
        Self::SError,
        Self::Debug,
        Self::Fault,
        Self::FixedFault,
        Self::SystemCall,
        Self::Kick,
    ];

    /// The interrupt that it is, if it is one.
    pub const fn line(self) -> Option<Line> {
        match self {
            Self::Tick => Some(Line::Tick),
            Self::SelfSgi => Some(Line::SelfSgi),
            Self::NmiA => Some(Line::NmiA),
            Self::NmiB => Some(Line::NmiB),
            _ => None,
        }
    }

    /// The kind that interrupt is.
    pub const fn of_line(line: Line) -> Self {
        match line {
            Line::Tick => Self::Tick,
            Line::SelfSgi => Self::SelfSgi,
            Line::NmiA => Self::NmiA,
            Line::NmiB => Self::NmiB,
        }
    }

    /// Whether it is one of the two NMIs.
    pub const fn is_nmi(self) -> bool {
        matches!(self, Self::NmiA | Self::NmiB)
    }

    /// Whether it is handled like an NMI: by `nmi_enter`, and never a reason to switch.
    pub const fn is_nmi_like(self) -> bool {
        self.is_nmi() || matches!(self, Self::SError | Self::Debug)
    }

    /// `ESR_EL1` for it (DDI 0487, D24.2.36): a class that fits, nothing else.
    pub(super) const fn esr(self, from_el0: bool) -> u64 {
        let class = match self {
            Self::SError => 0x2f,
            Self::SystemCall => 0x15,
            Self::Debug => 0x31 - from_el0 as u64,
            // Data abort.
            _ => 0x25 - from_el0 as u64,
        };
        class << 26
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tick => "tick",
            Self::SelfSgi => "self-SGI",
            Self::NmiA => "NMI A",
            Self::NmiB => "NMI B",
            Self::SError => "SError",
            Self::Debug => "breakpoint",
            Self::Fault => "fault",
            Self::FixedFault => "fault with fix-up",
            Self::SystemCall => "system call",
            Self::Kick => "kick",
        })
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources(u16);

impl Sources {
    /// Those kinds.
    pub const fn of(sources: &[Source]) -> Self {
        let mut set = 0;
        let mut at = 0;
        while at < sources.len() {
            set |= 1 << sources[at] as u8;
            at += 1;
        }
        Self(set)
    }

    /// Whether `source` is in the set.
    pub const fn has(self, source: Source) -> bool {
        self.0 & 1 << source as u8 != 0
    }

    /// Puts `source` into the set.
    pub const fn add(&mut self, source: Source) {
        self.0 |= 1 << source as u8;
    }

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = Source> {
        Source::ALL
            .into_iter()
            .filter(move |source| self.has(*source))
    }

    /// Those in the set, and `source`.
    pub const fn with(mut self, source: Source) -> Self {
        self.add(source);
        self
    }

    /// Whether all of `other` is in it, too.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}
