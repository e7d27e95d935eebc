//! QEMU, freshly built kernels and the init image, ready for use.
//!
//! Each is built when the first run asks for it, and then once only, also when several runs
//! ask at the same time. Cargo decides whether there is anything to do, so nobody ever tests a
//! kernel that is older than its source.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, anyhow};

use crate::image;
use crate::init_image;
use crate::machine::Boot;
use crate::qemu::Qemu;
use crate::workspace::{Build, Workspace};

/// Everything that a run needs.
#[derive(Debug)]
pub struct Lab {
    workspace: Workspace,
    qemu: Qemu,
    normal: OnceLock<Result<PathBuf, String>>,
    planted: OnceLock<Result<PathBuf, String>>,
    init_image: OnceLock<Result<PathBuf, String>>,
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
            init_image: OnceLock::new(),
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

    /// The init image that is up to date, without anything of `EXTRA=`.
    ///
    /// # Errors
    /// When it cannot be made: the same error for everyone who asks.
    pub fn init_image(&self) -> Result<&Path> {
        self.init_image
            .get_or_init(|| {
                let path = self.workspace.test_init_image();
                match init_image::make(&self.workspace, None, &path) {
                    Ok(made) => Ok(made.path),
                    Err(error) => Err(format!("{error:#}")),
                }
            })
            .as_deref()
            .map_err(|error| anyhow!("{error}"))
    }

    /// A boot of a kernel with the init image.
    ///
    /// # Errors
    /// When the one or the other cannot be made.
    pub fn boot(&self, build: Build, bootargs: impl Into<String>) -> Result<Boot> {
        Ok(Boot::new(self.kernel(build)?, bootargs).initrd(self.init_image()?))
    }
}
