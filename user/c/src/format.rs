//! What `printf` means.
//!
//! The engine knows neither where the bytes go ([`Sink`]) nor how a caller passed its arguments
//! ([`Arguments`]), so that the host's tests can give it both.

use core::ffi::c_char;
use core::fmt::Write;

/// Where the bytes go.
pub(crate) trait Sink {
    /// Takes some more.
    fn write(&mut self, bytes: &[u8]);
}

/// The arguments, in order. A caller that passes too few gets what lies there: that is C.
pub(crate) trait Arguments {
    /// An integer or a pointer, as a register's content.
    fn integer(&mut self) -> u64;
    /// A double.
    fn double(&mut self) -> f64;
}

/// `%` with all that belongs to it.
#[derive(Clone, Copy, Default)]
struct Directive {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
    bytes: Width,
}

/// How much of an integer's register means something.
#[derive(Clone, Copy, Default)]
enum Width {
    Char,
    Short,
    #[default]
    Int,
    Long,
}

/// Widths and precisions beyond this are cut: more is a mistake, and a mistake should not run for
/// an hour.
const FIELD_LIMIT: usize = 4096;

/// Longest text of a number: 64 bits in octal, a sign, a prefix; doubles are cut to it.
const NUMBER_BYTES: usize = 400;

/// Counts what goes through.
struct Counted<'a> {
    sink: &'a mut dyn Sink,
    bytes: usize,
}

impl Counted<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.sink.write(bytes);
        self.bytes += bytes.len();
    }

    fn repeat(&mut self, byte: u8, times: usize) {
        for _ in 0..times {
            self.write(&[byte]);
        }
    }
}

/// Writes `format` with its arguments, and returns how many bytes that made.
///
/// # Safety
/// `format` ends with a zero byte, and so does, or is as long as its precision, what each `%s` is
/// given; a null pointer is printed as such.
pub(crate) unsafe fn print(
    sink: &mut dyn Sink,
    format: *const c_char,
    arguments: &mut dyn Arguments,
) -> usize {
    let mut out = Counted { sink, bytes: 0 };
    let mut at = format.cast::<u8>();
    // SAFETY: every step is taken from a byte that is not the last one.
    let mut next = || unsafe {
        let byte = *at;
        if byte != 0 {
            at = at.add(1);
        }
        byte
    };
    loop {
        match next() {
            0 => return out.bytes,
            b'%' => {
                let (directive, letter) = directive(&mut next, arguments);
                if letter == 0 {
                    return out.bytes;
                }
                // SAFETY: as the caller promised.
                unsafe { convert(&mut out, directive, letter, arguments) }
            }
            other => out.write(&[other]),
        }
    }
}

/// Reads what follows a `%`, up to the letter that says what it is.
fn directive(next: &mut dyn FnMut() -> u8, arguments: &mut dyn Arguments) -> (Directive, u8) {
    let mut it = Directive::default();
    let mut byte = next();
    loop {
        match byte {
            b'-' => it.left = true,
            b'0' => it.zero = true,
            b'+' => it.plus = true,
            b' ' => it.space = true,
            b'#' => it.alternate = true,
            _ => break,
        }
        byte = next();
    }
    let width = size(next, &mut byte, arguments);
    it.left |= width < 0;
    it.width = (width.unsigned_abs() as usize).min(FIELD_LIMIT);
    if byte == b'.' {
        byte = next();
        let precision = usize::try_from(size(next, &mut byte, arguments)).ok();
        it.precision = precision.map(|precision| precision.min(FIELD_LIMIT));
    }
    loop {
        it.bytes = match (byte, it.bytes) {
            (b'h', Width::Short) => Width::Char,
            (b'h', _) => Width::Short,
            (b'l' | b'z' | b'j' | b't', _) => Width::Long,
            _ => return (it, byte),
        };
        byte = next();
    }
}

/// Reads a width or a precision: digits, or a `*` for an argument.
fn size(next: &mut dyn FnMut() -> u8, byte: &mut u8, arguments: &mut dyn Arguments) -> i32 {
    if *byte == b'*' {
        *byte = next();
        return arguments.integer() as i32;
    }
    let mut value = 0i32;
    while byte.is_ascii_digit() {
        let digit = i32::from(*byte - b'0');
        value = value.saturating_mul(10).saturating_add(digit);
        *byte = next();
    }
    value
}

/// Writes one argument.
///
/// # Safety
/// As for [`print`].
unsafe fn convert(
    out: &mut Counted<'_>,
    mut it: Directive,
    letter: u8,
    arguments: &mut dyn Arguments,
) {
    match letter {
        b'd' | b'i' => {
            let value = signed(arguments.integer(), it.bytes);
            let sign: &[u8] = match value {
                ..0 => b"-",
                _ if it.plus => b"+",
                _ if it.space => b" ",
                _ => b"",
            };
            integer(out, it, sign, value.unsigned_abs(), 10, false);
        }
        b'u' => {
            let value = unsigned(arguments.integer(), it.bytes);
            integer(out, it, b"", value, 10, false);
        }
        b'x' | b'X' => {
            let value = unsigned(arguments.integer(), it.bytes);
            let prefix: &[u8] = match (it.alternate && value != 0, letter) {
                (false, _) => b"",
                (true, b'x') => b"0x",
                (true, _) => b"0X",
            };
            integer(out, it, prefix, value, 16, letter == b'X');
        }
        b'o' => {
            let value = unsigned(arguments.integer(), it.bytes);
            let prefix: &[u8] = if it.alternate && value != 0 {
                b"0"
            } else {
                b""
            };
            integer(out, it, prefix, value, 8, false);
        }
        b'p' => {
            it.bytes = Width::Long;
            integer(out, it, b"0x", arguments.integer(), 16, false);
        }
        b'c' => pad(out, it, &[arguments.integer() as u8]),
        b's' => {
            let text = arguments.integer() as *const u8;
            // SAFETY: as the caller of `print` promised.
            pad(out, it, unsafe { string(text, it.precision) });
        }
        b'f' | b'F' => double(out, it, arguments.double()),
        b'%' => out.write(b"%"),
        other => out.write(&[b'%', other]),
    }
}

/// The part of a register that the caller meant, as a signed number.
fn signed(register: u64, width: Width) -> i64 {
    match width {
        Width::Char => (register as i8).into(),
        Width::Short => (register as i16).into(),
        Width::Int => (register as i32).into(),
        Width::Long => register as i64,
    }
}

/// The same without a sign.
fn unsigned(register: u64, width: Width) -> u64 {
    match width {
        Width::Char => (register as u8).into(),
        Width::Short => (register as u16).into(),
        Width::Int => (register as u32).into(),
        Width::Long => register,
    }
}

/// The bytes of a C string, at most `limit`.
///
/// # Safety
/// It is null, ends with a zero byte, or has `limit` bytes.
unsafe fn string<'a>(text: *const u8, limit: Option<usize>) -> &'a [u8] {
    if text.is_null() {
        return b"(null)";
    }
    let limit = limit.unwrap_or(usize::MAX);
    let mut bytes = 0;
    // SAFETY: no byte behind the zero byte or the limit is read.
    while bytes < limit && unsafe { *text.add(bytes) } != 0 {
        bytes += 1;
    }
    // SAFETY: these bytes were just read.
    unsafe { core::slice::from_raw_parts(text, bytes) }
}

/// Writes text in a field.
fn pad(out: &mut Counted<'_>, it: Directive, text: &[u8]) {
    let missing = it.width.saturating_sub(text.len());
    if !it.left {
        out.repeat(b' ', missing);
    }
    out.write(text);
    if it.left {
        out.repeat(b' ', missing);
    }
}

/// Writes a number in a field: sign or prefix, zeroes, digits.
fn number(out: &mut Counted<'_>, it: Directive, prefix: &[u8], least: usize, digits: &[u8]) {
    let mut zeroes = least.saturating_sub(digits.len());
    let missing = it
        .width
        .saturating_sub(prefix.len() + zeroes + digits.len());
    let fill_with_zeroes = it.zero && !it.left;
    if fill_with_zeroes {
        zeroes += missing;
    } else if !it.left {
        out.repeat(b' ', missing);
    }
    out.write(prefix);
    out.repeat(b'0', zeroes);
    out.write(digits);
    if it.left {
        out.repeat(b' ', missing);
    }
}

/// Writes an integer.
fn integer(
    out: &mut Counted<'_>,
    mut it: Directive,
    prefix: &[u8],
    value: u64,
    base: u64,
    capital: bool,
) {
    let letters = if capital {
        b"0123456789ABCDEF"
    } else {
        b"0123456789abcdef"
    };
    let mut digits = [0; 22];
    let mut start = digits.len();
    let mut rest = value;
    while rest != 0 {
        start -= 1;
        digits[start] = letters[(rest % base) as usize];
        rest /= base;
    }
    // A precision says how many digits there are at least, and that zeroes do not fill the field.
    it.zero &= it.precision.is_none();
    number(out, it, prefix, it.precision.unwrap_or(1), &digits[start..]);
}

/// Text of limited room.
struct Text {
    bytes: [u8; NUMBER_BYTES],
    used: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = &mut self.bytes[self.used..];
        let fits = text.len().min(room.len());
        room[..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.used += fits;
        Ok(())
    }
}

/// Writes a double with a fixed point.
fn double(out: &mut Counted<'_>, mut it: Directive, value: f64) {
    let sign: &[u8] = match value.is_sign_negative() {
        true => b"-",
        false if it.plus => b"+",
        false if it.space => b" ",
        false => b"",
    };
    let mut text = Text {
        bytes: [0; NUMBER_BYTES],
        used: 0,
    };
    let decimals = it.precision.unwrap_or(6).min(NUMBER_BYTES - 320);
    let magnitude = if value.is_sign_negative() {
        -value
    } else {
        value
    };
    if value.is_finite() {
        let _ = write!(text, "{magnitude:.decimals$}");
    } else {
        it.zero = false;
        let _ = text.write_str(if value.is_nan() { "nan" } else { "inf" });
    }
    number(out, it, sign, 0, &text.bytes[..text.used]);
}

#[cfg(test)]
mod tests;
