//! Blobs that are no device trees, each with the one thing wrong that the message must name.

use boot::dt::{HEADER_LEN, MAX_DEPTH, from_ptr, validate};

use crate::common::{Node, PLAIN};

/// Offsets of header fields.
const TOTAL_SIZE: usize = 4;
const STRUCTURE_AT: usize = 8;
const STRINGS_AT: usize = 12;
const RESERVATIONS_AT: usize = 16;
const VERSION: usize = 20;
const LAST_COMPATIBLE: usize = 24;
const STRINGS_SIZE: usize = 32;
const STRUCTURE_SIZE: usize = 36;

const BEGIN: u32 = 1;
const END: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const FINISH: u32 = 9;
/// The empty name of the root, padded.
const ROOT: u32 = 0;
/// The name "a", padded.
const A: u32 = u32::from_be_bytes(*b"a\0\0\0");
/// Where the structure block of [`made_of`] begins.
const STRUCTURE: usize = 0x38;

fn refusal(bytes: &[u8]) -> String {
    let error = validate(bytes).expect_err("accepted").to_string();
    error.strip_prefix("device tree: ").unwrap().into()
}

fn with_field(field: usize, value: u32) -> Vec<u8> {
    let mut bytes = PLAIN.to_vec();
    bytes[field..field + 4].copy_from_slice(&value.to_be_bytes());
    bytes
}

fn field(field: usize) -> u32 {
    u32::from_be_bytes(PLAIN[field..field + 4].try_into().unwrap())
}

/// A blob with this structure block and the strings block `"p\0"`.
fn made_of(words: &[u32]) -> Vec<u8> {
    let mut bytes = Node::new("").blob_with(&[], 0);
    let structure: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes.truncate(STRUCTURE);
    bytes.extend(&structure);
    let strings_at = bytes.len();
    bytes.extend(b"p\0");
    for (field, value) in [
        (TOTAL_SIZE, bytes.len()),
        (STRINGS_AT, strings_at),
        (STRINGS_SIZE, 2),
        (STRUCTURE_SIZE, structure.len()),
    ] {
        bytes[field..field + 4].copy_from_slice(&(value as u32).to_be_bytes());
    }
    bytes
}

#[test]
fn the_header() {
    assert_eq!(refusal(&[]), "0 bytes are too few for a header");
    assert_eq!(refusal(&PLAIN[..39]), "39 bytes are too few for a header");
    assert_eq!(
        refusal(&[0; 64]),
        "no blob: begins with 0x00000000, not with 0xd00dfeed"
    );
    let len = PLAIN.len();
    assert_eq!(
        refusal(&PLAIN[..len - 1]),
        format!("header says {len} bytes in all, {} are there", len - 1)
    );
    assert_eq!(
        refusal(&with_field(TOTAL_SIZE, 39)),
        format!("header says 39 bytes in all, {len} are there")
    );
    assert_eq!(
        refusal(&with_field(VERSION, 16)),
        "version 16 (compatible with 16), version 17 is needed"
    );
    assert_eq!(
        refusal(&with_field(LAST_COMPATIBLE, 18)),
        "version 17 (compatible with 18), version 17 is needed"
    );
    assert!(validate(&with_field(VERSION, 18)).is_ok());
}

#[test]
fn the_blocks() {
    let total = PLAIN.len();
    assert_eq!(
        refusal(&with_field(STRUCTURE_AT, field(STRUCTURE_AT) + 2)),
        "structure block at offset 0x42 is not 4-byte aligned"
    );
    assert_eq!(
        refusal(&with_field(RESERVATIONS_AT, 0x34)),
        "memory reservation block at offset 0x34 is not 8-byte aligned"
    );
    assert_eq!(
        refusal(&with_field(STRINGS_AT, u32::MAX)),
        format!(
            "strings block of {} bytes at offset 0xffffffff is not inside a blob of {total} bytes",
            field(STRINGS_SIZE)
        )
    );
    // In the header.
    assert!(refusal(&with_field(STRUCTURE_AT, 36)).contains("0x24 is not inside"));
    for (offset, size) in [(STRUCTURE_AT, STRUCTURE_SIZE), (STRINGS_AT, STRINGS_SIZE)] {
        let room = total as u32 - field(offset);
        for too_much in [room + 1, u32::MAX] {
            let message = refusal(&with_field(size, too_much));
            assert!(
                message.contains(&format!("of {too_much} bytes at")),
                "{message}"
            );
        }
    }
}

#[test]
fn reservations() {
    let blob = Node::plain().blob_with(&[(0x1000, 0x2000), (0x4000, 1)], 0);
    let read: Vec<_> = validate(&blob).unwrap().reservations().collect();
    assert_eq!(read, [(0x1000, 0x2000), (0x4000, 1)]);

    let mut unterminated = with_field(RESERVATIONS_AT, 0x38);
    let tail = PLAIN.len() % 16;
    unterminated[0x38..PLAIN.len() - tail].fill(1);
    assert_eq!(
        refusal(&unterminated),
        "memory reservation block at offset 0x38 has no end"
    );
    assert_eq!(
        refusal(&Node::plain().blob_with(&[(u64::MAX, 2)], 0)),
        "memory reservation of 0x2 bytes at 0xffffffffffffffff wraps the address space"
    );
}

#[test]
fn the_strings_block() {
    let start = field(STRINGS_AT) as usize;
    let end = start + field(STRINGS_SIZE) as usize;
    for (at, bad) in [(start, b'\n'), (start + 5, 0x80), (end - 1, b'a')] {
        let mut bytes = PLAIN.to_vec();
        bytes[at] = bad;
        assert_eq!(
            refusal(&bytes),
            format!("strings block at offset {at:#x}: neither printable nor the end of a name")
        );
    }
}

#[test]
fn the_structure_block() {
    assert!(validate(&made_of(&[BEGIN, ROOT, END, FINISH])).is_ok());
    assert!(
        validate(&made_of(&[
            NOP, BEGIN, ROOT, PROPERTY, 0, 0, END, NOP, FINISH
        ]))
        .is_ok()
    );
    let cases: &[(&[u32], usize, &str)] = &[
        (&[], 0, "structure block ends in the middle"),
        (&[FINISH], 0, "the tree has no root"),
        (&[BEGIN, ROOT, END], 3, "structure block ends in the middle"),
        (&[BEGIN, ROOT, FINISH], 2, "the tree ends inside a node"),
        (&[BEGIN, A, END, FINISH], 0, "bad node name"),
        (
            &[BEGIN, ROOT, BEGIN, ROOT, END, END, FINISH],
            2,
            "bad node name",
        ),
        (&[BEGIN, u32::MAX, END, FINISH], 0, "bad node name"),
        (&[BEGIN, 0x2f2f_2f2f], 0, "bad node name"),
        (&[BEGIN], 0, "bad node name"),
        (
            &[BEGIN, ROOT, END, BEGIN, ROOT, END, FINISH],
            3,
            "a second root",
        ),
        (&[END], 0, "end of a node that did not begin"),
        (
            &[BEGIN, ROOT, END, END],
            3,
            "end of a node that did not begin",
        ),
        (&[PROPERTY, 0, 0], 0, "property outside of any node"),
        (
            &[BEGIN, ROOT, BEGIN, A, END, PROPERTY, 0, 0, END, FINISH],
            5,
            "property behind a child node",
        ),
        (
            &[BEGIN, ROOT, PROPERTY, 0, 1, END, FINISH],
            2,
            "bad property name",
        ),
        (
            &[BEGIN, ROOT, PROPERTY, 0, 2, END, FINISH],
            2,
            "bad property name",
        ),
        (
            &[BEGIN, ROOT, PROPERTY, 0, u32::MAX, END, FINISH],
            2,
            "bad property name",
        ),
        (
            &[BEGIN, ROOT, PROPERTY, 0],
            4,
            "structure block ends in the middle",
        ),
        (
            &[BEGIN, ROOT, PROPERTY, 9, 0, END, FINISH],
            2,
            "property of 9 bytes reaches beyond the structure block",
        ),
        (
            &[BEGIN, ROOT, PROPERTY, u32::MAX, 0, END, FINISH],
            2,
            "property of 4294967295 bytes reaches beyond the structure block",
        ),
        (&[BEGIN, ROOT, 5], 2, "0x5 is not a token"),
        (
            &[BEGIN, ROOT, END, FINISH, NOP],
            3,
            "structure block goes on behind the end of the tree",
        ),
    ];
    for (words, at, fault) in cases {
        assert_eq!(
            refusal(&made_of(words)),
            format!("offset {:#x}: {fault}", STRUCTURE + at * 4),
            "{words:x?}"
        );
    }
}

#[test]
fn no_deeper_than_there_is_room_for() {
    let nested = |depth: usize| {
        let mut words = vec![BEGIN, ROOT];
        words.extend([BEGIN, A].repeat(depth - 1));
        words.extend(vec![END; depth]);
        words.push(FINISH);
        made_of(&words)
    };
    assert!(validate(&nested(MAX_DEPTH)).is_ok());
    assert!(refusal(&nested(MAX_DEPTH + 1)).ends_with("nodes nest deeper than 16"));
}

#[test]
fn a_pointer_before_anything_is_known() {
    // 8-byte aligned, and followed by what is not the blob's.
    let mut words = vec![0_u64; PLAIN.len().div_ceil(8) + 4];
    for (word, bytes) in words.iter_mut().zip(PLAIN.chunks(8)) {
        let mut whole = [0xff; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_ne_bytes(whole);
    }
    let start = words.as_ptr().cast::<u8>();
    let there = words.len() * 8;
    let read = |start: *const u8, max_len: usize| {
        // SAFETY: the vector outlives the call, and `max_len` stays within it.
        let blob = unsafe { from_ptr(start, max_len) };
        blob.map(|blob| blob.bytes().len())
            .map_err(|error| error.to_string())
    };
    assert_eq!(read(start, there), Ok(PLAIN.len()));
    assert_eq!(read(start, PLAIN.len()), Ok(PLAIN.len()));
    for too_short in [0, 7, 8, HEADER_LEN - 1] {
        let error = read(start, too_short).unwrap_err();
        assert!(error.ends_with("bytes are too few for a header"), "{error}");
    }
    assert!(
        read(start, PLAIN.len() - 1)
            .unwrap_err()
            .contains("bytes in all")
    );
    assert!(
        read(start.wrapping_add(4), there - 4)
            .unwrap_err()
            .contains("8-byte aligned")
    );
    assert_eq!(
        read(core::ptr::null(), 0).unwrap_err(),
        "device tree: none was handed over (x0 = 0)"
    );
}
