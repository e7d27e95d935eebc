use super::*;
use core::time::Duration;
use proptest::prelude::*;
use std::string::ToString;

fn refused(arguments: &str, message: &str) {
    let error = parse(arguments).expect_err(arguments);
    assert_eq!(error.to_string(), std::format!("boot arguments: {message}"));
}

fn params(text: &str) -> Params<'_> {
    Params::parse("run=w", text).expect(text)
}

#[test]
fn nothing_said_is_all_defaults() {
    for empty in ["", " ", "\t \n"] {
        assert_eq!(parse(empty), Ok(Config::default()));
    }
}

#[test]
fn each_word_of_each_choice_stands_for_itself() {
    for word in Mask::WORDS {
        let line = std::format!("mask={word}");
        assert_eq!(parse(&line).unwrap().mask.word(), *word);
    }
    for word in LogLevel::WORDS {
        let line = std::format!("log={word}");
        assert_eq!(parse(&line).unwrap().log.word(), *word);
    }
    assert_eq!(parse("ordinary=g0").unwrap().ordinary, Ordinary::Group0);
    assert_eq!(parse("on_done=shell").unwrap().on_done, OnDone::Shell);
    assert_eq!(parse("order=gleixner").unwrap().order, Order::Gleixner);
}

#[test]
fn for_those_who_debug_the_kernel() {
    let config = parse("trace=on plant=v6_18").unwrap();
    assert_eq!(config.trace, Switch::On);
    assert_eq!(config.plant, Some("v6_18"));
    refused(
        "trace=yes",
        "\"trace=yes\": no value \"yes\" (permitted: off, on)",
    );
}

#[test]
fn a_full_line() {
    let line = "mask=daif run=storm:seconds=2,nmi=20us  seed=0xffffffffffffffff cpus=4 \
                run=exec:path=/extra/a=b run=bench log=warn";
    let config = parse(line).unwrap();
    assert_eq!(config.mask, Mask::Daif);
    assert_eq!(config.seed, u64::MAX);
    assert_eq!(config.cpus, NonZeroU32::new(4));
    assert_eq!(config.log, LogLevel::Warn);
    let names: std::vec::Vec<_> = config.runs.iter().map(|run| run.workload).collect();
    assert_eq!(names, ["storm", "exec", "bench"]);
    assert!(
        config.runs[0]
            .params
            .given()
            .eq([("seconds", "2"), ("nmi", "20us")])
    );
    assert!(config.runs[1].params.given().eq([("path", "/extra/a=b")]));
    assert_eq!(config.runs[2].params.given().count(), 0);
}

#[test]
fn programs_come_after_workloads() {
    let config = parse("run=exec:path=/extra/x,args=one:two run=storm rain=on").unwrap();
    assert!(config.workloads().map(|run| run.workload).eq(["storm"]));
    assert!(config.wants_init());
    assert_eq!(config.rain, Switch::On);
    let exec = Exec::parse("run=exec", config.runs[0].params.clone()).unwrap();
    assert_eq!(exec.path, "/extra/x");
    assert!(exec.arguments().eq(["one", "two"]));
    let plain = Exec::parse("", params("path=/bin/pi")).unwrap();
    assert_eq!(plain.arguments().count(), 0);
}

#[test]
fn user_space_starts_when_it_has_something_to_do() {
    for (arguments, wants) in [
        ("", true),
        ("mask=daif", true),
        ("run=selftest", false),
        ("run=selftest on_done=poweroff", false),
        ("run=selftest on_done=shell", true),
        ("run=selftest run=exec:path=/extra/x", true),
    ] {
        assert_eq!(parse(arguments).unwrap().wants_init(), wants, "{arguments}");
    }
}

#[test]
fn a_program_without_a_path_is_named() {
    refused("run=exec", "\"run=exec\": this workload needs path=");
    refused(
        "run=exec:path=x",
        "\"run=exec:path=x\": \"x\" is not a path of the form /extra/x",
    );
    refused(
        "run=exec:path=/x,arg=1",
        "\"run=exec:path=/x,arg=1\": this workload has no key \"arg\" (known: path, args)",
    );
}

#[test]
fn what_is_not_understood_is_named() {
    let keys = "mask, ordinary, order, seed, log, on_done, cpus, run, ipc, rain, trace, plant";
    refused(
        "quiet",
        &std::format!("\"quiet\" is not of the form key=value (keys: {keys})"),
    );
    refused(
        "mask=pmr rum=storm",
        &std::format!("\"rum=storm\": no key \"rum\" (known: {keys})"),
    );
    refused(
        "mask=prm",
        "\"mask=prm\": no value \"prm\" (permitted: daif, pmr, fiq, allint, auto)",
    );
    refused(
        "log=",
        "\"log=\": no value \"\" (permitted: error, warn, info, debug, trace)",
    );
    refused("seed=1 seed=1", "\"seed=1\": \"seed\" was given before");
    refused("cpus=0", "\"cpus=0\": \"0\" is not a number from 1");
    refused("run=", "\"run=\": \"\" is not the name of a workload");
    refused(
        "run=:a=b",
        "\"run=:a=b\": \":a=b\" is not the name of a workload",
    );
    refused("run=w:", "\"run=w:\": \"\" is not of the form key=value");
    refused("run=w:a", "\"run=w:a\": \"a\" is not of the form key=value");
    refused(
        "run=w:=1",
        "\"run=w:=1\": \"=1\" is not of the form key=value",
    );
    refused("run=w:a=1,a=2", "\"run=w:a=1,a=2\": \"a\" was given before");
}

#[test]
fn a_seed_is_a_number_and_nothing_else() {
    for bad in [
        "",
        "x",
        "0x",
        "+1",
        "-1",
        "0x+1",
        "1 ",
        "18446744073709551616",
        "0x10000000000000000",
        "1_0",
        "0X1",
        "1e3",
        "٣",
    ] {
        let line = std::format!("seed={bad}");
        // A blank ends the word before.
        assert_eq!(parse(&line).is_err(), bad != "1 ", "{line:?}");
    }
}

#[test]
fn no_more_than_there_is_room_for() {
    let line = |count| "run=w ".repeat(count);
    assert_eq!(parse(&line(MAX_RUNS)).unwrap().runs.len(), MAX_RUNS);
    refused(&line(MAX_RUNS + 1), "\"run=w\": more than 8 runs");

    let list = |count| {
        let entries: std::vec::Vec<_> = (0..count).map(|i| std::format!("k{i}=")).collect();
        entries.join(",")
    };
    assert!(Params::parse("w", &list(MAX_PARAMS)).is_ok());
    assert!(matches!(
        Params::parse("w", &list(MAX_PARAMS + 1)),
        Err(ArgError::TooMany { capacity: 8, .. })
    ));
}

#[test]
fn a_workload_gets_what_was_given_or_what_it_likes() {
    let mut given = params("n=0x10,t=500ms,path=/a,how=pmr");
    assert_eq!(given.u64("n", 1), Ok(16));
    assert_eq!(given.u64("m", 1), Ok(1));
    let second = Duration::from_secs(1);
    assert_eq!(given.duration("t", second), Ok(second / 2));
    assert_eq!(given.duration("u", second), Ok(second));
    assert_eq!(given.required_text("path"), Ok("/a"));
    assert_eq!(
        given.choice("how", Mask::Daif, Mask::WORDS, Mask::from_word),
        Ok(Mask::Pmr)
    );
    assert_eq!(given.finish(), Ok(()));
}

#[test]
fn a_workload_refuses_what_it_did_not_ask_for() {
    let mut given = params("period=1s,cpu=1");
    assert!(given.duration("period", Duration::ZERO).is_ok());
    assert_eq!(given.u64("cpus", 1), Ok(1));
    assert_eq!(
        given.finish().unwrap_err().to_string(),
        "boot arguments: \"run=w\": this workload has no key \"cpu\" (known: period, cpus)"
    );
    assert_eq!(
        params("a=1").finish().unwrap_err().to_string(),
        "boot arguments: \"run=w\": this workload has no key \"a\" (known: none)"
    );
    assert_eq!(
        params("a=1").required_text("path").unwrap_err().to_string(),
        "boot arguments: \"run=w\": this workload needs path="
    );
    assert_eq!(
        params("n=ten").u64("n", 1).unwrap_err().to_string(),
        "boot arguments: \"run=w\": \"ten\" is not a number below 2^64, as 42 or 0x2a"
    );
}

#[test]
fn a_workload_that_knows_too_many_keys_is_told() {
    const NAMES: [&str; MAX_KNOWN_KEYS + 1] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q",
    ];
    let mut given = Params::default();
    let results = NAMES.map(|name| given.u64(name, 0).is_ok());
    assert_eq!(results.iter().filter(|ok| **ok).count(), MAX_KNOWN_KEYS);
    assert!(!results[MAX_KNOWN_KEYS]);
}

#[test]
fn a_count_has_a_bound() {
    let read = |text| params(text).count("n", 7);
    assert_eq!(read("m=1"), Ok(7));
    assert_eq!(read("n=1000000000"), Ok(MAX_COUNT));
    assert!(read("n=1000000001").is_err());
    assert!(read("n=18446744073709551615").is_err());
}

#[test]
fn a_time_has_a_number_and_a_unit() {
    let read = |text| params(text).duration("t", Duration::MAX);
    assert_eq!(read("t=10s"), Ok(Duration::from_secs(10)));
    assert_eq!(read("t=500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(read("t=20us"), Ok(Duration::from_micros(20)));
    assert_eq!(read("t=0ns"), Ok(Duration::ZERO));
    assert_eq!(read("t=1000000s"), Ok(MAX_DURATION));
    for long in ["t=1000001s", "t=18446744073709551615s", "t=1000000000001us"] {
        assert!(read(long).is_err(), "{long}");
    }
    for bad in [
        "t=", "t=1", "t=s", "t=1m", "t=1.5s", "t=-1s", "t=0x1s", "t=1 s", "t=1ss",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

proptest! {
    /// Any text at all: no panic, and an error that quotes a word of it.
    #[test]
    fn any_text_is_understood_or_refused(text in "(mask|run|seed|x|[a-z]{0,3})?[=:,0x ]?\\PC{0,12}") {
        if let Err(error) = parse(&text) {
            let message = error.to_string();
            let quoted = text
                .split_ascii_whitespace()
                .any(|word| message.contains(&std::format!("{word:?}")));
            prop_assert!(quoted, "{}", message);
        }
    }

    /// What was understood says the same when written down again.
    #[test]
    fn a_config_survives_being_written(
        mask in prop::sample::select(Mask::WORDS),
        log in prop::sample::select(LogLevel::WORDS),
        seed: u64,
        cpus in 1..=u32::MAX,
    ) {
        let line = std::format!("log={log} cpus={cpus} mask={mask} seed={seed:#x}");
        let config = parse(&line).unwrap();
        prop_assert_eq!(config.mask.word(), mask);
        prop_assert_eq!(config.log.word(), log);
        prop_assert_eq!(config.seed, seed);
        prop_assert_eq!(config.cpus.unwrap().get(), cpus);
    }
}
