use super::*;
use proptest::prelude::*;
use std::string::ToString;
use std::vec::Vec;

const BASE: u64 = 0x20_0000;
const PAGE_BYTES: u64 = PAGE as u64;

/// Two pages of text, one of constants, and three of data, of which a few bytes are in the file.
fn whole() -> Vec<u8> {
    let text = [1; PAGE + 8];
    let segment = |page: u64, pages: u64, bytes, access| {
        Some(Segment {
            address: BASE + page * PAGE_BYTES,
            memory_bytes: pages * PAGE_BYTES,
            bytes,
            access,
        })
    };
    let program = Program {
        entry: BASE + PAGE_BYTES + 4,
        segments: [
            segment(0, 2, &text, Access::ReadExecute),
            segment(2, 1, &[2; PAGE], Access::Read),
            segment(3, 3, &[3; 5], Access::ReadWrite),
        ],
    };
    written(&program)
}

fn written(program: &Program<'_>) -> Vec<u8> {
    let mut bytes = program.header().to_vec();
    for segment in program.segments() {
        bytes.extend_from_slice(segment.bytes);
        bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
    }
    bytes
}

/// The error after writing `value` at `at`.
fn error(at: usize, value: u64) -> Error {
    let mut bytes = whole();
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    Program::parse(&bytes).expect_err("it is damaged")
}

#[test]
fn what_was_written_is_read() {
    let bytes = whole();
    let program = Program::parse(&bytes).expect("it is whole");
    assert_eq!(program.entry, BASE + PAGE_BYTES + 4);
    let segments: Vec<_> = program.segments().collect();
    assert_eq!(segments.len(), 3);
    assert_eq!(segments[0].bytes, [1; PAGE + 8]);
    assert_eq!(segments[0].end(), segments[1].address);
    assert_eq!(segments[2].bytes, [3; 5]);
    assert_eq!(segments[2].memory_bytes, 3 * PAGE_BYTES);
    assert_eq!(written(&program), bytes);
}

#[test]
fn text_alone_will_do() {
    let text = Segment {
        address: 0,
        memory_bytes: PAGE_BYTES,
        bytes: &[],
        access: Access::ReadExecute,
    };
    let program = Program {
        entry: 0,
        segments: [Some(text), None, None],
    };
    assert_eq!(Program::parse(&written(&program)), Ok(program));
}

#[test]
fn what_cannot_be_is_refused() {
    let (text, rodata, data) = (record(0), record(1), record(2));
    assert_eq!(Program::parse(b"petrelfp"), Err(Error::NoHeader));
    assert_eq!(error(0, 0), Error::NotAProgram);
    assert_eq!(error(8, 2), Error::Version(2));
    for entry in [0, BASE - 4, BASE + 2, BASE + 2 * PAGE_BYTES, u64::MAX] {
        assert_eq!(error(16, entry), Error::Entry(entry));
    }
    let impossible = Error::Impossible;
    assert_eq!(error(text, BASE + 1), impossible(Access::ReadExecute));
    assert_eq!(
        error(text + 8, PAGE_BYTES + 1),
        impossible(Access::ReadExecute)
    );
    assert_eq!(error(rodata + 8, 0), impossible(Access::Read));
    assert_eq!(error(data, u64::MAX << 12), impossible(Access::ReadWrite));
    assert_eq!(
        error(data + 8, u64::MAX << 12),
        impossible(Access::ReadWrite)
    );
    assert_eq!(
        error(rodata, BASE + PAGE_BYTES),
        Error::Overlap(Access::Read)
    );
    assert_eq!(error(rodata, BASE), Error::Overlap(Access::Read));
    assert_eq!(
        error(data, BASE - PAGE_BYTES),
        Error::Overlap(Access::ReadWrite)
    );
    assert_eq!(
        error(data + 16, 3 * PAGE_BYTES),
        Error::Short(Access::ReadWrite)
    );
    let length = error(text + 16, PAGE_BYTES);
    assert!(matches!(length, Error::Length { .. }), "{length}");
    assert_eq!(
        error(rodata, BASE).to_string(),
        "its rodata wants memory that is taken"
    );
}

#[test]
fn a_program_without_text_is_none() {
    let mut bytes = whole();
    bytes[record(0)..record(1)].fill(0);
    bytes.drain(PAGE..3 * PAGE);
    assert!(matches!(Program::parse(&bytes), Err(Error::Entry(_))));
}

#[test]
fn truncated_anywhere() {
    let bytes = whole();
    for end in 0..bytes.len() {
        assert!(Program::parse(&bytes[..end]).is_err(), "{end}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(Program::parse(&longer), Err(Error::Length { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// Whatever the header says: what is read is in the file, in order, and apart.
    #[test]
    fn a_changed_header_does_no_harm(
        changes in prop::collection::vec((0..record(SEGMENTS), any::<u8>()), 1..8),
        pages in 1..8_usize,
    ) {
        let mut bytes = whole();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes.resize(pages * PAGE, 0);
        let Ok(program) = Program::parse(&bytes) else { return Ok(()) };
        let segments: Vec<_> = program.segments().collect();
        for (at, segment) in segments.iter().enumerate() {
            prop_assert!(segment.memory_bytes > 0);
            prop_assert!(segment.bytes.len() as u64 <= segment.memory_bytes);
            prop_assert!(segment.address.checked_add(segment.memory_bytes).is_some());
            for other in &segments[..at] {
                prop_assert!(other.end() <= segment.address || segment.end() <= other.address);
            }
        }
        prop_assert_eq!(segments[0].access, Access::ReadExecute);
        prop_assert_eq!(written(&program).len(), bytes.len());
    }
}
