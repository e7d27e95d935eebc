//! The tree by itself, and against a simple one.

use super::*;
use proptest::prelude::*;

fn file(tree: &mut Tree, path: &str, bytes: &[u8]) {
    tree.create(path, Kind::File).expect("there is room");
    let mut node = tree.open(path).expect("it was made");
    assert_eq!(tree.write(&mut node, 0, bytes), Ok(bytes.len()));
}

fn names(tree: &mut Tree, path: &str) -> Vec<String> {
    let entries = tree.list(path).expect("it is a directory");
    entries.into_iter().map(|entry| entry.name).collect()
}

/// An entry as cpio has it.
fn entry(name: &str, mode: u32, bytes: &[u8]) -> Vec<u8> {
    let number = |value: usize| alloc::format!("{value:08x}");
    let mut all = cpio::MAGIC.to_vec();
    for value in [
        0,
        mode as usize,
        0,
        0,
        1,
        0,
        bytes.len(),
        0,
        0,
        0,
        0,
        name.len() + 1,
        0,
    ] {
        all.extend_from_slice(number(value).as_bytes());
    }
    all.extend_from_slice(name.as_bytes());
    all.push(0);
    all.resize(all.len().next_multiple_of(cpio::ALIGN), 0);
    all.extend_from_slice(bytes);
    all.resize(all.len().next_multiple_of(cpio::ALIGN), 0);
    all
}

fn image(entries: &[(&str, u32, &[u8])]) -> &'static [u8] {
    let mut all: Vec<u8> = entries
        .iter()
        .flat_map(|(name, mode, bytes)| entry(name, *mode, bytes))
        .collect();
    all.extend(entry(cpio::TRAILER, 0, b""));
    all.leak()
}

#[test]
fn the_image_is_there_and_cannot_be_written() {
    let mut tree = Tree::new(100);
    let image = image(&[
        ("bin/shell", cpio::MODE_FILE, b"elf"),
        ("empty", cpio::MODE_FOLDER, b""),
        ("bin/shell/below", cpio::MODE_FILE, b"below a file"),
        ("bin/shell", cpio::MODE_FILE, b"again"),
    ]);
    tree.add_image(image).expect("it is whole");
    assert_eq!(names(&mut tree, ""), ["bin", "empty"]);
    assert_eq!(names(&mut tree, "bin"), ["shell"]);
    assert_eq!(tree.stat("bin/shell").map(|stat| stat.size), Ok(3));
    let mut node = tree.open("bin/shell").expect("it is there");
    let mut bytes = [0; 8];
    assert_eq!(tree.read(&mut node, 1, &mut bytes), Ok(2));
    assert_eq!(&bytes[..2], b"lf");
    assert_eq!(tree.read(&mut node, 3, &mut bytes), Ok(0));
    assert_eq!(tree.read(&mut node, u64::MAX, &mut bytes), Ok(0));
    assert_eq!(tree.write(&mut node, 0, b"x"), Err(Error::ReadOnly));
    assert_eq!(tree.resize(&mut node, 0), Err(Error::ReadOnly));
    assert_eq!(tree.remove("bin/shell"), Err(Error::ReadOnly));
    assert_eq!(tree.remove("bin"), Err(Error::NotEmpty));
    assert_eq!(tree.stat("bin/shell/x"), Err(Error::NotDirectory));
    assert_eq!(tree.stat("bin/x"), Err(Error::NotFound));
    assert_eq!(tree.list("bin/shell"), Err(Error::NotDirectory));
    assert!(matches!(tree.open("bin"), Err(Error::IsDirectory)));
}

#[test]
fn a_damaged_image_gives_what_lies_before() {
    let mut bytes = entry("a", cpio::MODE_FILE, b"a");
    bytes.extend_from_slice(b"rubbish");
    let mut tree = Tree::new(100);
    assert!(tree.add_image(bytes.leak()).is_err());
    assert_eq!(names(&mut tree, ""), ["a"]);
}

#[test]
fn names_that_begin_alike_are_apart() {
    let mut tree = Tree::new(100);
    tree.create("a", Kind::Directory).expect("there is room");
    file(&mut tree, "a/b", b"1");
    file(&mut tree, "a.txt", b"22");
    file(&mut tree, "ab", b"333");
    assert_eq!(names(&mut tree, "a"), ["b"]);
    assert_eq!(names(&mut tree, ""), ["a", "a.txt", "ab"]);
    assert_eq!(tree.create("a/c/d", Kind::File), Err(Error::NotFound));
    assert_eq!(tree.create("ab/c", Kind::File), Err(Error::NotDirectory));
    assert_eq!(tree.create("a/b", Kind::File), Err(Error::Exists));
}

#[test]
fn room_is_given_back_when_the_last_user_is_gone() {
    let mut tree = Tree::new(100);
    file(&mut tree, "a", &[1; 60]);
    let mut open = tree.open("a").expect("it is there");
    assert_eq!(tree.write(&mut open, 60, &[2; 41]), Err(Error::Full));
    assert_eq!(tree.write(&mut open, u64::MAX, &[2]), Err(Error::Full));
    assert_eq!(tree.remove("a"), Ok(()));
    file(&mut tree, "b", &[3; 40]);
    let mut second = tree.open("b").expect("it is there");
    assert_eq!(tree.write(&mut second, 40, &[4]), Err(Error::Full));
    tree.close(open);
    assert_eq!(tree.write(&mut second, 40, &[4]), Ok(1));
    assert_eq!(tree.resize(&mut second, 0), Ok(()));
    assert_eq!(tree.resize(&mut second, 100), Ok(()));
    assert_eq!(tree.resize(&mut second, 101), Err(Error::Full));
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    Resize(u64),
    Read(u64, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u64..64, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(at, bytes)| Step::Write(at, bytes)),
        (0_u64..110).prop_map(Step::Resize),
        (0_u64..120, 0_usize..50).prop_map(|(at, bytes)| Step::Read(at, bytes)),
    ]
}

proptest! {
    #[test]
    fn a_file_is_its_bytes(steps in prop::collection::vec(step(), 0..30)) {
        let mut tree = Tree::new(100);
        let mut model: Vec<u8> = Vec::new();
        file(&mut tree, "a", b"");
        let mut node = tree.open("a").expect("it was made");
        for step in steps {
            match step {
                Step::Write(at, bytes) => {
                    let end = at as usize + bytes.len();
                    let expected = if end > 100 && end > model.len() { Err(Error::Full) } else { Ok(bytes.len()) };
                    prop_assert_eq!(tree.write(&mut node, at, &bytes), expected);
                    if expected.is_ok() {
                        model.resize(model.len().max(end), 0);
                        model[at as usize..end].copy_from_slice(&bytes);
                    }
                }
                Step::Resize(size) => {
                    let expected = if size > 100 { Err(Error::Full) } else { Ok(()) };
                    prop_assert_eq!(tree.resize(&mut node, size), expected);
                    if expected.is_ok() {
                        model.resize(size as usize, 0);
                    }
                }
                Step::Read(at, bytes) => {
                    let mut to = alloc::vec![0; bytes];
                    let count = tree.read(&mut node, at, &mut to).expect("it can be read");
                    let from = model.get(at as usize..).unwrap_or(&[]);
                    prop_assert_eq!(&to[..count], &from[..from.len().min(bytes)]);
                }
            }
        }
    }
}
