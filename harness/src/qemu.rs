//! Finding QEMU, and knowing what this version of it can do.
//!
//! Looked for in this order: the environment variable `PETREL_QEMU`; `.tools/qemu` in the
//! workspace, where the set-up script unpacks a distribution's packages when it may not install
//! them; the `PATH`.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Its name, wherever it is.
const PROGRAM: &str = "qemu-system-aarch64";

/// Names QEMU on the command line's behalf.
const VARIABLE: &str = "PETREL_QEMU";

/// A release of QEMU. Compares as releases do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
}

impl Version {
    /// The first release in which one instruction in each block is an option of the accelerator.
    pub const ONE_INSN_PER_TB: Self = Self { major: 8, minor: 1 };
    /// The first release whose `virt` can be asked for the same device tree every time.
    pub const DTB_RANDOMNESS: Self = Self { major: 7, minor: 1 };
    /// The first release in which `-cpu max` counts time at 1 GHz, as Armv8.6 wants it.
    pub const MAX_COUNTS_AT_1_GHZ: Self = Self { major: 9, minor: 1 };
    /// The first release known to have FEAT_NMI in `-cpu max` and in its GICv3.
    pub const FEAT_NMI: Self = Self {
        major: 10,
        minor: 0,
    };

    /// The release in what `--version` prints: `QEMU emulator version 7.2.22 (...)`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_once("version ")?.1.split(['.', ' ', '\n']);
        Some(Self {
            major: numbers.next()?.parse().ok()?,
            minor: numbers.next()?.parse().ok()?,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A QEMU that starts on this computer.
#[derive(Clone, Debug)]
pub struct Qemu {
    program: PathBuf,
    version: Version,
}

impl Qemu {
    /// Looks for QEMU and asks it for its version.
    ///
    /// # Errors
    /// When there is none, or the one found does not start; says where it was looked for.
    pub fn find(root: &Path) -> Result<Self> {
        if let Some(program) = env::var_os(VARIABLE) {
            return Self::at(program.into())
                .with_context(|| format!("{VARIABLE} names a QEMU that is not usable"));
        }
        let program = root.join(".tools/qemu/usr/bin").join(PROGRAM);
        if program.exists() {
            return Self::at(program);
        }
        let path = env::var_os("PATH").unwrap_or_default();
        match env::split_paths(&path)
            .map(|folder| folder.join(PROGRAM))
            .find(|file| file.is_file())
        {
            Some(program) => Self::at(program),
            None => bail!(
                "no {PROGRAM}: {VARIABLE} is not set, {} does not exist, and it is not in PATH; \
                 `make setup` gets one",
                program.display()
            ),
        }
    }

    fn at(program: PathBuf) -> Result<Self> {
        let output = Command::new(&program)
            .arg("--version")
            .output()
            .with_context(|| format!("cannot start {}", program.display()))?;
        ensure!(
            output.status.success(),
            "{} --version: {}: {}",
            program.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let text = String::from_utf8_lossy(&output.stdout);
        let version = Version::parse(&text)
            .with_context(|| format!("{} --version said: {text}", program.display()))?;
        Ok(Self { program, version })
    }

    /// The release.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where it is.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright";
        let seven = Version::parse(debian).expect("a version");
        assert_eq!(seven, Version { major: 7, minor: 2 });
        let ten = Version::parse("QEMU emulator version 10.0.2\n").expect("a version");
        assert!(seven < Version::MAX_COUNTS_AT_1_GHZ && Version::MAX_COUNTS_AT_1_GHZ < ten);
        assert_eq!(Version::parse("hello"), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Qemu::at("/nonexistent/qemu".into()).expect_err("no such file");
        assert!(error.to_string().contains("/nonexistent/qemu"));
    }
}
