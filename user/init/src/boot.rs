//! The boot arguments that are init's: `run=exec:path=/extra/x,args=one:two` and `on_done=`.
//!
//! The kernel has read them all before, and refused what nobody understands; so what is not known here
//! is somebody else's.

use alloc::vec::Vec;

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec<'a> {
    /// Where it is in the image.
    pub path: &'a str,
    /// Its arguments, without its own name.
    pub arguments: Vec<&'a str>,
}

/// What the boot asks of init.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The programs to run, one after the other.
    pub execs: Vec<Exec<'a>>,
    /// Whether a shell is wanted, at the end.
    pub shell: bool,
}

/// Reads the boot arguments.
pub fn parse(text: &str) -> Asked<'_> {
    let mut asked = Asked::default();
    let mut runs = 0;
    for word in text.split_ascii_whitespace() {
        if word == "on_done=shell" {
            asked.shell = true;
        }
        if let Some(run) = word.strip_prefix("run=") {
            runs += 1;
            asked.execs.extend(exec(run));
        }
    }
    asked.shell |= runs == 0;
    asked
}

fn exec(run: &str) -> Option<Exec<'_>> {
    let mut path = None;
    let mut arguments = Vec::new();
    for parameter in run.strip_prefix("exec:")?.split(',') {
        match parameter.split_once('=')? {
            ("path", value) => path = Some(value),
            ("args", "") => {}
            ("args", value) => arguments = value.split(':').collect(),
            _ => {}
        }
    }
    let path = path?;
    Some(Exec { path, arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_the_shell() {
        let text =
            "mask=pmr run=exec:path=/extra/x,args=a:b run=storm run=exec:path=/y on_done=shell";
        let asked = parse(text);
        let [first, second] = &asked.execs[..] else {
            panic!("two: {asked:?}");
        };
        assert_eq!(
            (first.path, &first.arguments[..]),
            ("/extra/x", &["a", "b"][..])
        );
        assert_eq!((second.path, second.arguments.len()), ("/y", 0));
        assert!(asked.shell);
    }

    #[test]
    fn a_shell_if_nothing_was_asked_for() {
        assert!(parse("").shell && parse("cpus=2 log=warn").shell);
        assert!(!parse("run=exec:path=/x").shell);
        assert_eq!(parse("run=exec run=exec: run=exec:path").execs, []);
    }
}
