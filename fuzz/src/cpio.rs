//! Archives: the init image is whatever lies behind `-initrd`.

use initrd::cpio::{Archive, HEADER_BYTES, MAX_NAME_BYTES, is_plain};

/// Reads all entries, and looks each of them up by its name.
pub(crate) fn body(bytes: &[u8]) -> bool {
    let archive = Archive::new(bytes);
    let mut end = 0;
    let mut entries = archive.entries();
    let mut broken = false;
    // An entry has a header at least; one more than fits is a loop.
    for _ in 0..=bytes.len() / HEADER_BYTES + 1 {
        match entries.next() {
            Some(Ok(entry)) => {
                assert!(!broken, "an entry behind the error");
                assert!(is_plain(entry.name) && entry.name.len() <= MAX_NAME_BYTES);
                assert!(entry.offset >= end, "entries overlap");
                assert_eq!(&bytes[entry.offset..][..entry.bytes.len()], entry.bytes);
                end = entry.offset + entry.bytes.len();
            }
            Some(Err(error)) => {
                assert!(!broken, "an error behind the error");
                assert!(error.at <= bytes.len(), "{error}");
                assert!(!error.to_string().is_empty());
                broken = true;
            }
            None => break,
        }
    }
    assert!(entries.next().is_none(), "an archive without end");
    if let Some(Ok(first)) = archive.entries().next() {
        if let Ok(Some(found)) = archive.find(first.name) {
            assert_eq!(found.name, first.name);
        }
        let _ = archive.find("no such file");
    }
    !broken
}

/// Appends an entry.
fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let (size, name_size) = (content.len(), name.len() + 1);
    archive.extend_from_slice(b"070701");
    for field in [
        1,
        mode,
        0,
        0,
        1,
        0,
        size as u32,
        0,
        0,
        0,
        0,
        name_size as u32,
        0,
    ] {
        archive.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(4), 0);
}

/// Archives as tools make them.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut small = Vec::new();
    entry(&mut small, "TRAILER!!!", 0, b"");
    let mut usual = Vec::new();
    entry(&mut usual, ".", 0o040_755, b"");
    entry(&mut usual, "bin", 0o040_755, b"");
    entry(&mut usual, "bin/init", 0o100_755, b"petrelfp and more");
    entry(&mut usual, "etc/start", 0o100_644, b"run shell\n");
    entry(&mut usual, "link", 0o120_777, b"bin/init");
    entry(&mut usual, "TRAILER!!!", 0, b"");
    vec![small, usual]
}
