//! Where things are.
//!
//! Everything that is made lies under Cargo's target directory, so that one `cargo clean` leaves
//! nothing behind. `CARGO_TARGET_DIR` moves all of it.

use std::env;
use std::path::{Path, PathBuf};

/// The two ways in which the kernel is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// The product, with its checks on.
    Normal,
    /// With the planted bugs, of which the boot argument `plant=<name>` switches one on.
    Planted,
}

impl Build {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Planted => "planted",
        }
    }
}

/// The folders of this checkout.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub fn here() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the harness lies in a folder of the workspace")
            .to_owned();
        // A relative CARGO_TARGET_DIR counts from where Cargo is called; we call it at the root.
        let target = root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()));
        Self { root, target }
    }

    /// Where the workspace's `Cargo.toml` is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory for a build. The two builds share none: switching from one to the
    /// other would compile everything anew.
    pub fn target(&self, build: Build) -> PathBuf {
        match build {
            Build::Normal => self.target.clone(),
            Build::Planted => self.target.join("planted"),
        }
    }

    /// The Image that QEMU boots.
    pub fn image(&self, build: Build) -> PathBuf {
        self.target(build).join("petrel.img")
    }

    /// The same kernel as an ELF, for debuggers.
    pub fn elf(&self, build: Build) -> PathBuf {
        self.target(build).join("petrel.elf")
    }

    /// The init image that goes with `make image` and `make run`: with the files of `EXTRA=`, if there
    /// are any.
    pub fn init_image(&self) -> PathBuf {
        self.target.join("initrd.cpio")
    }

    /// What a C compiler is given: library, header, linker script.
    pub fn c_folder(&self) -> PathBuf {
        self.target.join("c")
    }

    /// Which folder `EXTRA=` named last.
    pub fn extra_folder(&self) -> PathBuf {
        self.target.join("extra-folder")
    }

    /// The init image of the tests, which knows nothing of `EXTRA=`.
    pub fn test_init_image(&self) -> PathBuf {
        self.target.join("test-initrd.cpio")
    }

    /// The disk of `make run`: made when it is not there, and kept.
    pub fn disk(&self) -> PathBuf {
        self.target.join("disk.img")
    }

    /// Where test runs keep their full output.
    pub fn logs(&self) -> PathBuf {
        self.target.join("test-logs")
    }

    /// What `petrel bench` writes.
    pub fn bench_report(&self) -> PathBuf {
        self.target.join("bench.json")
    }

    /// A path as a person at the root of the workspace would type it.
    pub fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_workspace() {
        let manifest = std::fs::read_to_string(Workspace::here().root().join("Cargo.toml"))
            .expect("a workspace has a manifest");
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    fn the_builds_share_no_file() {
        let workspace = Workspace::here();
        assert_ne!(
            workspace.image(Build::Normal),
            workspace.image(Build::Planted)
        );
        assert_ne!(
            workspace.target(Build::Normal),
            workspace.target(Build::Planted)
        );
    }
}
