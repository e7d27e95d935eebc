//! Somebody at the keyboard of the shell: short sessions, everywhere.

use super::machine;
use crate::disk::Disk;
use crate::scenario::Scenario;

/// What the shell prints when it listens.
const PROMPT: &str = "petrel> ";

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    let shell = |name: &str, bootargs: &str| {
        let bootargs = format!("on_done=shell {bootargs}");
        Scenario::passes(format!("shell/typed-{name}"), bootargs)
            .disk(|path| Disk::Files.write(path))
    };
    let session = shell("session", "")
        .types(PROMPT, "run hello Ada\n")
        .sees("hello, Ada")
        .types(PROMPT, "ps\n")
        .sees("shell")
        .types(PROMPT, "frobnicate\n")
        .types(PROMPT, "cat /disk/hello.txt\n")
        .sees("Hello from the disk.")
        .types(PROMPT, "exit\n");
    let restarts = shell("services-come-back", "")
        .types(PROMPT, "kill console\n")
        .sees("generation 2")
        .types(PROMPT, "kill blk\n")
        .sees("generation 2")
        .types(PROMPT, "cat /disk/hello.txt\n")
        .sees("Hello from the disk.")
        .types(PROMPT, "exit\n");
    let mut all = vec![
        shell("comes-after-the-runs", "run=selftest")
            .needs("done: selftest")
            .types(PROMPT, "exit\n"),
        shell("ctrl-c-ends-a-program", "")
            .types(PROMPT, "run spin\n")
            .types("run spin", "\u{3}")
            .sees("was killed")
            .types(PROMPT, "exit\n")
            .on(machine().cpus(2)),
    ];
    all.extend(session.everywhere());
    all.extend(restarts.everywhere());
    all
}
