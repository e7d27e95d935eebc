//! The services: found, and doing what they are for.

use alloc::string::String;

use rt::object::Object;
use rt::service::console::Console;
use rt::service::files::{self, Files, Kind};
use rt::service::supervisor::{State, Supervisor};
use rt::service::{Error, find};

use crate::{Outcome, failed, hold};

pub(crate) fn check() -> Outcome {
    let console = Console::connect().map_err(failed("console"))?;
    console
        .write(b"usercheck: written by the console's driver\r\n")
        .map_err(failed("console"))?;
    let count = files()?;
    hold!(
        find("nobody").err() == Some(Error::NotFound),
        "nobody was found"
    );
    let supervisor = Supervisor::own().ok_or("no supervisor")?;
    let all = supervisor.list().map_err(failed("list"))?;
    for name in ["console", files::NAME] {
        let listed = all.iter().find(|listed| listed.name == name);
        let state = listed.map(|listed| listed.state);
        hold!(state == Some(State::Runs), "{name}: {state:?}");
    }
    let (endpoint, generation) = supervisor
        .lookup_generation(files::NAME)
        .map_err(failed("lookup"))?;
    hold!(generation == 1, "the first generation is {generation}");
    let inspected = endpoint.owned().inspect().map_err(failed("inspect"))?;
    hold!(inspected.badge != 0, "what is looked up has no badge");
    let another = endpoint.sender(5).err();
    hold!(another.is_some(), "a client made itself a badge");
    Ok(alloc::format!("{} services, {count} files", all.len() - 1))
}

/// Reads the image's files, and makes, writes, reads and removes one.
fn files() -> Result<usize, String> {
    let files = Files::connect(files::NAME).map_err(failed("files"))?;
    let programs = files.list("/bin").map_err(failed("list"))?;
    for entry in &programs {
        let path = alloc::format!("/bin/{}", entry.name);
        let bytes = files.read_all(&path, 16 << 20).map_err(failed("read"))?;
        let whole = bytes.len() as u64 == entry.stat.size;
        hold!(
            whole && bytes.starts_with(b"\x7fELF"),
            "{path}: {} bytes",
            bytes.len()
        );
    }
    let text = files
        .read_all("etc/start", 1 << 16)
        .map_err(failed("etc/start"))?;
    hold!(
        text.windows(7).any(|word| word == b"service"),
        "etc/start has no service"
    );

    let path = "/notes.txt";
    files.create(path, Kind::File).map_err(failed("create"))?;
    hold!(
        files.create(path, Kind::File) == Err(Error::Exists),
        "made twice"
    );
    let long: alloc::vec::Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
    let file = files.open(path).map_err(failed("open"))?;
    let count = file.write_at(3, &long).map_err(failed("write"))?;
    hold!(count == long.len(), "wrote {count}");
    drop(file);
    let back = files.read_all(path, 1 << 20).map_err(failed("read"))?;
    hold!(
        back[..3] == [0; 3] && back[3..] == long,
        "other bytes came back"
    );
    hold!(
        files.remove("/bin/init") == Err(Error::NotFound),
        "init is an ELF file"
    );
    let own = files.open("bin/usercheck").map_err(failed("open"))?;
    hold!(
        own.write_at(0, b"x") == Err(Error::ReadOnly),
        "the image was written"
    );
    files.remove(path).map_err(failed("remove"))?;
    hold!(
        files.open(path).err() == Some(Error::NotFound),
        "removed and open"
    );
    Ok(programs.len())
}
