//! Covers: compiling plugins. A component that exceeds the limit of time or memory is refused with
//! a message that names the limit, and other requests are served meanwhile; a server that compiles
//! stops at once; the second start uses the cache of compiled code, and a damaged cache is compiled
//! again.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    media,
    server::{Options, Server, until},
};

/// The component `quality` with an additional, unused core module that compiles very slowly:
/// functions of many loops over many variables.
fn slow_to_compile(functions: u64) -> Vec<u8> {
    let variables = 64;
    let mut body = Vec::new();
    body.push(1);
    number(&mut body, variables);
    body.push(0x7f);
    for statement in 0..20_000 {
        let variable = |n: u64| ((statement * 7 + n * 13) % variables) as u8;
        // loop; local.get; local.get; i32.add; local.tee; br_if 0; end
        body.extend([3, 0x40, 0x20, variable(0), 0x20, variable(1), 0x6a, 0x22, variable(2), 0x0d, 0, 0x0b]);
    }
    body.push(0x0b);

    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(&mut module, 1, &[1, 0x60, 0, 0]);
    let mut types = Vec::new();
    number(&mut types, functions);
    types.extend((0..functions).map(|_| 0));
    section(&mut module, 3, &types);
    let mut code = Vec::new();
    number(&mut code, functions);
    for _ in 0..functions {
        number(&mut code, body.len() as u64);
        code.extend(&body);
    }
    section(&mut module, 10, &code);

    let mut component =
        fs::read(media::assets().join("plugins/quality.wasm")).expect("plugins are missing: run cargo xtask build");
    section(&mut component, 1, &module);
    component
}

fn section(to: &mut Vec<u8>, id: u8, content: &[u8]) {
    to.push(id);
    number(to, content.len() as u64);
    to.extend(content);
}

/// LEB128.
fn number(to: &mut Vec<u8>, mut n: u64) {
    while n > 0x7f {
        to.push(n as u8 | 0x80);
        n >>= 7;
    }
    to.push(n as u8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_compiles_too_long_is_refused_while_requests_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Options::new(&data).argument("--plugin-compile-seconds", "3").start();
    let component = slow_to_compile(100);
    let begun = Instant::now();
    let refused = server.install("quality", component.clone());
    tokio::pin!(refused);
    let mut answered = 0;
    let (status, answer) = loop {
        tokio::select! {
            refused = &mut refused => break refused,
            _ = server.get("/videos/") => answered += 1,
        }
    };
    println!("refused after {:?}, {answered} lists meanwhile", begun.elapsed());
    assert_eq!((status, &answer["param"]), (StatusCode::BAD_REQUEST, &json!("body")), "{answer}");
    let answer = answer["desc"].as_str().unwrap();
    assert_eq!(answer, "The component takes longer to compile than the 3 s that this server gives it.");
    assert!(answered > 10 && begun.elapsed() < Duration::from_secs(60), "{answered} in {:?}", begun.elapsed());
    assert_eq!(server.get("/plugins/quality/").await["origin"], "shipped", "the plugin is not replaced");

    // The same component in the folder of installed plugins.
    fs::write(data.join("plugins/slow.wasm"), &component).unwrap();
    let refused =
        async || server.get("/plugins/").await.to_string().contains("refused: takes longer to compile than the 3 s");
    until("the component is refused", refused).await;
    assert_eq!(server.get("/plugins/quality/").await["state"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_compiles_with_too_much_memory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Options::new(dir.path()).argument("--plugin-compile-memory-bytes", "600000000").start();
    let (status, answer) = server.install("quality", slow_to_compile(200)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let answer = answer["desc"].as_str().unwrap();
    assert_eq!(
        answer,
        "The component takes more memory to compile than the 600000000 bytes that this server gives it."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_compiles_stops_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Options::new(dir.path()).argument("--plugin-compile-seconds", "600").start();
    let put = server.request(Method::PUT, "/plugins/quality/").body(slow_to_compile(200));
    let answer = tokio::spawn(put.send());
    let compiled = dir.path().join("compiled-plugins");
    let compiling = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("compiling-");
    until("the compiler runs", async || fs::read_dir(&compiled).unwrap().any(|entry| compiling(entry.unwrap().path())))
        .await;
    let begun = Instant::now();
    assert!(server.terminate().success());
    println!("stopped after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// Path and inode of each file of compiled code: a file that was written again has another inode.
fn compiled_code(data: &Path) -> BTreeMap<PathBuf, u64> {
    let code = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "code");
    let paths = fs::read_dir(data.join("compiled-plugins")).unwrap().map(|entry| entry.unwrap().path()).filter(code);
    paths.map(|path| (path.clone(), fs::metadata(path).unwrap().ino())).collect()
}

async fn assert_all_ready(server: &Server) {
    let plugins = server.get("/plugins/").await;
    let plugins = plugins["results"].as_array().unwrap();
    assert!(plugins.len() > 5 && plugins.iter().all(|p| p["state"] == "ready"), "{plugins:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_start_compiles_nothing_and_damaged_code_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    assert_all_ready(&server).await;
    assert!(server.terminate().success());
    let first = compiled_code(dir.path());

    let server = Server::start(dir.path());
    assert_all_ready(&server).await;
    assert!(server.terminate().success());
    assert_eq!(compiled_code(dir.path()), first);

    // Their inodes would not tell: the file system may give that of a removed file to the next one.
    let mut damaged = BTreeMap::new();
    for (number, path) in first.keys().enumerate() {
        let mut bytes = fs::read(path).unwrap();
        let at = bytes.len() * number / first.len();
        bytes[at] ^= 1;
        fs::write(path, &bytes).unwrap();
        damaged.insert(path, bytes);
    }
    let server = Server::start(dir.path());
    assert_all_ready(&server).await;
    assert!(server.terminate().success());
    assert!(compiled_code(dir.path()).keys().eq(first.keys()));
    for (path, bytes) in damaged {
        assert!(fs::read(path).unwrap() != bytes, "{path:?} is still damaged");
    }
}
