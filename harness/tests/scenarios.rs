//! The QEMU scenarios, under `cargo test -p petrel-harness --test scenarios`.

use libtest_mimic::Arguments;

fn main() -> std::process::ExitCode {
    match harness::trials::run(Arguments::from_args()) {
        Ok(conclusion) => conclusion.exit_code(),
        Err(error) => {
            eprintln!("{error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
