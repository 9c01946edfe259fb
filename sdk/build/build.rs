//! Folders that are within the program: cargo does not follow them by itself.

fn main() {
    for folder in ["../plugin", "../tracking", "../../wit/v0.1", "templates", "build.rs"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
