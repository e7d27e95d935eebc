//! Lets the linker find `program.ld` for every program that depends on this crate.

fn main() {
    println!("cargo:rerun-if-changed=program.ld");
    println!("cargo:rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
}
