//! The script of this house, and mistakes in others.

use super::*;
use proptest::prelude::*;

#[test]
fn the_script_that_is_used() {
    let script = Script::parse(include_str!("../../start")).expect("it has no mistakes");
    let console = &script.services[0];
    assert_eq!((&*console.name, &*console.path), ("console", "bin/console"));
    assert_eq!(console.rules.grants, [Privilege::Machine]);
    assert_eq!(script.starts[0].name, "shell");
    assert!(script.exec.grants.is_empty());
}

#[test]
fn what_a_line_says() {
    let text = "\n# nothing\nservice a /bin/a grants=initrd,manage args=x,y quota=64K priority=3 dma=8K # a\nstart b b uses=a";
    let script = Script::parse(text).expect("it has no mistakes");
    let rules = Rules {
        grants: [Privilege::Initrd, Privilege::Manage].to_vec(),
        uses: Vec::new(),
        quota_bytes: 64 << 10,
        priority: 3,
        dma_bytes: 8 << 10,
    };
    let service = Program {
        name: "a".to_string(),
        path: "bin/a".to_string(),
        arguments: ["x", "y"].map(str::to_string).to_vec(),
        rules,
    };
    assert_eq!(script.services, [service]);
    assert_eq!(script.starts[0].rules.uses, ["a"]);
    assert_eq!(script.exec, Rules::default());
}

#[test]
fn some_programs_may_more_when_they_are_run() {
    let text = "service a a\nexec uses=a\nexec /bin/b grants=manage";
    let script = Script::parse(text).expect("it has no mistakes");
    assert_eq!(script.rules_of_exec("/bin/c").uses, ["a"]);
    for path in ["bin/b", "/bin/b"] {
        let rules = script.rules_of_exec(path);
        assert_eq!(
            (&rules.grants[..], rules.uses.len()),
            (&[Privilege::Manage][..], 0)
        );
    }
}

#[test]
fn mistakes_have_a_line_and_a_reason() {
    for (text, expected) in [
        (
            "serve a b",
            "serve: no such word; there are service, start, exec",
        ),
        ("service a", "service needs a name and a file"),
        ("start a uses=b", "start needs a name and a file"),
        ("service a b c", "c: not of the form key=value"),
        ("service a b color=red", "color=: no such key"),
        ("service a b grants=root", "grants=root: no such grant"),
        ("service a b priority=32", "priority=32: not a number"),
        ("service a b quota=12", "quota=12: not of the form"),
        ("service a b dma=much", "dma=much: not of the form"),
        ("start a b dma=8K", "dma= is for services"),
        ("exec dma=8K", "dma= is for services"),
        ("exec a b", "b: not of the form key=value"),
        (
            "service a b quota=99999999999999999M",
            "quota=99999999999999999M: not",
        ),
        ("service a b args=1 args=2", "args= is there twice"),
        ("service a b uses=c", "uses=c: there is no service"),
        ("service a b\nstart a c", "there is a a already"),
        (
            "service seventeen-letters b",
            "seventeen-letters: a name has",
        ),
        ("exec args=1", "exec has no args="),
    ] {
        let error = Script::parse(text).expect_err(text);
        assert_eq!(error.line, text.lines().count(), "{text}");
        assert!(error.why.starts_with(expected), "{text}: {error}");
    }
    let error = Script::parse("# one\n\nservice").expect_err("a mistake");
    assert_eq!(
        error.to_string(),
        "etc/start:3: service needs a name and a file"
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in "(service|start|exec|[a-z=,#0-9KM \n]){0,20}") {
        let _ = Script::parse(&text);
    }
}
