//! Programs: whatever somebody asks to be run.

use loader::Image;
use loader::image::{ADDRESSES, MAX_BYTES, MAX_SEGMENTS};
use rt::Rights;
use rt::abi::memory::PAGE;

/// Reads the file, and checks all that whoever maps it relies on.
pub(crate) fn body(bytes: &[u8]) -> bool {
    let image = match Image::parse(bytes) {
        Ok(image) => image,
        Err(defect) => {
            assert!(!defect.to_string().is_empty());
            return false;
        }
    };
    assert!((1..=MAX_SEGMENTS).contains(&image.segments.len()));
    assert!(image.bytes() <= MAX_BYTES);
    let mut end = ADDRESSES.start;
    let mut begins = false;
    for segment in &image.segments {
        assert!(segment.address >= end, "segments overlap, or lie too low");
        assert!(segment.address.is_multiple_of(PAGE) && segment.bytes.is_multiple_of(PAGE));
        assert!(segment.bytes > 0 && segment.offset < PAGE);
        assert!(segment.offset + segment.content.len() as u64 <= segment.bytes);
        let both = Rights::WRITE.with(Rights::EXECUTE);
        assert!(!segment.rights.contains(both), "written and executed");
        end = segment.address + segment.bytes;
        begins |= segment.rights.contains(Rights::EXECUTE)
            && (segment.address..end).contains(&image.entry);
    }
    assert!(end <= ADDRESSES.end);
    assert!(begins && image.entry.is_multiple_of(4));
    true
}

/// A file as linkers write them: text, constants, data that is longer in memory.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    // Flags, offset in the file, address, bytes there, bytes in memory.
    let segments: [[u64; 5]; 3] = [
        [5, 0x400, 0x40_0400, 0x123, 0x123],
        [4, 0x600, 0x40_1600, 0x80, 0x80],
        [6, 0x680, 0x40_2680, 0x80, 0x5000],
    ];
    let file = |count: usize| {
        let mut file = vec![0; 0x700];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF\x02\x01\x01");
        put(16, &2_u16.to_le_bytes());
        put(18, &183_u16.to_le_bytes());
        put(20, &1_u32.to_le_bytes());
        put(24, &0x40_0410_u64.to_le_bytes());
        put(32, &64_u64.to_le_bytes());
        for (at, field) in [(52, 64), (54, 56), (56, count as u16), (58, 64)] {
            put(at, &u16::to_le_bytes(field));
        }
        for (index, [flags, offset, address, in_file, in_memory]) in
            segments.into_iter().take(count).enumerate()
        {
            let at = 64 + 56 * index;
            put(at, &1_u32.to_le_bytes());
            put(at + 4, &(flags as u32).to_le_bytes());
            for (field, value) in [
                (8, offset),
                (16, address),
                (24, address),
                (32, in_file),
                (40, in_memory),
                (48, PAGE),
            ] {
                put(at + field, &value.to_le_bytes());
            }
        }
        file
    };
    vec![file(1), file(2), file(3)]
}
