//! Programs in C: the examples of the book (`user/c/examples`), compiled as the book says.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::machine;
use crate::c;
use crate::scenario::{InitImage, Scenario};
use crate::workspace::Workspace;

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    let boot = |program: &str| format!("run=exec:path=/extra/{program}");
    let compiled = |scenario: Scenario| {
        let scenario = scenario.init_image(InitImage::Extra(compile));
        scenario.compiles_c().on(machine().cpus(2))
    };
    let passes = |name: &str, bootargs: String| {
        compiled(Scenario::passes(format!("exec/c-{name}"), bootargs))
    };
    let fails = |name: &str, program, why| {
        compiled(Scenario::fails(
            format!("exec/c-{name}"),
            boot(program),
            why,
        ))
    };
    const COUNTED: &str = "4 threads counted to 10000, 2500.0 in the mean";
    const ANSWERED: &str = "603 messages";
    let rain = |bootargs: String, more: &str| format!("{bootargs} rain=on{more}");
    vec![
        passes("hello", boot("hello,args=one:two"))
            .needs("hello from hello, with 2 arguments")
            .needs(COUNTED),
        passes("hello-rain", rain(boot("hello"), ""))
            .needs(COUNTED)
            .on(machine().cpus(4)),
        passes("hello-rain-daif", rain(boot("hello"), " mask=daif"))
            .needs(COUNTED)
            .on(machine().cpus(1)),
        passes("messages", boot("messages")).needs(ANSWERED),
        passes("messages-rain", rain(boot("messages"), ""))
            .needs(ANSWERED)
            .on(machine().cpus(4)),
        passes("files", boot("files,args=etc/start")).needs(" lines in "),
        fails("files-not-found", "files,args=no/such", "exit status 1").needs("no/such: not found"),
        fails(
            "fault",
            "fault",
            "exec /extra/fault: fault: nothing is mapped there: read of 0x0 at pc 0x",
        )
        .needs("about to read from a null pointer"),
        fails(
            "truncated",
            "half",
            "exec /extra/half: truncated: the file ends before its",
        ),
        fails("not-elf", "hello.c", "exec /extra/hello.c: not an ELF file"),
    ]
}

/// The examples, as programs; half of one; and one's source.
fn compile(folder: &Path) -> Result<()> {
    let workspace = Workspace::here();
    let examples = workspace.root().join("user/c/examples");
    for name in ["hello", "fault", "messages", "files"] {
        let source = examples.join(name).with_extension("c");
        c::compile(&workspace, &source, &folder.join(name))?;
    }
    let hello = fs::read(folder.join("hello")).context("what was just compiled")?;
    fs::write(folder.join("half"), &hello[..hello.len() / 2])?;
    fs::copy(examples.join("hello.c"), folder.join("hello.c"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_run() {
        let examples = Workspace::here().root().join("user/c/examples");
        let all: Vec<String> = all().into_iter().map(|it| it.bootargs).collect();
        for entry in fs::read_dir(examples).expect("a folder") {
            let path = entry.expect("an entry of it").path();
            let name = path.file_stem().expect("a name").to_string_lossy();
            let run = format!("/extra/{name}");
            assert!(all.iter().any(|bootargs| bootargs.contains(&run)), "{name}");
        }
    }
}
