//! Covers: clients generated from the OpenAPI document, each of which does the whole flow, from the
//! creation of a video to its deletion; and schemathesis: requests that the document allows are
//! accepted, and others refused. Runs where `tests/clients/setup.sh` has put the tools; `cargo
//! xtask clients` runs all of it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::{media, server::Server};

/// The folder of the tools, if they are installed.
#[expect(clippy::print_stderr, reason = "a test that does not run says so")]
pub(crate) fn tools() -> Option<PathBuf> {
    let tools = media::target().join("clients");
    let installed = tools.join("venv").exists();
    assert!(installed || !must_run(), "{} is missing; tests/clients/setup.sh makes it", tools.display());
    if !installed {
        eprintln!("not run: {} is missing; tests/clients/setup.sh makes it", tools.display());
    }
    installed.then_some(tools)
}

/// Whether a missing tool is a failure, as in `cargo xtask clients`.
pub(crate) fn must_run() -> bool {
    std::env::var_os("OCELLUS_CLIENTS").is_some()
}

/// Runs a script with the tools and a server; returns its output.
async fn run(script: &str, tools: PathBuf, server: &Server, more: Vec<PathBuf>) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script);
    let (base, token) = (server.base().to_owned(), server.token().to_owned());
    let run = move || Command::new(script).arg(tools).args([base, token]).args(more).output().unwrap();
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(run).await.unwrap();
    let [out, err] = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(status.success(), "{out}{err}");
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_clients_do_the_whole_flow() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let recording = media::short_street(dir.path(), 60);
    let said = run("run.sh", tools, &server, vec![recording, dir.path().join("clients")]).await;
    for client in ["openapi-python-client", "openapi-generator", "openapi-typescript", "typescript-fetch"] {
        assert!(said.contains(&format!("{client}: the whole flow")), "{said}");
    }
    for client in ["go", "java"] {
        let generated_only = !must_run() && said.contains(&format!("{client}: generated only"));
        assert!(generated_only || said.contains(&format!("{client}: the whole flow")), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_accepted_as_the_document_says() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    run("check.sh", tools, &server, vec!["10".into(), "7".into()]).await;
}
