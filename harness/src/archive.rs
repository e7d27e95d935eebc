//! Writing archives: the other side of [`initrd::cpio`].
//!
//! The same files give the same bytes: entries are sorted, nobody owns them, and their time is 1970. A
//! file that takes a page or more begins on one, so that it can be mapped where it lies.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use initrd::cpio::{
    ALIGN, Archive, HEADER_BYTES, MAGIC, MAX_NAME_BYTES, MODE_FILE, MODE_FOLDER, TRAILER, is_plain,
};
use initrd::flat::PAGE;

/// Who may do what with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// It is to be read.
    Read,
    /// It is a program.
    Execute,
}

/// The files of an archive to be.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// By name.
    files: BTreeMap<String, (Permission, Vec<u8>)>,
}

impl Files {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    ///
    /// # Errors
    /// When its name is none for an archive, or taken.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        permission: Permission,
        bytes: Vec<u8>,
    ) -> Result<()> {
        let name = name.into();
        ensure!(
            is_plain(&name) && name != TRAILER,
            "`{}` is no name for a file in the init image (at most {MAX_NAME_BYTES} bytes, no control characters)",
            name.escape_default()
        );
        ensure!(
            u32::try_from(bytes.len()).is_ok(),
            "{name} is larger than 4 GiB"
        );
        let old = self.files.insert(name.clone(), (permission, bytes));
        ensure!(old.is_none(), "the init image would have two files {name}");
        Ok(())
    }

    /// Their names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// Their bytes together.
    pub fn bytes(&self) -> usize {
        self.files.values().map(|(_, bytes)| bytes.len()).sum()
    }

    /// The archive: the file `first`, if there is one, then the others by name, each folder before what is
    /// in it.
    ///
    /// # Errors
    /// When a name is a file and a folder at once, or it does not read as it was written.
    pub fn archive(&self, first: &str) -> Result<Vec<u8>> {
        let mut archive = Writer::default();
        let mut folders = Vec::new();
        let others = || self.files.iter().filter(|(name, _)| *name != first);
        let all = self.files.get_key_value(first).into_iter().chain(others());
        for (name, (permission, bytes)) in all {
            for (at, _) in name.match_indices('/') {
                let folder = &name[..at];
                ensure!(
                    !self.files.contains_key(folder),
                    "{folder} would be a file and a folder in the init image"
                );
                if !folders.contains(&folder) {
                    folders.push(folder);
                    archive.entry(folder, MODE_FOLDER | 0o755, &[]);
                }
            }
            let mode = match permission {
                Permission::Read => 0o644,
                Permission::Execute => 0o755,
            };
            archive.entry(name, MODE_FILE | mode, bytes);
        }
        archive.entry(TRAILER, 0, &[]);

        let entries: Result<Vec<_>, _> = Archive::new(&archive.bytes).entries().collect();
        ensure!(
            entries?.len() == folders.len() + self.files.len(),
            "not every file is in the archive"
        );
        Ok(archive.bytes)
    }
}

/// An archive in the making.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    entries: u32,
}

impl Writer {
    fn entry(&mut self, name: &str, mode: u32, bytes: &[u8]) {
        let align = if bytes.len() < PAGE { ALIGN } else { PAGE };
        let name_at = self.bytes.len() + HEADER_BYTES;
        let file_at = (name_at + name.len() + 1).next_multiple_of(align);
        // The trailer has no number and no links, as cpio's own.
        let file = u32::from(name != TRAILER);
        self.entries += file;
        // Who asks for 4 GiB was refused when the file was added.
        let file_bytes = bytes.len() as u32;
        // On a page of its own: zero bytes that belong to the name. Else those up to the next multiple of
        // four belong to nobody, as everywhere.
        let name_bytes = match align {
            PAGE => file_at - name_at,
            _ => name.len() + 1,
        } as u32;
        let ino = self.entries * file;
        let numbers = [
            ino, mode, 0, 0, file, 0, file_bytes, 0, 0, 0, 0, name_bytes, 0,
        ];
        self.bytes.extend_from_slice(MAGIC);
        for number in numbers {
            self.bytes
                .extend_from_slice(format!("{number:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.resize(file_at, 0);
        self.bytes.extend_from_slice(bytes);
        self.bytes
            .resize(self.bytes.len().next_multiple_of(ALIGN), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use initrd::cpio::Kind;

    fn files(names: &[(&str, usize)]) -> Files {
        let mut files = Files::new();
        for (name, bytes) in names {
            let content = vec![name.len() as u8; *bytes];
            files.add(*name, Permission::Read, content).expect("a file");
        }
        files
    }

    #[test]
    fn what_was_put_in_comes_out() {
        let mut files = files(&[("bin/shell", 5000), ("etc/start", 3), ("etc/a/b", 0)]);
        files
            .add("init", Permission::Execute, vec![7; PAGE])
            .expect("a file");
        assert_eq!((files.count(), files.bytes()), (4, 5003 + PAGE));
        let bytes = files.archive("init").expect("an archive");
        let archive = Archive::new(&bytes);
        let names: Vec<_> = archive
            .entries()
            .map(|entry| entry.expect("whole").name)
            .collect();
        assert_eq!(
            names,
            [
                "init",
                "bin",
                "bin/shell",
                "etc",
                "etc/a",
                "etc/a/b",
                "etc/start"
            ]
        );
        let find = |name| archive.find(name).expect("whole").expect("there");
        assert_eq!((find("init").offset, find("init").mode), (PAGE, 0o100_755));
        assert!(find("bin/shell").offset.is_multiple_of(PAGE));
        assert_eq!(find("etc/start").bytes, [9; 3]);
        let folders = archive
            .entries()
            .flatten()
            .filter(|e| e.kind() == Kind::Folder);
        assert_eq!(folders.count(), 3);
    }

    #[test]
    fn the_order_of_adding_does_not_matter() {
        let one = files(&[("a", 1), ("b/c", 2), ("d", 9000)]).archive("init");
        let other = files(&[("d", 9000), ("b/c", 2), ("a", 1)]).archive("init");
        assert_eq!(one.expect("an archive"), other.expect("an archive"));
    }

    #[test]
    fn nothing_is_an_archive_too() {
        let bytes = Files::new().archive("init").expect("an archive");
        assert!(Archive::new(&bytes).entries().next().is_none());
    }

    #[test]
    fn names_are_checked() {
        let refused = |name: &str| {
            let mut files = files(&[("a", 1), ("b", 1)]);
            match files.add(name, Permission::Read, Vec::new()) {
                Ok(()) => files.archive("a").expect_err("refused").to_string(),
                Err(error) => error.to_string(),
            }
        };
        assert!(refused("../x").contains("no name"));
        assert!(refused("x\n").contains("x\\n"));
        assert!(refused("TRAILER!!!").contains("no name"));
        assert!(refused("a").contains("two files"));
        assert!(refused("b/c").contains("a file and a folder"));
    }
}
