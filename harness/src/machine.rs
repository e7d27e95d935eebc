//! A machine described, and the command line that makes it.
//!
//! Always `-M virt` with a GIC, no network, no display, no monitor, the serial line on standard
//! output, semihosting for the exit status. What differs from scenario to scenario is in
//! [`Machine`] (the hardware) and [`Boot`] (what runs on it).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::qemu::{Qemu, Version};

/// Where `virt` has its memory.
pub const RAM_BASE: u64 = 0x4000_0000;

/// How guest time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// With the host's clock, every CPU on a thread of its own.
    Free,
    /// One counter tick for each instruction, the same in every run.
    Exact,
}

/// The hardware.
#[derive(Clone, Debug)]
pub struct Machine {
    cpu: String,
    cpus: u32,
    memory_mib: u32,
    gic_version: u32,
    timing: Timing,
    /// Options of `-M` that are switched on.
    options: Vec<&'static str>,
}

/// What runs on it.
#[derive(Clone, Debug)]
pub struct Boot {
    /// An arm64 Image.
    pub kernel: PathBuf,
    /// What `/chosen/bootargs` says.
    pub bootargs: String,
    /// A device tree in place of QEMU's own.
    pub dtb: Option<PathBuf>,
    /// The init image.
    pub initrd: Option<PathBuf>,
    /// What is on the disk, if there is one: a file of whole sectors. The guest may write to it.
    pub disk: Option<PathBuf>,
    /// Files put into memory before the machine starts, each at a physical address.
    pub loads: Vec<(PathBuf, u64)>,
}

impl Boot {
    /// A kernel with QEMU's own device tree, and nothing beside it.
    pub fn new(kernel: impl Into<PathBuf>, bootargs: impl Into<String>) -> Self {
        Self {
            kernel: kernel.into(),
            bootargs: bootargs.into(),
            dtb: None,
            initrd: None,
            disk: None,
            loads: Vec::new(),
        }
    }

    /// With this init image.
    #[must_use]
    pub fn initrd(mut self, initrd: impl Into<PathBuf>) -> Self {
        self.initrd = Some(initrd.into());
        self
    }

    /// With this disk.
    #[must_use]
    pub fn disk(mut self, disk: impl Into<PathBuf>) -> Self {
        self.disk = Some(disk.into());
        self
    }
}

impl Default for Machine {
    /// Four CPUs of QEMU's best model, 512 MiB, GICv3, free-running.
    fn default() -> Self {
        Self {
            cpu: "max".to_owned(),
            cpus: 4,
            memory_mib: 512,
            gic_version: 3,
            timing: Timing::Free,
            options: Vec::new(),
        }
    }
}

impl Machine {
    /// With this CPU model.
    #[must_use]
    pub fn cpu(mut self, model: impl Into<String>) -> Self {
        self.cpu = model.into();
        self
    }

    /// With so many CPUs.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// With so much memory.
    #[must_use]
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = memory_mib;
        self
    }

    /// With this version of the GIC.
    #[must_use]
    pub fn gic_version(mut self, gic_version: u32) -> Self {
        self.gic_version = gic_version;
        self
    }

    /// With EL2: the kernel is started there.
    #[must_use]
    pub fn el2(mut self) -> Self {
        self.options.push("virtualization=on");
        self
    }

    /// With EL3, which QEMU leaves before the kernel starts: the GIC has two security states.
    #[must_use]
    pub fn secure(mut self) -> Self {
        self.options.push("secure=on");
        self
    }

    /// Counting instructions: see [`Timing::Exact`].
    #[must_use]
    pub fn exact(mut self) -> Self {
        self.timing = Timing::Exact;
        self
    }

    /// The command that runs `boot` on this machine.
    pub fn command_line(&self, qemu: &Qemu, boot: &Boot) -> CommandLine {
        self.command_line_for(qemu, boot, &[])
    }

    /// The command that writes the device tree which QEMU would give to `boot`, and ends.
    pub fn dump_dtb_command_line(&self, qemu: &Qemu, boot: &Boot, to: &Path) -> CommandLine {
        let dump = format!("dumpdtb={}", option_value(to));
        self.command_line_for(qemu, boot, &[dump])
    }

    fn command_line_for(&self, qemu: &Qemu, boot: &Boot, more: &[String]) -> CommandLine {
        let mut virt = vec![
            "virt".to_owned(),
            format!("gic-version={}", self.gic_version),
        ];
        virt.extend(self.options.iter().copied().map(str::to_owned));
        if qemu.version() >= Version::DTB_RANDOMNESS {
            virt.push("dtb-randomness=off".to_owned());
        }
        virt.extend_from_slice(more);

        let mut arguments = Vec::new();
        let mut put = |words: &[&str]| arguments.extend(words.iter().copied().map(str::to_owned));
        put(&["-M", &virt.join(",")]);
        put(&["-cpu", &self.cpu]);
        put(&["-smp", &self.cpus.to_string()]);
        put(&["-m", &self.memory_mib.to_string()]);
        put(&["-nic", "none", "-display", "none", "-monitor", "none"]);
        put(&["-serial", "stdio", "-no-reboot"]);
        put(&["-semihosting-config", "enable=on,target=native"]);
        if self.timing == Timing::Exact {
            let shift = icount_shift(&self.cpu, qemu.version());
            // Without recording, QEMU's main loop may see a CPU that has just executed WFI as idle before
            // its last instructions are counted, and skip too far: on a busy host, one long run in six came
            // out different (QEMU 7.2). While it records, it does not look in between. Nobody reads the
            // record; more than one CPU cannot be recorded.
            let record = match self.cpus {
                1 => ",rr=record,rrfile=/dev/null",
                _ => "",
            };
            put(&["-icount", &format!("shift={shift},sleep=off{record}")]);
        }
        put(&["-kernel", &boot.kernel.display().to_string()]);
        if !boot.bootargs.is_empty() {
            put(&["-append", &boot.bootargs]);
        }
        if let Some(dtb) = &boot.dtb {
            put(&["-dtb", &dtb.display().to_string()]);
        }
        if let Some(initrd) = &boot.initrd {
            put(&["-initrd", &initrd.display().to_string()]);
        }
        if let Some(disk) = &boot.disk {
            put(&["-global", "virtio-mmio.force-legacy=false"]);
            let file = option_value(disk);
            put(&["-drive", &format!("if=none,id=disk,format=raw,file={file}")]);
            put(&["-device", "virtio-blk-device,drive=disk"]);
        }
        for (file, address) in &boot.loads {
            let file = option_value(file);
            put(&[
                "-device",
                &format!("loader,file={file},addr={address:#x},force-raw=on"),
            ]);
        }
        CommandLine {
            program: qemu.program().to_owned(),
            arguments,
            folder: None,
        }
    }
}

/// The `-icount` shift (nanoseconds of virtual time for an instruction, as a power of two) that
/// makes one tick of the guest's counter one instruction.
fn icount_shift(cpu: &str, version: Version) -> u32 {
    // Named models keep the frequency they always had.
    let counter_hz: u64 = if cpu == "max" && version >= Version::MAX_COUNTS_AT_1_GHZ {
        1_000_000_000
    } else {
        62_500_000
    };
    (1_000_000_000 / counter_hz).ilog2()
}

/// A path inside an option with commas: QEMU wants its commas doubled.
fn option_value(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// A command line, to be run or to be shown.
#[derive(Clone, Debug)]
pub struct CommandLine {
    program: PathBuf,
    arguments: Vec<String>,
    folder: Option<PathBuf>,
}

impl CommandLine {
    /// Of any program; for tests of what runs one.
    #[cfg(test)]
    pub(crate) fn of(program: &str, arguments: &[&str]) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            folder: None,
        }
    }

    /// The same, run in `folder`: where the guest's files go by semihosting.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_path_buf());
        self
    }

    /// The command, not started yet.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    /// Its arguments.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

impl std::fmt::Display for CommandLine {
    /// As one would type it into a shell.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", shell_word(&self.program.display().to_string()))?;
        for argument in &self.arguments {
            write!(f, " {}", shell_word(argument))?;
        }
        Ok(())
    }
}

/// A word quoted for a POSIX shell, if it needs that.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=,./:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tick_is_one_instruction() {
        let (seven, ten) = (
            Version { major: 7, minor: 2 },
            Version {
                major: 10,
                minor: 0,
            },
        );
        assert_eq!(icount_shift("max", seven), 4);
        assert_eq!(icount_shift("max", ten), 0);
        assert_eq!(icount_shift("cortex-a57", ten), 4);
    }

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(shell_word("-M"), "-M");
        assert_eq!(shell_word("virt,gic-version=3"), "virt,gic-version=3");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn commas_in_paths_are_doubled() {
        assert_eq!(option_value(Path::new("/a,b/c")), "/a,,b/c");
    }
}
