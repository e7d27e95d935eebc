//! The ways into the kernel, as small numbers.
//!
//! A thread carries the stack of paths it is inside as one `u64`, the innermost in the low byte:
//! cheap to push (shift and or), readable in a register dump, eight deep.

/// One way through the entry layer. The number is what the path stack and the trace hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Path {
    /// Not inside any path: plain thread code.
    Thread = 0,
    /// Synchronous fault taken at EL1.
    Fault = 1,
    /// Ordinary interrupt by the IRQ vector.
    Irq = 2,
    /// Ordinary interrupt by the FIQ vector.
    Fiq = 3,
    /// Pseudo-NMI.
    Nmi = 4,
    /// SError.
    SError = 5,
    /// Debug exception taken at EL1.
    Debug = 6,
    /// System call from EL0.
    Syscall = 7,
    /// Fault of an EL0 thread.
    UserFault = 8,
}

impl Path {
    /// All paths, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Thread,
        Self::Fault,
        Self::Irq,
        Self::Fiq,
        Self::Nmi,
        Self::SError,
        Self::Debug,
        Self::Syscall,
        Self::UserFault,
    ];

    /// The path with this number; `None` for a number that no path has.
    pub const fn from_number(number: u8) -> Option<Self> {
        if (number as usize) < Self::ALL.len() {
            Some(Self::ALL[number as usize])
        } else {
            None
        }
    }

    /// The name used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Fault => "fault",
            Self::Irq => "irq",
            Self::Fiq => "fiq",
            Self::Nmi => "nmi",
            Self::SError => "serror",
            Self::Debug => "debug",
            Self::Syscall => "syscall",
            Self::UserFault => "user-fault",
        }
    }
}

/// Pushes `path` onto a path stack.
#[inline(always)]
pub const fn push(stack: u64, path: Path) -> u64 {
    stack << 8 | path as u64
}

/// The paths on `stack`, the innermost first. Numbers that no path has are left out.
pub fn unwind(stack: u64) -> impl Iterator<Item = Path> {
    (0..8)
        .map(move |depth| (stack >> (8 * depth)) as u8)
        .take_while(|number| *number != 0)
        .filter_map(Path::from_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for (number, path) in Path::ALL.into_iter().enumerate() {
            assert_eq!(path as usize, number);
            assert_eq!(Path::from_number(number as u8), Some(path));
        }
        assert_eq!(Path::from_number(Path::ALL.len() as u8), None);
    }

    #[test]
    fn innermost_comes_first() {
        let stack = push(push(push(0, Path::Fault), Path::Irq), Path::Nmi);
        assert!(unwind(stack).eq([Path::Nmi, Path::Irq, Path::Fault]));
    }
}
