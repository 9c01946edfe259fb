//! Covers: the built files of the page are newer than its sources, by a digest of the sources.
//! Whether they match the sources is checked by `npm run check` in `host/ui`, which needs Node.js.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::shell::root;

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_page_was_built_since_its_sources_changed() {
    let ui = root().join("host/ui");
    let name = |path: PathBuf| path.strip_prefix(&ui).unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<String> = files(&ui.join("src")).into_iter().map(name).collect();
    names.extend(["build.mjs", "package-lock.json", "tsconfig.json"].map(str::to_owned));
    names.sort();
    let mut hash = Sha256::new();
    for name in &names {
        hash.update(format!("{name}\n"));
        hash.update(fs::read(ui.join(name)).unwrap());
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let built = fs::read_to_string(ui.join("sources.sha256")).unwrap();
    assert_eq!(built.trim(), digest, "run npm run build in host/ui");
}
