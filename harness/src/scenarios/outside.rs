//! A Rust program that is not in the tree, built as `docs/src/howto/program.md` says.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::{env, fs, process};

use anyhow::{Context, Result};

use super::machine;
use crate::cargo::{cargo, succeed};
use crate::programs::TARGET;
use crate::scenario::{InitImage, Scenario};
use crate::workspace::{Build, Workspace};

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    let run = "run=exec:path=/extra/count,args=etc/start";
    let built = |scenario: Scenario| {
        let scenario = scenario.init_image(InitImage::Extra(build));
        scenario.on(machine().cpus(2)).bound_seconds(60)
    };
    vec![
        built(Scenario::passes("exec/outside", format!("{run}:etc/start"))).needs(" words, in "),
        built(Scenario::passes(
            "exec/outside-rain",
            format!("rain=on {run}"),
        ))
        .needs(" words, in "),
        built(Scenario::fails(
            "exec/outside-no-file",
            format!("{run}:nothing"),
            "exec /extra/count: exit status 1",
        ))
        .needs("count: nothing: not found"),
    ]
}

/// Copies the program to where no other manifest is in sight, and builds it there.
fn build(folder: &Path) -> Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let workspace = Workspace::here();
    let source = workspace.root().join("user/rt/outside");
    let place = env::temp_dir().join(format!("petrel-outside-{}", process::id()));
    fs::create_dir_all(place.join("src"))
        .with_context(|| format!("cannot make {}", place.display()))?;
    for name in ["build.rs", "src/main.rs"] {
        fs::copy(source.join(name), place.join(name)).with_context(|| name.to_owned())?;
    }
    let rt = workspace.root().join("user/rt");
    let manifest = fs::read_to_string(source.join("Cargo.toml"))?;
    let here = format!("path = {:?}", rt.display().to_string());
    fs::write(
        place.join("Cargo.toml"),
        manifest.replace("path = \"..\"", &here),
    )?;
    // The same versions, and nothing to ask the network for.
    fs::copy(
        workspace.root().join("Cargo.lock"),
        place.join("Cargo.lock"),
    )?;
    let target = workspace.target(Build::Normal).join("outside");
    let mut command = cargo(&workspace);
    command.current_dir(&place).args(["build", "--release"]);
    command
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target);
    let built = succeed(&mut command).context("user/rt/outside does not build");
    fs::remove_dir_all(&place)?;
    built?;
    let program = target.join(TARGET).join("release/count");
    fs::copy(&program, folder.join("count"))
        .with_context(|| format!("cannot copy {}", program.display()))?;
    Ok(())
}
