//! How the program is linked: to fixed addresses, by the script that comes with `rt`.

fn main() {
    for argument in ["-Tprogram.ld", "-zmax-page-size=4096", "--no-eh-frame-hdr"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
