//! What the supervisor promises: services come back, old handles say gone, and not for ever.

use alloc::string::String;

use rt::object::{Object, ProcessReport, ProcessState};
use rt::service::files::{self, Files};
use rt::service::supervisor::{State, Supervisor};
use rt::service::{Error, find};
use rt::time::{Duration, now, sleep};
use rt::{Machine, Message, Process, Rights, println};

use crate::{Outcome, failed, hold};

/// How long something may take that is only a matter of time.
const PATIENCE: Duration = Duration::from_secs(20);

fn own() -> Result<core::mem::ManuallyDrop<Supervisor>, String> {
    Supervisor::own().ok_or_else(|| String::from("no supervisor"))
}

/// Waits until something is so.
fn until(what: &str, mut is: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
    let begin = now();
    while !is()? {
        hold!(
            begin.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// What [`nest`] calls the process that it leaves behind.
const ORPHAN: &str = "orphan";

/// Makes a process that holds a handle of itself and that nobody else knows, and ends.
pub(crate) fn nest() -> Outcome {
    let orphan = Process::create(ORPHAN, 64 << 10).map_err(failed("process"))?;
    let itself = orphan.owned().duplicate(Rights::ALL, 0);
    itself
        .and_then(|handle| handle.give(&orphan))
        .map_err(failed("a handle of itself"))?;
    Ok(String::from("left an orphan"))
}

/// A process ends with the one whose quota it lives on, even if nobody has a handle of it but itself.
pub(crate) fn orphans() -> Outcome {
    let machine = rt::start::borrow::<Machine>("machine").ok_or("no machine to look at")?;
    let orphans = || -> Result<usize, String> {
        let all = machine.list::<ProcessReport>().map_err(failed("list"))?;
        let is_one = |report: &&ProcessReport| rt::abi::start::text(&report.name) == ORPHAN;
        Ok(all.iter().filter(is_one).count())
    };
    let nest = own()?.start("bin/usercheck", &["nest"]);
    let nest = nest.map_err(|why| alloc::format!("nest: {why}"))?;
    let report = nest.wait().map_err(failed("its end"))?;
    hold!(report.status == 0, "nest ended with {}", report.status);
    until("the orphan's end", || Ok(orphans()? == 0))?;
    Ok(String::from("none is left"))
}

/// A service that is killed comes back as another: what was connected to the old one hears that it is
/// gone, and never reaches the new one.
pub(crate) fn restart() -> Outcome {
    let supervisor = own()?;
    let files = Files::connect(files::NAME).map_err(failed("connect"))?;
    let open = files.open("etc/start").map_err(failed("open"))?;
    let (old, generation) = supervisor
        .lookup_generation(files::NAME)
        .map_err(failed("lookup"))?;
    supervisor.kill(files::NAME).map_err(failed("kill"))?;
    until("the old endpoint's end", || {
        match old.call(Message::new(0)) {
            Err(rt::Error::Gone) => Ok(true),
            Ok(_) => Ok(false),
            Err(error) => Err(alloc::format!("the old endpoint says: {error}")),
        }
    })?;
    let mut bytes = [0; 4];
    let read = open.read_at(0, &mut bytes);
    hold!(
        read.is_err_and(Error::is_gone),
        "an open file says {read:?}"
    );
    hold!(
        files.stat("etc").is_err_and(Error::is_gone),
        "an old session answered"
    );
    let (_, next) = supervisor
        .lookup_generation(files::NAME)
        .map_err(failed("lookup"))?;
    hold!(
        next == generation + 1,
        "generation {next} follows {generation}"
    );
    // Before it is started, perhaps: the call waits for it.
    let again = Files::connect(files::NAME).map_err(failed("connect again"))?;
    again.open("etc/start").map_err(failed("open again"))?;
    hold!(
        files.stat("etc").is_err_and(Error::is_gone),
        "an old session came back"
    );
    Ok(alloc::format!("generation {next} serves"))
}

/// A service that dies again and again is given up, and started again by who asks for it.
pub(crate) fn give_up() -> Outcome {
    let supervisor = own()?;
    let state = || -> Result<(State, u64), String> {
        let all = supervisor.list().map_err(failed("list"))?;
        let of_name = all.iter().find(|listed| listed.name == files::NAME);
        let listed = of_name.ok_or("it is not listed")?;
        Ok((listed.state, listed.deaths))
    };
    let (_, before) = state()?;
    let mut kills = 0;
    until("giving up", || {
        match state()?.0 {
            State::GivenUp => return Ok(true),
            State::Runs => {
                // Between the look and the kill it may have been given up: then this starts it.
                let (_, deaths) = state()?;
                supervisor.kill(files::NAME).map_err(failed("kill"))?;
                kills += 1;
                until("its death", || Ok(state()?.1 > deaths))?;
            }
            State::Waits | State::Done => {}
        }
        Ok(false)
    })?;
    let deaths = state()?.1 - before;
    hold!(
        find(files::NAME).err() == Some(Error::GivenUp),
        "what was given up is found"
    );
    supervisor
        .kill(files::NAME)
        .map_err(failed("start again"))?;
    let again = Files::connect(files::NAME).map_err(failed("connect again"))?;
    again.open("etc/start").map_err(failed("open again"))?;
    hold!(
        supervisor.kill("nobody") == Err(Error::NotFound),
        "nobody was killed"
    );
    Ok(alloc::format!(
        "given up after {deaths} deaths ({kills} kills), and back"
    ))
}

/// Programs: started, waited for, killed; and those that cannot be.
pub(crate) fn programs() -> Outcome {
    let supervisor = own()?;
    let hello = supervisor
        .start("/bin/hello", &["check"])
        .map_err(failed("start"))?;
    let report = hello.wait().map_err(failed("wait"))?;
    let well = report.state == ProcessState::Exited as u32 && report.status == 0;
    hold!(
        well,
        "hello ended in state {} with {}",
        report.state,
        report.status
    );

    let spin = supervisor.start("spin", &[]).map_err(failed("start"))?;
    supervisor.kill("spin").map_err(failed("kill"))?;
    let report = spin.wait().map_err(failed("wait"))?;
    hold!(
        report.state == ProcessState::Killed as u32,
        "spin: state {}",
        report.state
    );

    let crash = supervisor
        .start("crash", &["read"])
        .map_err(failed("start"))?;
    let report = crash.wait().map_err(failed("wait"))?;
    let faulted = report.state == ProcessState::Faulted as u32;
    hold!(
        faulted && report.fault[2] == 0xdead,
        "crash: {:?}",
        report.fault
    );

    for (path, expected) in [
        ("/bin/nothing", "/bin/nothing: not in the init image"),
        ("/etc/start", "/etc/start: not an ELF file"),
    ] {
        let error = supervisor.start(path, &[]).err().ok_or("it was started")?;
        hold!(error.text == expected, "{path}: {error}");
        println!("usercheck: {error}");
    }
    let files = Files::connect(files::NAME).map_err(failed("files"))?;
    let image = files
        .read_all("bin/hello", 16 << 20)
        .map_err(failed("read"))?;
    let copy = supervisor
        .start_image("copy", &[], &image)
        .map_err(failed("start a copy"))?;
    let report = copy.wait().map_err(failed("wait"))?;
    hold!(report.status == 0, "a copy ended with {}", report.status);
    let cut = supervisor
        .start_image("cut", &[], &image[..image.len() / 2])
        .err()
        .ok_or("half a file was started")?;
    hold!(cut.text.starts_with("cut: truncated"), "half a file: {cut}");
    Ok(String::from("started, killed, faulted, refused"))
}
