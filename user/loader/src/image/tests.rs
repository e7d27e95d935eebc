//! Files that are whole, and every way to break one that a header has a name for.

use super::*;
use proptest::prelude::*;

const HEADER: usize = 64;
const SEGMENT: usize = 56;

/// A file with a segment of text, one of constants, one of data; as a linker writes them.
fn whole() -> Vec<u8> {
    let mut file = alloc::vec![0; 0x3100];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    put16(&mut file, 16, ET_EXEC);
    put16(&mut file, 18, EM_AARCH64);
    put32(&mut file, 20, 1);
    put64(&mut file, 24, 0x40_0010);
    put64(&mut file, 32, HEADER as u64);
    put16(&mut file, 52, HEADER as u16);
    put16(&mut file, 54, SEGMENT as u16);
    put16(&mut file, 56, 3);
    put16(&mut file, 58, 64);
    // Flags, offset in the file, address, bytes there, bytes in memory.
    let segments = [
        (PF_R | PF_X, 0x1000, 0x40_0000, 0x1234, 0x1234),
        (PF_R, 0x3000, 0x40_2000, 0x80, 0x80),
        (PF_R | PF_W, 0x3080, 0x40_3080, 0x80, 0x5000),
    ];
    for (index, (flags, offset, address, file_bytes, bytes)) in segments.into_iter().enumerate() {
        let at = HEADER + index * SEGMENT;
        put32(&mut file, at, PT_LOAD);
        put32(&mut file, at + 4, flags);
        put64(&mut file, at + 8, offset);
        put64(&mut file, at + 16, address);
        put64(&mut file, at + 32, file_bytes);
        put64(&mut file, at + 40, bytes);
        put64(&mut file, at + 48, 0x1000);
    }
    file
}

fn put16(file: &mut [u8], at: usize, value: u16) {
    file[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

fn put32(file: &mut [u8], at: usize, value: u32) {
    file[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put64(file: &mut [u8], at: usize, value: u64) {
    file[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Field of segment `index`, at its offset in the program header.
const fn field(index: usize, offset: usize) -> usize {
    HEADER + index * SEGMENT + offset
}

#[test]
fn a_whole_file() {
    let file = whole();
    let image = Image::parse(&file).expect("it is whole");
    assert_eq!(image.entry, 0x40_0010);
    assert_eq!(image.bytes(), 0x2000 + 0x1000 + 0x6000);
    let data = &image.segments[2];
    assert_eq!(
        (data.address, data.bytes, data.offset),
        (0x40_3000, 0x6000, 0x80)
    );
    assert_eq!(data.content.len(), 0x80);
    assert_eq!(data.rights, Rights::READ.with(Rights::WRITE));
    let text = &image.segments[0];
    assert_eq!(text.rights, Rights::READ.with(Rights::EXECUTE));
}

#[test]
fn what_is_no_program_is_named() {
    let broken = |at: usize, bytes: &[u8]| {
        let mut file = whole();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        Image::parse(&file).expect_err("it is broken")
    };
    let long = |at, value: u64| broken(at, &value.to_le_bytes());
    assert_eq!(broken(0, b"#!/b"), Defect::NotElf);
    assert_eq!(broken(EI_CLASS, &[1]), Defect::OtherMachine);
    assert_eq!(broken(EI_DATA, &[2]), Defect::OtherMachine);
    assert_eq!(broken(18, &[62, 0]), Defect::OtherMachine);
    assert_eq!(broken(16, &[3, 0]), Defect::NotStatic);
    assert_eq!(broken(field(1, 0), &[3]), Defect::NotStatic);
    assert_eq!(broken(54, &[55, 0]), Defect::Malformed);
    assert_eq!(broken(56, &[0, 0]), Defect::Empty);
    assert_eq!(long(32, 0x3100), Defect::Truncated("headers"));
    assert_eq!(long(field(1, 8), 0x3081), Defect::Truncated("segments"));
    assert_eq!(long(field(1, 8), u64::MAX), Defect::Truncated("segments"));
    assert_eq!(long(field(2, 40), 0x7f), Defect::FileBeyondMemory(2));
    assert_eq!(
        long(field(0, 16), 0x1_0000),
        Defect::BadAddress(0, 0x1_0000)
    );
    assert_eq!(
        long(field(2, 16), u64::MAX - 9),
        Defect::BadAddress(2, u64::MAX - 9)
    );
    assert_eq!(
        long(field(2, 40), u64::MAX),
        Defect::BadAddress(2, 0x40_3080)
    );
    assert_eq!(long(field(2, 40), MAX_BYTES), Defect::TooLarge);
    assert_eq!(broken(field(0, 4), &[7]), Defect::WriteAndExecute(0));
    assert_eq!(long(field(1, 16), 0x40_1ff0), Defect::Overlap(0, 1));
    assert_eq!(long(24, 0), Defect::BadEntry(0));
    assert_eq!(long(24, 0x40_0012), Defect::BadEntry(0x40_0012));
    assert_eq!(long(24, 0x40_2000), Defect::BadEntry(0x40_2000));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let file = whole();
    for length in (0..HEADER + 3 * SEGMENT).chain((0x1000..file.len()).step_by(97)) {
        let defect = Image::parse(&file[..length]).expect_err("it was cut");
        let expected = if length == 0 {
            matches!(defect, Defect::NotElf)
        } else {
            matches!(defect, Defect::Truncated(_))
        };
        assert!(expected, "{length}: {defect:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is changed, an image that is accepted can be mapped.
    #[test]
    fn what_is_accepted_can_be_mapped(changes in prop::collection::vec((0..HEADER + 3 * SEGMENT, any::<u8>()), 0..12), length in 0_usize..0x3100) {
        let mut file = whole();
        for (at, value) in changes {
            file[at] = value;
        }
        file.truncate(length.max(0x100));
        if let Ok(image) = Image::parse(&file) {
            let mut end = ADDRESSES.start;
            for segment in &image.segments {
                prop_assert!(segment.address >= end && segment.address.is_multiple_of(PAGE));
                prop_assert!(segment.bytes.is_multiple_of(PAGE));
                prop_assert!(segment.offset + segment.content.len() as u64 <= segment.bytes);
                let both = Rights::WRITE.with(Rights::EXECUTE);
                prop_assert!(!segment.rights.contains(both));
                end = segment.address + segment.bytes;
            }
            prop_assert!(end <= ADDRESSES.end);
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = Image::parse(&bytes);
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.extend_from_slice(&bytes);
        let _ = Image::parse(&file);
    }
}
