//! Random system calls (`user/fuzz`): a million of them, on the usual machines.

use super::machine;
use crate::scenario::Scenario;

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    // Name, CPUs, boot arguments, calls. Each with a seed of its own.
    [
        ("cpus-1", 1, "", 150_000),
        ("cpus-4", 4, "", 200_000),
        ("daif-1", 1, "mask=daif", 150_000),
        ("daif-4", 4, "mask=daif", 200_000),
        ("rain-1", 1, "rain=on", 75_000),
        ("rain-4", 4, "rain=on", 75_000),
        ("rain-daif-1", 1, "rain=on mask=daif", 75_000),
        ("rain-daif-4", 4, "rain=on mask=daif", 75_000),
    ]
    .into_iter()
    .zip(1..)
    .map(|((name, cpus, more, calls), seed)| {
        let bootargs = format!("run=exec:path=/bin/fuzz,args={seed}:{calls} {more}");
        Scenario::passes(format!("fuzz/{name}"), bootargs.trim_end())
            .on(machine().cpus(cpus))
            .needs("kinds of errors")
            .bound_seconds(180)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_million_calls() {
        let calls = all().into_iter().map(|scenario| {
            let count = scenario.bootargs.split([':', ' ']).nth(2);
            count
                .and_then(|count| count.parse::<u64>().ok())
                .expect("a number")
        });
        assert!(calls.sum::<u64>() >= 1_000_000);
    }
}
