//! The init image: what user space begins with.
//!
//! | in the archive | is | comes from |
//! |---|---|---|
//! | `init` | the first program, in its [flat](crate::flat) form | the program `init` under `user/` |
//! | `bin/<name>` | every other program, as ELF | `user/` |
//! | `etc/start` | what `init` starts | `user/init/start` |
//! | anything | files that programs want | `user/<package>/files/` |
//! | `extra/...` | anybody's files and programs | the folder that `EXTRA=` names |
//!
//! The same sources give the same bytes. Where there is no program yet, the archive is made all the same, and
//! it is the kernel that says what it misses, if it needs it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::archive::{Files, Permission};
use crate::flat;
use crate::image::replace;
use crate::programs::{self, INIT};
use crate::workspace::Workspace;

/// No init image is larger: it has to lie in memory as a whole.
const LIMIT_BYTES: usize = 64 << 20;

/// What was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The archive.
    pub path: PathBuf,
    /// Its size.
    pub bytes: usize,
    /// The names of the files in it.
    pub files: Vec<String>,
    /// How many of them are programs of Petrel's, `init` counted.
    pub programs: usize,
    /// How many of them are under `extra/`.
    pub extra: usize,
}

impl Made {
    /// Whether there is a file of that name.
    pub fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file == name)
    }
}

/// Builds the programs and packs them, with the files of `extra` if there is such a folder, into `path`.
///
/// # Errors
/// When a program does not build, or a file cannot be read or has no place in an archive; names it.
pub fn make(workspace: &Workspace, extra: Option<&Path>, path: &Path) -> Result<Made> {
    let packages = programs::packages(workspace)?;
    let programs = programs::build(workspace, &packages)?;
    let mut files = Files::new();
    for program in &programs {
        let named = || workspace.relative(&program.elf).display().to_string();
        let elf = fs::read(&program.elf).with_context(|| format!("cannot read {}", named()))?;
        let (name, bytes) = match program.name.as_str() {
            INIT => (INIT.to_owned(), flat::flatten(&elf)),
            name => (format!("bin/{name}"), flat::strip(&elf)),
        };
        files.add(name, Permission::Execute, bytes.with_context(named)?)?;
    }
    let start = workspace.root().join("user/init/start");
    if start.is_file() {
        let text = fs::read(&start).with_context(|| format!("cannot read {}", start.display()))?;
        files.add("etc/start", Permission::Read, text)?;
    }
    for package in &packages {
        let folder = package.folder.join("files");
        if folder.is_dir() {
            add_folder(&mut files, &folder, "", &[])?;
        }
    }
    let own = files.count();
    if let Some(folder) = extra {
        add_extra(&mut files, folder)?;
    }
    let archive = files.archive(INIT)?;
    ensure!(
        archive.len() <= LIMIT_BYTES,
        "the init image would take {} MiB of memory; {} MiB are the most",
        archive.len().div_ceil(1 << 20),
        LIMIT_BYTES >> 20
    );
    replace(path, &archive)?;
    Ok(Made {
        path: path.to_owned(),
        bytes: archive.len(),
        files: files.names().map(str::to_owned).collect(),
        programs: programs.len(),
        extra: files.count() - own,
    })
}

/// The folder that `EXTRA=` named when the image was made last; `make run` takes it again.
///
/// # Errors
/// When what was remembered cannot be read.
pub fn remembered_extra(workspace: &Workspace) -> Result<Option<PathBuf>> {
    let path = workspace.extra_folder();
    match fs::read_to_string(&path) {
        Ok(folder) => Ok(Some(PathBuf::from(folder.trim_end_matches('\n')))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Remembers the folder that `EXTRA=` names, or that it names none.
///
/// # Errors
/// When the folder is not there, or this cannot be written.
pub fn remember_extra(workspace: &Workspace, extra: Option<&Path>) -> Result<()> {
    let path = workspace.extra_folder();
    let done = match extra {
        Some(folder) => {
            let folder = folder
                .canonicalize()
                .with_context(|| format!("EXTRA={}", folder.display()))?;
            fs::write(&path, format!("{}\n", folder.display()))
        }
        None => match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        },
    };
    done.with_context(|| format!("cannot write {}", path.display()))
}

/// Adds what is in the folder that `EXTRA=` names.
fn add_extra(files: &mut Files, folder: &Path) -> Result<()> {
    let shown = folder.display();
    let what = fs::metadata(folder).with_context(|| format!("EXTRA={shown}"))?;
    ensure!(what.is_dir(), "EXTRA={shown}: it is no folder");
    let before = files.count();
    add_folder(files, folder, "extra/", &[])?;
    ensure!(
        files.count() > before,
        "EXTRA={shown}: there is no file in it"
    );
    Ok(())
}

/// Adds what is in `folder`, all the way down, under `prefix`. Links are followed. `above` are the
/// folders that this one is in, as they really are.
fn add_folder(files: &mut Files, folder: &Path, prefix: &str, above: &[PathBuf]) -> Result<()> {
    let unreadable = || format!("cannot read the folder {}", folder.display());
    let really = folder.canonicalize().with_context(unreadable)?;
    ensure!(
        !above.contains(&really),
        "{}: a link that leads in a circle",
        folder.display()
    );
    let above = [above, &[really]].concat();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let shown = path.display().to_string();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            bail!("{shown}: the name is not UTF-8");
        };
        let name = format!("{prefix}{name}");
        let what = fs::metadata(&path).with_context(|| shown.clone())?;
        if what.is_dir() {
            add_folder(files, &path, &format!("{name}/"), &above)?;
            continue;
        }
        ensure!(what.is_file(), "{shown}: neither a file nor a folder");
        // Before it is read: who names the wrong folder shall hear of it at once.
        ensure!(
            what.len() <= (LIMIT_BYTES - files.bytes().min(LIMIT_BYTES)) as u64,
            "{shown}: with its {} KiB the init image would be larger than {} MiB",
            what.len().div_ceil(1024),
            LIMIT_BYTES >> 20
        );
        let permission = match what.permissions().mode() & 0o111 {
            0 => Permission::Read,
            _ => Permission::Execute,
        };
        let bytes = fs::read(&path).with_context(|| format!("cannot read {shown}"))?;
        files.add(name, permission, bytes).with_context(|| shown)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use initrd::cpio::Archive;
    use std::os::unix::fs::symlink;

    /// A folder of its own for a test, gone when it ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("petrel-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }

        fn file(&self, name: &str, bytes: &[u8]) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        }

        fn refused(&self) -> String {
            let error = add_extra(&mut Files::new(), &self.0).expect_err("refused");
            format!("{error:#}")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn extra_files_are_taken_all_the_way_down() {
        let folder = Folder::new("extra");
        folder.file("hello", b"\x7fELF");
        folder.file("data/deep/file.txt", b"text");
        symlink(folder.0.join("hello"), folder.0.join("again")).expect("a link");
        let mut files = Files::new();
        add_extra(&mut files, &folder.0).expect("files");
        let bytes = files.archive(INIT).expect("an archive");
        let archive = Archive::new(&bytes);
        for (name, content) in [
            ("extra/hello", &b"\x7fELF"[..]),
            ("extra/again", b"\x7fELF"),
            ("extra/data/deep/file.txt", b"text"),
        ] {
            let entry = archive.find(name).expect("whole").expect(name);
            assert_eq!(entry.bytes, content);
        }
    }

    #[test]
    fn what_cannot_be_packed_is_named() {
        let folder = Folder::new("refused");
        assert!(folder.refused().contains("no file in it"));
        folder.file("bad\nname", b"");
        assert!(folder.refused().contains("bad\\nname"));
        fs::remove_file(folder.0.join("bad\nname")).expect("gone");
        folder.file("a", b"");
        symlink(&folder.0, folder.0.join("round")).expect("a link");
        assert!(folder.refused().contains("in a circle"));
        fs::remove_file(folder.0.join("round")).expect("gone");
        symlink("/nonexistent/file", folder.0.join("broken")).expect("a link");
        assert!(folder.refused().contains("broken"));

        let nowhere = add_extra(&mut Files::new(), Path::new("/nonexistent/x"));
        let error = format!("{:#}", nowhere.expect_err("refused"));
        assert!(error.contains("EXTRA=/nonexistent/x"), "{error}");
        let file = add_extra(&mut Files::new(), &folder.0.join("a"));
        let error = format!("{:#}", file.expect_err("refused"));
        assert!(error.contains("no folder"), "{error}");
    }

    #[test]
    fn what_is_too_large_is_not_even_read() {
        let folder = Folder::new("large");
        let file = fs::File::create(folder.0.join("huge")).expect("a file");
        file.set_len(1 << 40).expect("a hole");
        let error = folder.refused();
        assert!(
            error.contains("huge") && error.contains("64 MiB"),
            "{error}"
        );
    }
}
