//! `cargo xtask test`: all checks and tests; CI runs this command and no other.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    build, examples, package, page, plugins, setup,
    shell::{self, cargo, root, say},
    torture,
};

type Step = (&'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("set up", setup::ensure),
    ("formatting", formatting),
    ("plugins", plugins::build),
    ("plugins in other languages", examples::build),
    ("programs", build::programs),
    ("lints", lints),
    ("the page", page::check),
    ("tests of plugins and SDK", plugin_tests),
    ("tests", tests),
    ("package", package::test),
    ("torture", torture::test),
];

/// Workspaces beside the main one.
const GUEST_WORKSPACES: &[&str] = &["sdk", "plugins", "tests/guests"];

pub(crate) fn run() -> Result<()> {
    let mut took: Vec<(&str, Duration)> = Vec::new();
    let mut failed = Vec::new();
    for (name, step) in STEPS {
        say("Running", name);
        let begun = Instant::now();
        if let Err(error) = step() {
            eprintln!("\nerror: {name}: {error:#}\n");
            failed.push(*name);
        }
        took.push((name, begun.elapsed()));
        // Later steps need what these steps build.
        if !failed.is_empty() && matches!(*name, "set up" | "plugins" | "plugins in other languages" | "programs") {
            break;
        }
    }
    eprintln!("\n{:<28} {:>9}", "step", "seconds");
    for (name, time) in &took {
        eprintln!("{name:<28} {:>9.1}{}", time.as_secs_f64(), if failed.contains(name) { "  failed" } else { "" });
    }
    eprintln!("{:<28} {:>9.1}", "all", took.iter().map(|(_, t)| t.as_secs_f64()).sum::<f64>());
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

fn in_each(mut command: impl FnMut() -> Command, workspaces: &[&str]) -> Result<()> {
    workspaces.iter().try_for_each(|w| shell::run(command().current_dir(root().join(w))))
}

fn formatting() -> Result<()> {
    let check = || {
        let mut command = cargo();
        command.args(["fmt", "--all", "--check"]);
        command
    };
    in_each(check, &[&[""], GUEST_WORKSPACES].concat())?;
    comments()
}

/// Columns of a comment line at most; stable rustfmt does not wrap comments.
const COMMENT_WIDTH: usize = 100;

/// Fails if a comment is wider than [`COMMENT_WIDTH`], tables and code in comments aside.
fn comments() -> Result<()> {
    let mut wide = Vec::new();
    for folder in ["host", "sdk", "plugins", "wit", "tests", "examples"] {
        for path in sources(&root().join(folder))? {
            let text = fs::read_to_string(&path)?;
            let mut in_code = false;
            for (number, line) in text.lines().enumerate() {
                let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
                let comment = comment.trim_start_matches(['/', '!']).trim_start();
                in_code ^= comment.starts_with("```");
                if !in_code && !comment.starts_with('|') && line.chars().count() > COMMENT_WIDTH {
                    wide.push(format!("{}:{}", path.display(), number + 1));
                }
            }
        }
    }
    if wide.is_empty() {
        return Ok(());
    }
    bail!("comments wider than {COMMENT_WIDTH} columns: {}", wide.join(", "));
}

/// The Rust and WIT files in a folder, without those of build output and packages.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if name != "target" && name != "node_modules" {
                files.extend(sources(&path)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "wit") {
            files.push(path);
        }
    }
    Ok(files)
}

fn lints() -> Result<()> {
    shell::run(cargo().args(["clippy", "--release", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    in_each(
        || {
            let mut command = cargo();
            command.args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]);
            command
        },
        &["sdk", "plugins"],
    )
}

fn plugin_tests() -> Result<()> {
    in_each(
        || {
            let mut command = cargo();
            command.args(["test", "--workspace"]);
            command
        },
        &["sdk", "plugins"],
    )
}

fn tests() -> Result<()> {
    shell::run(cargo().args(["test", "--release", "--workspace", "--no-fail-fast"]))
}
