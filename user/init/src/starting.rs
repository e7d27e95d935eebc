//! Starting an entry: its file, its handles, its process.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use init_script::script::Privilege;
use initrd::cpio::Entry as File;
use loader::process::{STACK_BYTES, Why};
use loader::{Grant, LoadError, Loaded, Spec};
use rt::object::Object;
use rt::service::{ENDPOINT_GRANT, supervisor};
use rt::{Error, Rights};

use crate::supervisor::{Id, Supervisor};

/// Why something was not started.
pub(crate) struct NotStarted {
    /// In words.
    pub(crate) why: String,
    /// Whether it may go better later: there was not enough memory, of which ends of processes make more.
    pub(crate) may_pass: bool,
}

impl NotStarted {
    /// The kernel refused something.
    pub(crate) fn because(what: &str) -> impl FnOnce(Error) -> Self {
        move |error| Self {
            why: alloc::format!("{what}: {error}"),
            may_pass: error == Error::NoMemory,
        }
    }

    /// The entry is there no longer.
    pub(crate) fn lost() -> Self {
        Self::from(String::from("there is no such entry"))
    }
}

impl From<String> for NotStarted {
    fn from(why: String) -> Self {
        Self {
            why,
            may_pass: false,
        }
    }
}

impl From<LoadError> for NotStarted {
    fn from(error: LoadError) -> Self {
        Self {
            why: error.to_string(),
            may_pass: matches!(error.why, Why::Kernel(_, Error::NoMemory)),
        }
    }
}

/// Makes the process of an entry: of `file`, or of the file that it names in the image. It does not run yet.
pub(crate) fn load(
    supervisor: &mut Supervisor<'_>,
    id: Id,
    file: Option<&[u8]>,
) -> Result<Loaded, NotStarted> {
    let entry = supervisor.entry(id).ok_or_else(NotStarted::lost)?;
    let program = entry.program.clone();
    let file = match file {
        Some(file) => file,
        None => {
            let found = find(supervisor, &program.path)?;
            found
                .ok_or_else(|| alloc::format!("{}: not in the init image", program.path))?
                .bytes
        }
    };
    let grants = grants(supervisor, id, &program.rules.grants)
        .map_err(NotStarted::because("no handles for it"))?;
    let mut arguments = alloc::vec![program.name.as_str()];
    arguments.extend(program.arguments.iter().map(String::as_str));
    Ok(loader::load(Spec {
        path: &program.path,
        file,
        arguments: &arguments,
        grants,
        quota_bytes: program.rules.quota_bytes,
        priority: program.rules.priority,
        stack_bytes: STACK_BYTES,
    })?)
}

/// The file of that path; a name alone is also looked for among programs.
fn find<'a>(supervisor: &Supervisor<'a>, path: &str) -> Result<Option<File<'a>>, String> {
    let path = path.trim_start_matches('/');
    let in_image = |path: &str| {
        let found = supervisor.image.find(path);
        found.map_err(|error| alloc::format!("the init image: {error}"))
    };
    if let Some(file) = in_image(path)? {
        return Ok(Some(file));
    }
    if path.contains('/') {
        return Ok(None);
    }
    match in_image(&alloc::format!("bin/{path}"))? {
        Some(file) => Ok(Some(file)),
        None => in_image(&alloc::format!("extra/{path}")),
    }
}

/// The handles it is given.
fn grants(
    supervisor: &mut Supervisor<'_>,
    id: Id,
    privileges: &[Privilege],
) -> Result<Vec<Grant>, Error> {
    let mut grants = Vec::new();
    let to_supervisor = supervisor.endpoint.sender(id)?;
    grants.push(Grant::new(supervisor::NAME, to_supervisor));
    if let Some(receiver) = supervisor.take_receiver(id) {
        grants.push(Grant::new(ENDPOINT_GRANT, receiver));
    }
    let look = Rights::INSPECT
        .with(Rights::DUPLICATE)
        .with(Rights::TRANSFER);
    if let Some(memory) = supervisor.dma_memory(id)? {
        let rights = look.with(Rights::READ).with(Rights::WRITE);
        grants.push(Grant::new("dma", memory.duplicate(rights)?));
    }
    let powers = &supervisor.powers;
    for privilege in privileges {
        match privilege {
            Privilege::Machine => {
                grants.push(Grant::new(
                    "machine",
                    powers.machine.duplicate(Rights::ALL)?,
                ));
            }
            Privilege::Inspect => {
                grants.push(Grant::new("machine", powers.machine.duplicate(look)?));
            }
            Privilege::Initrd => {
                let rights = look.with(Rights::READ);
                grants.push(Grant {
                    detail: powers.initrd_bytes,
                    ..Grant::new("initrd", powers.initrd.owned().duplicate(rights, 0)?)
                });
            }
            // The badge on its way to the supervisor says so.
            Privilege::Manage => {}
        }
    }
    Ok(grants)
}
