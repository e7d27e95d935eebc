//! Numbers and bytes as a person reads them.

use abi::{
    message::{Access, Fault, FaultKind},
    report::{ProcessReport, ProcessState, ThreadState},
    thread::Registers,
};
use core::{fmt, time::Duration};

/// A number of bytes: `4 KiB`, `12.3 MiB`.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return padded(f, format_args!("{} B", self.0));
        }
        let (mut unit, mut rest) = (0, self.0);
        while rest >= 1 << 20 && unit + 1 < UNITS.len() {
            (unit, rest) = (unit + 1, rest >> 10);
        }
        let (whole, tenths) = (rest >> 10, ((rest & 1023) * 10) >> 10);
        match (whole, tenths) {
            (0..100, 1..) => padded(f, format_args!("{whole}.{tenths} {}", UNITS[unit])),
            _ => padded(f, format_args!("{whole} {}", UNITS[unit])),
        }
    }
}

/// A time: `12.3 s`, `450 ms`, `30 us`.
#[derive(Clone, Copy, Debug)]
pub struct Time(pub Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        match micros {
            0..1_000 => padded(f, format_args!("{micros} us")),
            1_000..1_000_000 => padded(f, format_args!("{} ms", micros / 1_000)),
            _ => {
                let tenths = micros / 100_000;
                padded(f, format_args!("{}.{} s", tenths / 10, tenths % 10))
            }
        }
    }
}

/// A number with commas between its thousands.
#[derive(Clone, Copy, Debug)]
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = heapless::String::<32>::new();
        let mut divisor = 10_u64.pow(self.0.checked_ilog10().unwrap_or(0) / 3 * 3);
        let mut rest = self.0;
        fmt::write(&mut text, format_args!("{}", rest / divisor))?;
        while divisor > 1 {
            rest %= divisor;
            divisor /= 1000;
            fmt::write(&mut text, format_args!(",{:03}", rest / divisor))?;
        }
        f.pad(&text)
    }
}

/// Bytes of a file, as a terminal can take them: what is neither text nor the end of a line is a dot.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut plain = chunk.valid();
            while let Some(at) =
                plain.find(|letter: char| letter.is_control() && !"\n\t".contains(letter))
            {
                f.write_str(&plain[..at])?;
                // Files from elsewhere end their lines in CR LF.
                if !plain[at..].starts_with("\r\n") {
                    f.write_str(".")?;
                }
                let control = plain[at..].chars().next().map_or(1, char::len_utf8);
                plain = &plain[at + control..];
            }
            f.write_str(plain)?;
            for _ in chunk.invalid() {
                f.write_str(".")?;
            }
        }
        Ok(())
    }
}

/// How a process ended, in one line.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a>(pub &'a ProcessReport);

impl fmt::Display for Ending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        match ProcessState::from_number(report.state) {
            Some(ProcessState::Alive) => f.write_str("still runs"),
            Some(ProcessState::Exited) if report.status == 0 => f.write_str("ended well"),
            Some(ProcessState::Exited) => write!(f, "ended with status {}", report.status),
            Some(ProcessState::Killed) => f.write_str("was killed"),
            Some(ProcessState::Faulted) => write!(f, "faulted: {}", Faulted(&fault(report.fault))),
            None => f.write_str("ended in a way that this shell does not know"),
        }
    }
}

/// The fault that a report gives.
pub fn fault([kind, access, address, pc, sp, syndrome, thread, process]: [u64; 8]) -> Fault {
    Fault {
        kind,
        access,
        address,
        pc,
        sp,
        syndrome,
        thread,
        process,
    }
}

/// A fault, in one line.
#[derive(Clone, Copy, Debug)]
pub struct Faulted<'a>(pub &'a Fault);

impl fmt::Display for Faulted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(fault) = self;
        let kind = FaultKind::from_number(fault.kind).unwrap_or(FaultKind::Other);
        let verb = match Access::from_number(fault.access) {
            Some(Access::Read) => "read",
            Some(Access::Write) => "wrote",
            Some(Access::Execute) => "executed",
            Some(Access::None) | None => {
                return write!(
                    f,
                    "{} at pc {:#x} (esr {:#x})",
                    kind.text(),
                    fault.pc,
                    fault.syndrome
                );
            }
        };
        let (address, pc, syndrome) = (fault.address, fault.pc, fault.syndrome);
        write!(
            f,
            "{verb} {address:#x}: {} (pc {pc:#x}, esr {syndrome:#x})",
            kind.text()
        )
    }
}

/// Registers, three in a row.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a Registers);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(registers) = self;
        for (number, value) in registers.x.iter().enumerate() {
            let blank = if number < 10 { " " } else { "" };
            let end = if number % 3 == 2 { "\n" } else { "  " };
            write!(f, "{blank}x{number} {value:016x}{end}")?;
        }
        let (sp, pc, pstate) = (registers.sp, registers.pc, registers.pstate);
        write!(f, " sp {sp:016x}   pc {pc:016x}\npstate {pstate:08x}")
    }
}

/// What a process is doing, in a word.
pub fn process_state(report: &ProcessReport) -> &'static str {
    match ProcessState::from_number(report.state) {
        Some(ProcessState::Alive) => "alive",
        Some(ProcessState::Exited) => "exited",
        Some(ProcessState::Killed) => "killed",
        Some(ProcessState::Faulted) => "faulted",
        None => "?",
    }
}

/// What a thread is doing, in a word.
pub fn thread_state(number: u32) -> &'static str {
    match ThreadState::from_number(number) {
        Some(ThreadState::Running) => "runs",
        Some(ThreadState::Ready) => "ready",
        Some(ThreadState::Waiting) => "waits",
        Some(ThreadState::Sleeping) => "sleeps",
        Some(ThreadState::Suspended) => "stopped",
        None => "?",
    }
}

/// Pads what is formatted as the formatter asks.
fn padded(f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
    let mut room = heapless::String::<32>::new();
    fmt::write(&mut room, text)?;
    f.pad(&room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, string::ToString};

    #[test]
    fn bytes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (4096 * 100, "400 KiB"),
            (512 << 20, "512 MiB"),
            ((1 << 30) + (1 << 28), "1.2 GiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        assert_eq!(
            format!("{:>9}|{:<6}|", Bytes(1024), Bytes(0)),
            "    1 KiB|0 B   |"
        );
    }

    #[test]
    fn times() {
        for (micros, text) in [
            (0, "0 us"),
            (999, "999 us"),
            (1_500, "1 ms"),
            (61_250_000, "61.2 s"),
        ] {
            assert_eq!(Time(Duration::from_micros(micros)).to_string(), text);
        }
    }

    #[test]
    fn counts() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_003_045, "12,003,045"),
        ] {
            assert_eq!(Count(count).to_string(), text);
        }
        assert_eq!(Count(u64::MAX).to_string(), "18,446,744,073,709,551,615");
    }

    #[test]
    fn what_is_no_text_is_dots() {
        let binary = [
            b"a\tb\r\nc\x1b[2J\r".as_slice(),
            &[0xff, 0xc3],
            "é\u{9b}".as_bytes(),
            b"\n",
        ]
        .concat();
        assert_eq!(Printable(&binary).to_string(), "a\tb\nc.[2J...é.\n");
    }

    #[test]
    fn endings() {
        let mut report = ProcessReport::default();
        assert_eq!(Ending(&report).to_string(), "still runs");
        report.state = ProcessState::Exited as u32;
        assert_eq!(Ending(&report).to_string(), "ended well");
        report.status = 3;
        assert_eq!(Ending(&report).to_string(), "ended with status 3");
        report.state = ProcessState::Faulted as u32;
        report.fault = [1, 2, 0xdead, 0x400010, 0x7000, 0x9200_0046, 5, 6];
        assert_eq!(
            Ending(&report).to_string(),
            "faulted: wrote 0xdead: nothing is mapped there (pc 0x400010, esr 0x92000046)"
        );
        report.fault[..2].copy_from_slice(&[3, 0]);
        assert_eq!(
            Ending(&report).to_string(),
            "faulted: undefined instruction at pc 0x400010 (esr 0x92000046)"
        );
        (report.state, report.fault) = (99, [u64::MAX; 8]);
        assert!(Ending(&report).to_string().contains("does not know"));
    }

    #[test]
    fn registers_fit_a_terminal() {
        let text = Shown(&Registers::default()).to_string();
        assert!(text.lines().all(|line| line.len() <= 64), "{text}");
        assert_eq!(text.lines().count(), 12);
    }
}
