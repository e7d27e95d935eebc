//! What programs ask of the supervisor ([`rt::service::supervisor`]).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use init_script::script::{Privilege, Program, Rules};
use rt::abi::start::text;
use rt::object::{Mapping, Memory, Object};
use rt::service::supervisor::{
    KILL, LIST, LOOKUP, MAX_IMAGE_BYTES, MAX_TEXT_BYTES, START, State, name_at, put_name,
};
use rt::service::{Error, answer, done, refused};
use rt::{Message, Rights};

use crate::service::Phase;
use crate::supervisor::{Id, Supervisor};

/// Set in the badge of what a client finds, so that no service takes it for one it made itself.
const FOUND_BADGE: u64 = 1 << 63;

/// The most urgent that a program is that somebody asks for: less than the services, which a few programs
/// that never wait would otherwise keep from running at all.
const PROGRAM_PRIORITY: u32 = 10;

/// Does what is asked; the reply.
pub(crate) fn handle(supervisor: &mut Supervisor<'_>, mut message: Message, badge: Id) -> Message {
    let Some(rules) = supervisor.rules_of(badge).cloned() else {
        return refused(Error::NotPermitted);
    };
    let manages = rules.grants.contains(&Privilege::Manage);
    match message.label() {
        LOOKUP => answer(lookup(supervisor, &rules, &message, badge)),
        START | KILL | LIST if !manages => refused(Error::NotPermitted),
        START => start(supervisor, &rules, &mut message),
        KILL => match supervisor.kill(text(&name_at(&message, 0))) {
            true => done(),
            false => refused(Error::NotFound),
        },
        LIST => answer(list(supervisor, message.word_at(0))),
        _ => refused(Error::BadRequest),
    }
}

fn lookup(
    supervisor: &mut Supervisor<'_>,
    rules: &Rules,
    message: &Message,
    badge: Id,
) -> Result<Message, Error> {
    let name = name_at(message, 0);
    let name = text(&name);
    supervisor.look_after(name);
    let service = supervisor.service(name).ok_or(Error::NotFound)?;
    if !rules.uses.iter().any(|used| used == name) {
        return Err(Error::NotPermitted);
    }
    match (&service.sender, service.phase) {
        (_, Phase::GivenUp) => Err(Error::GivenUp),
        (None, _) => Err(Error::NotFound),
        (Some(sender), _) => {
            // With a badge, because who has a handle without one can make any badge.
            let found = sender.sender(FOUND_BADGE | badge)?;
            Ok(done().word(service.generation).give(found))
        }
    }
}

/// Starts a program; why not is written where the client reads it.
fn start(supervisor: &mut Supervisor<'_>, rules: &Rules, message: &mut Message) -> Message {
    supervisor.forget_ended();
    let shared = match shared(message) {
        Ok(shared) => shared,
        Err(error) => return refused(error),
    };
    let started = asked(&shared, rules, message).and_then(|(program, file)| {
        supervisor
            .add_program_of(program, file.as_deref())
            .map_err(|why| (Error::NotLoaded, why))
    });
    match started {
        Ok((_, process)) => done().give(process),
        Err((error, why)) => {
            let bytes = shared.write(0, why.as_bytes());
            refused(error).word(bytes as u64)
        }
    }
}

/// The memory that a client shares for one request.
fn shared(message: &mut Message) -> Result<Mapping, Error> {
    let memory = message.take(0).ok_or(Error::BadRequest)?;
    let memory = Memory::from_owned(memory)?;
    if memory.bytes()? > MAX_TEXT_BYTES.next_multiple_of(4096) {
        return Err(Error::OutOfRange);
    }
    Ok(memory.map(Rights::READ.with(Rights::WRITE))?)
}

/// What is to be started, and its file.
type Asked = (Program, Option<Vec<u8>>);

/// What is to be started, and its file if one came with the request.
fn asked(shared: &Mapping, rules: &Rules, message: &mut Message) -> Result<Asked, (Error, String)> {
    let plain = |error: Error| (error, error.to_string());
    let count = message.word_at(0);
    if count > MAX_TEXT_BYTES as u64 {
        return Err(plain(Error::OutOfRange));
    }
    let mut bytes = alloc::vec![0; count as usize];
    shared.read(0, &mut bytes);
    let words = core::str::from_utf8(&bytes).map_err(|_| plain(Error::BadName))?;
    let words = words.strip_suffix('\0').ok_or(plain(Error::BadRequest))?;
    let mut words = words.split('\0').map(str::to_string);
    let path = words.next().ok_or(plain(Error::BadRequest))?;
    let name = path.rsplit('/').next().unwrap_or_default().to_string();
    if name.is_empty() {
        return Err(plain(Error::BadName));
    }
    let file = match message.word_at(1) {
        0 => None,
        bytes => Some(image(message, bytes).map_err(plain)?),
    };
    let program = Program {
        name,
        path,
        arguments: words.collect(),
        // It may find what its starter may, and has none of its powers.
        rules: Rules {
            grants: Vec::new(),
            priority: rules.priority.min(PROGRAM_PRIORITY),
            ..rules.clone()
        },
    };
    Ok((program, file))
}

/// The file that came with the request: copied, because its sender may go on writing to it.
fn image(message: &mut Message, bytes: u64) -> Result<Vec<u8>, Error> {
    let memory = message.take(1).ok_or(Error::BadRequest)?;
    let memory = Memory::from_owned(memory)?;
    if bytes > MAX_IMAGE_BYTES as u64 || bytes > memory.bytes()? as u64 {
        return Err(Error::OutOfRange);
    }
    let mut file = Vec::new();
    file.try_reserve_exact(bytes as usize)
        .map_err(|_| Error::Full)?;
    file.resize(bytes as usize, 0);
    memory.map(Rights::READ)?.read(0, &mut file);
    Ok(file)
}

fn list(supervisor: &Supervisor<'_>, index: u64) -> Result<Message, Error> {
    let index = usize::try_from(index).map_err(|_| Error::NotFound)?;
    let entry = supervisor.listed().nth(index).ok_or(Error::NotFound)?;
    let number = entry.running.as_ref().map_or(0, |running| running.number);
    let (generation, deaths, state) = match &entry.service {
        Some(service) => (service.generation, service.deaths, service.state()),
        None => (0, 0, State::Runs),
    };
    Ok(put_name(done(), cut(&entry.program.name))
        .word(u64::from(number))
        .word(generation)
        .word(deaths)
        .word(state as u64))
}

/// A name as long as names can be.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(16);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}
