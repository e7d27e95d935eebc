//! QEMU and freshly built kernels, ready for use.
//!
//! A kernel is built when the first run asks for it, and then once only, also when several runs
//! ask at the same time. Cargo decides whether there is anything to do, so nobody ever tests a
//! kernel that is older than its source.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, anyhow};

use crate::image;
use crate::qemu::Qemu;
use crate::workspace::{Build, Workspace};

/// Everything that a run needs.
#[derive(Debug)]
pub struct Lab {
    workspace: Workspace,
    qemu: Qemu,
    normal: OnceLock<Result<PathBuf, String>>,
    planted: OnceLock<Result<PathBuf, String>>,
}

impl Lab {
    /// Finds QEMU. Builds nothing yet.
    ///
    /// # Errors
    /// When there is no QEMU that starts.
    pub fn open() -> Result<Self> {
        let workspace = Workspace::here();
        let qemu = Qemu::find(workspace.root())?;
        Ok(Self {
            workspace,
            qemu,
            normal: OnceLock::new(),
            planted: OnceLock::new(),
        })
    }

    /// Where things are.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// The QEMU in use.
    pub fn qemu(&self) -> &Qemu {
        &self.qemu
    }

    /// The Image of a kernel that is up to date.
    ///
    /// # Errors
    /// When it does not build: the same error for everyone who asks.
    pub fn kernel(&self, build: Build) -> Result<&Path> {
        let cell = match build {
            Build::Normal => &self.normal,
            Build::Planted => &self.planted,
        };
        cell.get_or_init(|| match image::make(&self.workspace, build) {
            Ok(made) => Ok(made.image),
            Err(error) => Err(format!("{error:#}")),
        })
        .as_deref()
        .map_err(|error| anyhow!("{error}"))
    }
}
