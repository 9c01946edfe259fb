//! Covers: clients that generators make of the OpenAPI document. Each does the whole flow, from the
//! creation of a video to its deletion. Runs where `tests/clients/setup.sh` has put the generators.

use std::{path::Path, process::Command};

use crate::{media, server::Server};

#[tokio::test(flavor = "multi_thread")]
async fn generated_clients_do_the_whole_flow() {
    let tools = media::target().join("clients");
    if !tools.join("venv").exists() {
        eprintln!("not run: {} is missing; tests/clients/setup.sh makes it", tools.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let recording = media::short_street(dir.path(), 60);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/run.sh");
    let (base, token, clients) = (server.base().to_owned(), server.token().to_owned(), dir.path().join("clients"));
    let run = move || Command::new(script).arg(tools).args([base, token]).arg(recording).arg(clients).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}{}", said[0], said[1]);
    for client in ["openapi-python-client", "openapi-generator", "openapi-typescript", "typescript-fetch"] {
        assert!(said[0].contains(&format!("{client}: the whole flow")), "{}", said[0]);
    }
}
