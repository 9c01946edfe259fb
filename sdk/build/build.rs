//! Change detection for embedded folders, which cargo does not track itself.

fn main() {
    for folder in ["../plugin", "../tracking", "../../wit/v0.1", "templates", "build.rs"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
