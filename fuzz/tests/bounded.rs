//! The fuzz targets with seeded damage: bounded, and the same each time.
//!
//! `FUZZ_ROUNDS` gives another number of inputs for each target, `FUZZ_SEED` other inputs.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::{env, fs};

use fuzz::mutate::{Random, damage};
use fuzz::{TARGETS, Target};

/// Inputs for each target.
const ROUNDS: u64 = 4000;

fn from_environment(name: &str, usual: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}")),
        Err(_) => usual,
    }
}

/// Runs a body, and says with which input it failed. Whether the input was sound.
fn run(target: Target, input: &[u8], name: &str) -> bool {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.body)(input)));
    outcome.unwrap_or_else(|failure| {
        let kept = env::temp_dir().join(format!("petrel-{}-{name}", target.name));
        let written = fs::write(&kept, input).is_ok();
        eprintln!(
            "{} failed with {name}{}",
            target.name,
            if written {
                format!(", kept as {}", kept.display())
            } else {
                String::new()
            }
        );
        panic::resume_unwind(failure)
    })
}

fn bounded(name: &str) {
    let target = fuzz::target(name);
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "nothing to begin with");
    let mut sound = 0;
    for (index, seed) in seeds.iter().enumerate() {
        sound += u64::from(run(target, seed, &format!("seed-{index}")));
    }
    assert!(sound > 0, "none of what it begins with is sound");
    sound = 0;
    let first = from_environment("FUZZ_SEED", 1);
    let rounds = from_environment("FUZZ_ROUNDS", ROUNDS);
    for round in 0..rounds {
        let mut random = Random::new(first << 32 | round);
        let mut input = seeds[random.below(seeds.len())].clone();
        damage(&mut input, &mut random);
        sound += u64::from(run(target, &input, &format!("round-{first}-{round}")));
    }
    // What all is refused in never reaches what is behind the door, and what is never refused has none.
    assert!(
        sound > 0 && sound < rounds,
        "{sound} of {rounds} were sound"
    );
    let found = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("found")
        .join(name);
    for entry in fs::read_dir(found).into_iter().flatten() {
        let path = entry.expect("an entry of the folder").path();
        let input = fs::read(&path).expect("a file that can be read");
        run(
            target,
            &input,
            &path.file_name().unwrap_or_default().to_string_lossy(),
        );
    }
}

macro_rules! targets {
    ($($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                bounded(stringify!($name));
            }
        )+

        #[test]
        fn no_target_is_left_out() {
            let here = [$(stringify!($name)),+];
            let there: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(here.as_slice(), there);
            for name in there {
                let program = format!("libfuzzer/src/bin/{name}.rs");
                let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(program);
                assert!(program.exists(), "{} is missing", program.display());
            }
        }
    };
}

targets! { args cpio dt elf fat flat }

/// What makes the damage does make some, and the same each time.
#[test]
fn damage_repeats_and_differs() {
    let sound: Vec<u8> = (0..200).collect();
    let damaged = |seed| {
        let mut bytes = sound.clone();
        damage(&mut bytes, &mut Random::new(seed));
        bytes
    };
    let changed = (0..100).filter(|seed| damaged(*seed) != sound).count();
    assert!(changed > 90, "{changed}");
    assert!((0..100).all(|seed| damaged(seed) == damaged(seed)));
}
