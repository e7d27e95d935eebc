//! The programs under `user/`: which there are, and building them.
//!
//! A package whose manifest lies under `user/` belongs to user space. Each of its binaries is a program
//! and goes into the init image under its own name; a library whose `test` is on in its manifest
//! has tests that run on the host. Cargo is asked, so there is no list to forget to add to.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cargo::{cargo, output, succeed};
use crate::workspace::{Build, Workspace};

/// What programs are compiled for: they may use FP, the kernel may not.
pub const TARGET: &str = "aarch64-unknown-none";

/// The program that the kernel starts.
pub const INIT: &str = "init";

/// A package of user space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Where its manifest lies.
    pub folder: PathBuf,
    /// The names of its programs.
    pub programs: Vec<String>,
    /// Whether its library has tests that run on the host.
    pub tested_on_the_host: bool,
}

/// All packages of user space, by name.
///
/// # Errors
/// When Cargo does not know, or two programs have the same name.
pub fn packages(workspace: &Workspace) -> Result<Vec<Package>> {
    let mut command = cargo(workspace);
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata = output(&mut command).context("cannot list the packages")?;
    let metadata: Value = serde_json::from_slice(&metadata).context("cargo metadata is no JSON")?;
    let mut packages = of_metadata(&metadata, &workspace.root().join("user"));
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let mut names: Vec<&String> = packages.iter().flat_map(|p| &p.programs).collect();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("two packages have a program named {}", pair[0]);
    }
    Ok(packages)
}

/// The packages whose manifests lie below `user`.
fn of_metadata(metadata: &Value, user: &Path) -> Vec<Package> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let package = |package: &Value| {
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        let folder = manifest.parent()?.to_owned();
        if !folder.starts_with(user) {
            return None;
        }
        let mut found = Package {
            name: text(&package["name"]),
            folder,
            ..Package::default()
        };
        for target in list(&package["targets"]) {
            let kinds = list(&target["kind"]);
            if kinds.iter().any(|kind| kind == "bin") {
                found.programs.push(text(&target["name"]));
            } else if kinds.iter().any(|kind| kind == "lib" || kind == "rlib") {
                found.tested_on_the_host |= target["test"] == true;
            }
        }
        Some(found)
    };
    list(&metadata["packages"])
        .iter()
        .filter_map(package)
        .collect()
}

/// A program that is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// The linked ELF, with its symbols.
    pub elf: PathBuf,
}

/// Builds all programs of these packages that are not up to date. By name.
///
/// # Errors
/// When one does not build; Cargo's messages go to our standard error.
pub fn build(workspace: &Workspace, packages: &[Package]) -> Result<Vec<Program>> {
    let with_programs = || packages.iter().filter(|p| !p.programs.is_empty());
    if with_programs().next().is_none() {
        return Ok(Vec::new());
    }
    let target = workspace.target(Build::Normal);
    let mut command = cargo(workspace);
    command.args(["build", "--release", "--bins", "--target", TARGET]);
    command.arg("--target-dir").arg(&target);
    for package in with_programs() {
        command.args(["--package", &package.name]);
    }
    succeed(&mut command).context("the programs under user/ do not build")?;
    let built = target.join(TARGET).join("release");
    let mut programs = Vec::new();
    for name in with_programs().flat_map(|package| &package.programs) {
        let elf = built.join(name);
        ensure!(elf.is_file(), "Cargo built no {}", elf.display());
        programs.push(Program {
            name: name.clone(),
            elf,
        });
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_lies_under_user_is_user_space() {
        let metadata = json!({"packages": [
            {"name": "petrel-kernel", "manifest_path": "/w/kernel/Cargo.toml",
             "targets": [{"kind": ["bin"], "name": "petrel-kernel", "test": false}]},
            {"name": "petrel-shell", "manifest_path": "/w/user/shell/Cargo.toml", "targets": [
                {"kind": ["lib"], "name": "shell", "test": true},
                {"kind": ["bin"], "name": "shell", "test": false}]},
            {"name": "petrel-rt", "manifest_path": "/w/user/rt/Cargo.toml", "targets": [
                {"kind": ["lib"], "name": "rt", "test": false},
                {"kind": ["custom-build"], "name": "build-script-build", "test": false}]},
        ]});
        let packages = of_metadata(&metadata, Path::new("/w/user"));
        let [shell, rt] = &packages[..] else {
            panic!("two packages: {packages:?}");
        };
        assert_eq!(shell.programs, ["shell"]);
        assert!(shell.tested_on_the_host && !rt.tested_on_the_host);
        assert!(rt.programs.is_empty());
        assert_eq!(rt.folder, Path::new("/w/user/rt"));
    }

    #[test]
    fn this_workspace_can_be_asked() {
        let packages = packages(&Workspace::here()).expect("Cargo answers");
        assert!(packages.iter().all(|p| p.name.starts_with("petrel-")));
    }
}
