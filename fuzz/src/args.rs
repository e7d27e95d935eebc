//! Boot arguments: whoever starts the machine writes them.

use std::time::Duration;

use boot::args::{self, Params};

/// Reads the arguments, and each run's parameters in all the ways a workload may ask.
pub(crate) fn body(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    match args::parse(text) {
        Ok(config) => {
            for run in config.runs {
                assert!(text.contains(run.workload), "a workload that nobody named");
                ask(run.params);
            }
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty(), "an error without words");
            false
        }
    }
}

/// Asks for some keys as numbers, counts, times, texts.
fn ask(mut params: Params<'_>) {
    let given = params.given().count();
    let number = params.u64("a", 7);
    if let (Ok(count), Ok(number)) = (params.count("a", 7), &number) {
        assert_eq!(count, *number, "a count is a number");
        assert!(count <= args::MAX_COUNT, "a count without bound");
    }
    if let Ok(time) = params.duration("b", Duration::from_secs(1)) {
        assert!(time <= args::MAX_DURATION, "a time without bound");
    }
    let text = params.text("c").expect("few keys were asked for");
    assert!(given > 0 || text.is_none(), "a text that nobody gave");
    if let Err(error) = params.finish() {
        assert!(!error.to_string().is_empty());
    }
}

/// What people write.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        "",
        "mask=pmr ordinary=g0 order=rutland seed=0x2a log=debug cpus=4",
        "run=storm:a=100,b=10s,c=x run=selftest on_done=poweroff trace=on plant=x",
        "run=a:a=18446744073709551615 run=b:b=100ns,a=0x10 run=exec:c=/extra/x",
        "mask=daif mask=pmr",
        "run=x:a=1,a=2 cpus=0",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}
