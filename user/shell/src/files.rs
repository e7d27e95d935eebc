//! One tree of files out of several services: the init image is the root, the disk is below `/disk`.

use crate::{Refusal, terminal::Terminal};
use alloc::{format, string::String, vec, vec::Vec};
use petrel_shell::text::{Bytes, Printable};
use rt::{
    print, println,
    service::{
        Error,
        files::{self, Entry, Files, Kind, Stat, normalize},
    },
    time::{Duration, sleep},
};

/// The directory under which the disk's files are shown, and the name of who serves them.
const DISK: &str = "disk";
/// Where the supervisor looks for a program whose name has no slash.
pub(crate) const PROGRAMS: [&str; 2] = ["/bin", "/extra"];
/// How much of a file is shown at once.
const CHUNK_BYTES: usize = 4 << 10;
/// How often, and how long in between, a service is asked again that has just died.
const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);
/// The largest program that is loaded.
const MOST_PROGRAM_BYTES: usize = 16 << 20;

/// A path, as the service it leads to knows it.
pub(crate) struct Place {
    service: &'static str,
    path: String,
}

impl Place {
    /// Where `path` leads.
    pub(crate) fn of(path: &str) -> Result<Self, Refusal> {
        let path = normalize(path).map_err(|error| refusal(path, error))?;
        Ok(match path.strip_prefix(DISK) {
            Some("") => Self {
                service: DISK,
                path: String::new(),
            },
            Some(rest) if rest.starts_with('/') => Self {
                service: DISK,
                path: rest[1..].into(),
            },
            _ => Self {
                service: files::NAME,
                path,
            },
        })
    }

    /// Whether it is in the init image, which the supervisor reads by itself.
    pub(crate) fn is_in_image(&self) -> bool {
        self.service == files::NAME
    }

    /// All of a program's file.
    pub(crate) fn program(&self) -> Result<Vec<u8>, Error> {
        patiently(|| self.files()?.read_all(&self.path, MOST_PROGRAM_BYTES))
    }

    fn files(&self) -> Result<Files, Error> {
        Files::connect(self.service)
    }

    fn is_root(&self) -> bool {
        self.is_in_image() && self.path.is_empty()
    }

    fn stat(&self, files: &Files) -> Result<Stat, Error> {
        match self.path.as_str() {
            "" => Ok(Stat {
                kind: Kind::Directory,
                size: 0,
            }),
            path => files.stat(path),
        }
    }

    fn list(&self, files: &Files) -> Result<Vec<Entry>, Error> {
        let mut entries = files.list(&self.path)?;
        if self.is_root() && Files::connect(DISK).is_ok() {
            entries.push(Entry {
                name: DISK.into(),
                stat: Stat {
                    kind: Kind::Directory,
                    size: 0,
                },
            });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }
}

/// What is in the directory at `path`; nothing if it is none.
pub(crate) fn entries(path: &str) -> Vec<Entry> {
    let Ok(place) = Place::of(path) else {
        return Vec::new();
    };
    let listed = place.files().and_then(|files| place.list(&files));
    listed.unwrap_or_default()
}

/// Does it again while the service that it asks is being started anew.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..ATTEMPTS {
        match attempt() {
            Err(error) if error.is_gone() => sleep(PAUSE),
            result => return result,
        }
    }
    attempt()
}

/// The command `ls`.
pub(crate) fn ls(path: &str) -> Result<(), Refusal> {
    let place = Place::of(path)?;
    let listed = || -> Result<Vec<Entry>, Error> {
        let files = place.files()?;
        let stat = place.stat(&files)?;
        match stat.kind {
            Kind::Directory => place.list(&files),
            Kind::File => Ok(vec![Entry {
                name: path.into(),
                stat,
            }]),
        }
    };
    let entries = patiently(listed).map_err(|error| refusal(path, error))?;
    for entry in &entries {
        let name = Printable(entry.name.as_bytes());
        match entry.stat.kind {
            Kind::Directory => println!("{:>10}  {name}/", ""),
            Kind::File => println!("{:>10}  {name}", Bytes(entry.stat.size)),
        }
    }
    if entries.is_empty() {
        println!("(empty)");
    }
    Ok(())
}

/// The command `cat`, for one file.
pub(crate) fn cat(path: &str, terminal: &Terminal) -> Result<(), Refusal> {
    let place = Place::of(path)?;
    show(&place, terminal).map_err(|error| refusal(path, error))
}

fn show(place: &Place, terminal: &Terminal) -> Result<(), Error> {
    let file = patiently(|| {
        let files = place.files()?;
        match place.stat(&files)?.kind {
            Kind::File => files.open(&place.path),
            Kind::Directory => Err(Error::IsDirectory),
        }
    })?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let (mut offset, mut last) = (0, b'\n');
    loop {
        let read = file.read_at(offset, &mut buffer)?;
        // A character that the chunk's end cuts is shown with the next chunk.
        let count = match core::str::from_utf8(&buffer[..read]) {
            Err(cut) if cut.error_len().is_none() && read == buffer.len() => cut.valid_up_to(),
            _ => read,
        };
        if count == 0 {
            break;
        }
        print!("{}", Printable(&buffer[..count]));
        last = buffer[count - 1];
        offset += count as u64;
        if terminal.was_interrupted() {
            println!("^C");
            return Ok(());
        }
    }
    if last != b'\n' {
        println!();
    }
    Ok(())
}

/// A refusal that says which file.
pub(crate) fn refusal(path: &str, error: Error) -> Refusal {
    format!("{}: {error}", Printable(path.as_bytes()))
}
