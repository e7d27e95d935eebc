//! The first program, as the kernel maps it.

use initrd::flat::{Access, PAGE, Program, Segment};

/// Reads the program, and makes its header again.
pub(crate) fn body(bytes: &[u8]) -> bool {
    let program = match Program::parse(bytes) {
        Ok(program) => program,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let segments: Vec<Segment<'_>> = program.segments().collect();
    let mut in_file = PAGE;
    for (index, segment) in segments.iter().enumerate() {
        assert!(segment.address.is_multiple_of(PAGE as u64));
        assert!(segment.memory_bytes.is_multiple_of(PAGE as u64));
        assert!(segment.address.checked_add(segment.memory_bytes).is_some());
        assert!(segment.bytes.len() as u64 <= segment.memory_bytes);
        in_file += segment.bytes.len().next_multiple_of(PAGE);
        for other in &segments[..index] {
            assert!(other.end() <= segment.address || segment.end() <= other.address);
        }
    }
    assert_eq!(in_file, bytes.len());
    let holds_entry = |segment: &Segment<'_>| {
        segment.access == Access::ReadExecute
            && (segment.address..segment.end()).contains(&program.entry)
    };
    assert!(segments.iter().any(holds_entry), "it begins nowhere");

    let mut again = program.header().to_vec();
    again.extend_from_slice(&bytes[PAGE..]);
    assert_eq!(
        Program::parse(&again),
        Ok(program),
        "another program comes back"
    );
    true
}

/// Programs of one, two and three segments.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let text = [0xc0, 0x03, 0x5f, 0xd6];
    let segment = |access, address, memory_bytes, bytes| {
        Some(Segment {
            address,
            memory_bytes,
            bytes,
            access,
        })
    };
    let page = PAGE as u64;
    let lists = [
        [
            segment(Access::ReadExecute, 0x20_0000, page, &text[..]),
            None,
            None,
        ],
        [
            segment(Access::ReadExecute, 0x20_0000, page, &text[..]),
            None,
            segment(Access::ReadWrite, 0x20_0000 + page, 4 * page, &[]),
        ],
        [
            segment(Access::ReadExecute, 0x20_0000, page, &text[..]),
            segment(Access::Read, 0x20_0000 + page, page, b"constants"),
            segment(Access::ReadWrite, 0x20_0000 + 2 * page, 4 * page, b"data"),
        ],
    ];
    lists
        .into_iter()
        .map(|segments| {
            let program = Program {
                entry: 0x20_0000,
                segments,
            };
            let mut bytes = program.header().to_vec();
            for segment in program.segments() {
                bytes.extend_from_slice(segment.bytes);
                bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
            }
            bytes
        })
        .collect()
}
