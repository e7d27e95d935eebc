#![no_std]
#![no_main]
//! The first process: init, and the supervisor.
//!
//! The kernel starts this one program, and gives it what there is: the machine, the init image, all
//! memory. It hands on only what the start script says ([`init_script::script`]), and stays to do the
//! three things that need somebody who outlives the others: it knows services by name, starts them
//! anew when they die, and starts programs for who may ask. Being both is deliberate: a separate
//! supervisor would need all of init's rights, and init would have nothing left to do but to watch it.
//!
//! Grants: `process`, `thread`; `machine`; `initrd`, with its length. Arguments: its name, and the boot
//! arguments.

extern crate alloc;

mod ends;
mod exec;
mod requests;
mod service;
mod starting;
mod supervisor;

use alloc::string::{String, ToString};
use core::convert::Infallible;

use init_script::boot;
use init_script::script::{self, Script};
use initrd::cpio::Archive;
use rt::object::{Machine, Memory};
use rt::{Rights, log};

use supervisor::{Powers, Supervisor};

rt::entry!(main);

fn main() -> Result<Infallible, String> {
    let machine: Machine = rt::start::take("machine").ok_or("no machine was granted")?;
    match run(&machine) {
        Ok(()) => rt::exit(0),
        Err(why) => {
            let _ = machine.off(exec::cut(&alloc::format!("init: {why}")), 1);
            Err(why)
        }
    }
}

fn run(machine: &Machine) -> Result<(), String> {
    let (initrd, bytes) =
        rt::start::take_with_detail::<Memory>("initrd").ok_or("no init image was granted")?;
    let mapped = initrd
        .map(Rights::READ)
        .map_err(|error| alloc::format!("the init image cannot be mapped: {error}"))?;
    // SAFETY: the image is read-only for everybody.
    let image = Archive::new(unsafe { mapped.leak_slice() });
    let asked = rt::start::arguments().nth(1).unwrap_or_default();
    let asked = boot::parse(asked);
    let script = read_script(&image)?;

    let powers = Powers {
        machine: machine
            .duplicate(Rights::ALL)
            .map_err(|error| error.to_string())?,
        initrd,
        initrd_bytes: bytes,
    };
    let mut supervisor = Supervisor::new(image, powers).map_err(|error| error.to_string())?;
    for service in &script.services {
        supervisor.add_service(service.clone());
    }
    if !asked.execs.is_empty() {
        let verdict = exec::all(&mut supervisor, &asked.execs, &script);
        if !asked.shell {
            let (text, status) = match &verdict {
                Ok(text) => (text, 0),
                Err(text) => (text, 1),
            };
            supervisor.flush_console();
            machine
                .off(exec::cut(text), status)
                .map_err(|error| alloc::format!("the machine cannot be switched off: {error}"))?;
        }
        match verdict {
            Ok(text) => log!("passed: {text}"),
            Err(text) => log!("failed: {text}"),
        }
    }
    for program in script.starts {
        let name = program.name.clone();
        if let Err(why) = supervisor.add_program(program) {
            log!("{name}: not started: {why}");
        }
    }
    supervisor
        .serve(|_| false)
        .map_err(|error| error.to_string())
}

fn read_script(image: &Archive<'_>) -> Result<Script, String> {
    let file = image
        .find(script::PATH)
        .map_err(|error| alloc::format!("the init image: {error}"))?
        .ok_or_else(|| alloc::format!("{}: not in the init image", script::PATH))?;
    let text = core::str::from_utf8(file.bytes)
        .map_err(|_| alloc::format!("{}: not text", script::PATH))?;
    Script::parse(text).map_err(|error| error.to_string())
}
