use super::*;
use proptest::prelude::*;
use std::borrow::ToOwned;
use std::string::{String, ToString};
use std::vec::Vec;

/// One entry as the format has it, with so many zero bytes behind the name.
fn entry(into: &mut Vec<u8>, name: &str, mode: u32, bytes: &[u8], zeros: usize) {
    let name_bytes = name.len() + zeros;
    let numbers = [
        1,
        mode,
        0,
        0,
        1,
        0,
        bytes.len() as u32,
        0,
        0,
        0,
        0,
        name_bytes as u32,
        0,
    ];
    into.extend_from_slice(MAGIC);
    for number in numbers {
        into.extend_from_slice(std::format!("{number:08x}").as_bytes());
    }
    into.extend_from_slice(name.as_bytes());
    into.extend(std::iter::repeat_n(0, zeros));
    into.resize(into.len().next_multiple_of(ALIGN), 0);
    into.extend_from_slice(bytes);
    into.resize(into.len().next_multiple_of(ALIGN), 0);
}

fn archive(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, mode, bytes) in entries {
        entry(&mut archive, name, *mode, bytes, 1);
    }
    entry(&mut archive, TRAILER, 0, &[], 1);
    archive
}

fn error(bytes: &[u8]) -> Error {
    let mut entries = Archive::new(bytes).entries();
    let error = entries.find_map(Result::err).expect("it is damaged");
    assert_eq!(entries.next(), None, "nothing comes after an error");
    error
}

fn small() -> Vec<u8> {
    archive(&[
        ("init", MODE_FILE | 0o755, b"first"),
        ("bin", MODE_FOLDER | 0o755, b""),
        ("bin/shell", MODE_FILE | 0o755, b"\x7fELF"),
        ("bin/sh", 0o120_777, b"shell"),
    ])
}

#[test]
fn what_was_written_is_read() {
    let bytes = small();
    let read: Result<Vec<_>, _> = Archive::new(&bytes).entries().collect();
    let read = read.expect("it is whole");
    let names: Vec<&str> = read.iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["init", "bin", "bin/shell", "bin/sh"]);
    let kinds: Vec<Kind> = read.iter().map(Entry::kind).collect();
    assert_eq!(kinds, [Kind::File, Kind::Folder, Kind::File, Kind::Other]);
    assert_eq!(read[0].bytes, b"first");
    assert_eq!(read[0].mode & 0o777, 0o755);
    assert_eq!(bytes[read[2].offset..][..4], *b"\x7fELF");
}

#[test]
fn only_files_are_found() {
    let bytes = small();
    let archive = Archive::new(&bytes);
    let found = archive.find("bin/shell").expect("it is whole");
    assert_eq!(found.expect("it is there").bytes, b"\x7fELF");
    assert_eq!(archive.find("bin"), Ok(None));
    assert_eq!(archive.find("bin/sh"), Ok(None));
    assert_eq!(archive.find("nothing"), Ok(None));
}

/// Made by GNU cpio 2.13: `printf '.\n./hello\n' | cpio --quiet -o -H newc`, and cut behind the trailer.
#[test]
fn an_archive_of_gnu_cpio_is_read() {
    let bytes = b"070701009B274A000041ED0000000000000000000000026B049DCF00000000\
                  000000FE0000000000000000000000000000000200000000.\0\
                  070701009B274B000081A40000000000000000000000016B049DCF00000006\
                  000000FE0000000000000000000000000000000600000000hello\0hello\n\0\0\
                  070701000000000000000000000000000000000000000100000000\
                  0000000000000000000000000000000000000000\
                  0000000B00000000TRAILER!!!\0\0\0\0";
    let mut entries = Archive::new(bytes).entries();
    let hello = entries.next().expect("one file").expect("whole");
    assert_eq!((hello.name, hello.bytes), ("hello", &b"hello\n"[..]));
    assert_eq!(entries.next(), None);
}

/// Other tools keep what they were told.
#[test]
fn a_name_may_say_that_it_is_relative() {
    let bytes = archive(&[("./bin/shell", MODE_FILE, b"x")]);
    let shell = Archive::new(&bytes).find("bin/shell").expect("whole");
    assert_eq!(shell.expect("it is there").bytes, b"x");
}

#[test]
fn zeros_behind_a_name_move_the_file() {
    let mut bytes = Vec::new();
    let zeros = 4096 - HEADER_BYTES - "init".len();
    entry(&mut bytes, "init", MODE_FILE, b"page", zeros);
    entry(&mut bytes, TRAILER, 0, &[], 1);
    let init = Archive::new(&bytes).find("init").expect("whole");
    assert_eq!(init.expect("it is there").offset, 4096);
    bytes[HEADER_BYTES + 10] = b'x';
    assert_eq!(error(&bytes).what, Damage::EndlessName);
}

#[test]
fn damage_says_where_it_is() {
    let whole = small();
    let second = HEADER_BYTES + 6 + 8;
    let broken = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        error(&bytes)
    };
    let at = |at, what| Error { at, what };
    assert_eq!(broken(0, b'1'), at(0, Damage::NotAHeader));
    assert_eq!(broken(second + 5, b'2'), at(second, Damage::NotAHeader));
    assert_eq!(broken(second + 14, b'g'), at(second, Damage::NotANumber));
    assert_eq!(broken(second + 14, b'+'), at(second, Damage::NotANumber));
    let bytes_field = 6 + 6 * 8;
    assert_eq!(broken(bytes_field, b'f'), at(0, Damage::FileBeyondTheEnd));
    let name_field = 6 + 11 * 8;
    assert_eq!(broken(name_field, b'f'), at(0, Damage::NameBeyondTheEnd));
    assert_eq!(broken(HEADER_BYTES + 4, b'x'), at(0, Damage::EndlessName));
    assert_eq!(broken(HEADER_BYTES, 0xff), at(0, Damage::UnwantedName));
    assert_eq!(
        broken(second + 14, b'g').to_string(),
        "cpio archive, entry at byte 0x7c: a number in the header is not hexadecimal"
    );
    assert_eq!(error(b"").what, Damage::NoTrailer);
}

#[test]
fn no_name_leads_out_of_the_archive() {
    for name in [
        "/etc", "..", "a/../b", "a//b", "a/", "./..", "", "a/.", "a\nb", "\x1b[2J",
    ] {
        assert!(!is_plain(name), "{name:?}");
        let bytes = archive(&[(name, MODE_FILE, b"")]);
        assert_eq!(error(&bytes).what, Damage::UnwantedName, "{name:?}");
    }
    for name in ["a", "a/b", "...", ".hidden", "a b", "ü"] {
        assert!(is_plain(name), "{name:?}");
    }
    assert!(is_plain(&"a".repeat(MAX_NAME_BYTES)));
    assert!(!is_plain(&"a".repeat(MAX_NAME_BYTES + 1)));
}

/// Every beginning of an archive is an archive without a trailer, or one that breaks off.
#[test]
fn truncated_anywhere() {
    let whole = small();
    let last = whole.len() - (HEADER_BYTES + TRAILER.len() + 1).next_multiple_of(ALIGN);
    for end in 0..whole.len() - 3 {
        let error = error(&whole[..end]);
        assert!(error.at <= end.min(last), "{end}: {error}");
    }
}

prop_compose! {
    fn file()(
        name in "[a-z]{1,8}(/[a-z]{1,8}){0,2}",
        mode in prop::sample::select(std::vec![MODE_FILE | 0o644, MODE_FOLDER | 0o755]),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        zeros in 1..9_usize,
    ) -> (String, u32, Vec<u8>, usize) {
        (name, mode, bytes, zeros)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_archive_comes_back(files in prop::collection::vec(file(), 0..8)) {
        let mut bytes = Vec::new();
        for (name, mode, content, zeros) in &files {
            entry(&mut bytes, name, *mode, content, *zeros);
        }
        entry(&mut bytes, TRAILER, 0, &[], 1);
        let read: Result<Vec<_>, _> = Archive::new(&bytes).entries().collect();
        let read: Vec<_> = read.unwrap().iter()
            .map(|entry| (entry.name.to_owned(), entry.mode, entry.bytes.to_vec())).collect();
        let written: Vec<_> = files.into_iter().map(|(n, m, b, _)| (n, m, b)).collect();
        prop_assert_eq!(read, written);
    }

    /// Whatever is changed, what is read lies in the archive, its names are plain, and it ends.
    #[test]
    fn a_changed_archive_does_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = small();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len()) + 1);
        harmless(&bytes)?;
    }

    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        harmless(&bytes)?;
        let mut bytes = bytes;
        let head = MAGIC.len().min(bytes.len());
        bytes[..head].copy_from_slice(&MAGIC[..head]);
        harmless(&bytes)?;
    }
}

fn harmless(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut entries = Archive::new(bytes).entries();
    let most = bytes.len() / HEADER_BYTES + 1;
    for _ in 0..=most {
        match entries.next() {
            None => return Ok(()),
            Some(Ok(entry)) => {
                prop_assert!(is_plain(entry.name));
                prop_assert_eq!(&bytes[entry.offset..][..entry.bytes.len()], entry.bytes);
            }
            Some(Err(error)) => {
                prop_assert!(error.at <= bytes.len());
                prop_assert_eq!(entries.next(), None);
                return Ok(());
            }
        }
    }
    prop_assert!(false, "more than {} entries in {} bytes", most, bytes.len());
    Ok(())
}
