//! What the standard says about `printf`, by example.

use super::*;
use std::ffi::CString;

/// Arguments from a list.
struct List<'a>(std::slice::Iter<'a, Value>);

#[derive(Clone, Copy)]
enum Value {
    I(u64),
    D(f64),
}

impl Arguments for List<'_> {
    fn integer(&mut self) -> u64 {
        match self.0.next() {
            Some(Value::I(value)) => *value,
            _ => panic!("no integer is left"),
        }
    }

    fn double(&mut self) -> f64 {
        match self.0.next() {
            Some(Value::D(value)) => *value,
            _ => panic!("no double is left"),
        }
    }
}

impl Sink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

fn text(format: &str, values: &[Value]) -> String {
    let format = CString::new(format).expect("no zero byte inside");
    let mut out = Vec::new();
    // SAFETY: a C string; the tests pass pointers to C strings where they say `%s`.
    let bytes = unsafe { print(&mut out, format.as_ptr(), &mut List(values.iter())) };
    assert_eq!(bytes, out.len());
    String::from_utf8(out).expect("ASCII")
}

fn int(value: i32) -> Value {
    // What lies above the 32 bits of an int is anything.
    Value::I(u64::from(value as u32) | 0xdead_beef << 32)
}

#[test]
fn integers() {
    let cases: &[(&str, Value, &str)] = &[
        ("%d", int(0), "0"),
        ("%d", int(-42), "-42"),
        ("%i", int(i32::MIN), "-2147483648"),
        ("%u", int(-1), "4294967295"),
        ("%x", int(-1), "ffffffff"),
        ("%X", int(0xbeef), "BEEF"),
        ("%#x", int(0xbeef), "0xbeef"),
        ("%#x", int(0), "0"),
        ("%o", int(8), "10"),
        ("%#o", int(8), "010"),
        ("%ld", Value::I(i64::MIN as u64), "-9223372036854775808"),
        ("%llu", Value::I(u64::MAX), "18446744073709551615"),
        ("%zx", Value::I(u64::MAX), "ffffffffffffffff"),
        ("%hd", int(0x1_8000), "-32768"),
        ("%hhu", int(0x1ff), "255"),
        ("%5d|", int(42), "   42|"),
        ("%-5d|", int(42), "42   |"),
        ("%05d|", int(-42), "-0042|"),
        ("%-05d|", int(42), "42   |"),
        ("%+d", int(42), "+42"),
        ("% d", int(42), " 42"),
        ("%.3d", int(7), "007"),
        ("%6.3d", int(-7), "  -007"),
        ("%06.3d", int(7), "   007"),
        ("%.0d", int(0), ""),
        ("%p", Value::I(0x7f_f000_0000), "0x7ff0000000"),
        ("%#010x", int(0xbeef), "0x0000beef"),
    ];
    for (format, value, expected) in cases {
        assert_eq!(text(format, &[*value]), *expected, "{format}");
    }
}

#[test]
fn text_and_characters() {
    let hello = CString::new("hello").expect("no zero byte inside");
    let hello = Value::I(hello.as_ptr() as u64);
    assert_eq!(text("[%s]", &[hello]), "[hello]");
    assert_eq!(text("[%7s|%-7s]", &[hello, hello]), "[  hello|hello  ]");
    assert_eq!(text("[%.2s]", &[hello]), "[he]");
    assert_eq!(text("[%*.*s]", &[int(4), int(1), hello]), "[   h]");
    assert_eq!(text("[%*s]", &[int(-7), hello]), "[hello  ]");
    assert_eq!(text("[%s]", &[Value::I(0)]), "[(null)]");
    assert_eq!(text("%c%c%%", &[int(104), int(105)]), "hi%");
}

#[test]
fn doubles() {
    let cases: &[(&str, f64, &str)] = &[
        ("%f", 1.5, "1.500000"),
        ("%.0f", 2.5, "2"),
        ("%.3f", -0.0005, "-0.001"),
        ("%8.2f|", 2.71459, "    2.71|"),
        ("%-8.2f|", 2.71459, "2.71    |"),
        ("%08.2f|", -2.71459, "-0002.71|"),
        ("%+.1f", 0.05, "+0.1"),
        ("%f", f64::INFINITY, "inf"),
        ("%05f", f64::NAN, "  nan"),
        ("%f", -0.0, "-0.000000"),
    ];
    for (format, value, expected) in cases {
        assert_eq!(text(format, &[Value::D(*value)]), *expected, "{format}");
    }
    assert_eq!(text("%.1f", &[Value::D(f64::MAX)]).len(), 311);
}

#[test]
fn nonsense_is_printed_as_it_is_and_ends() {
    assert_eq!(text("100%", &[]), "100");
    assert_eq!(text("%5", &[]), "");
    assert_eq!(text("%y!", &[]), "%y!");
    assert_eq!(
        text("%99999999999d", &[int(1)]).len(),
        FIELD_LIMIT,
        "a field is cut"
    );
    assert_eq!(text("%.99999999999f", &[Value::D(0.0)]).len(), 2 + 80);
}
