//! Covers: the router `json`: documents whose pictures need no token; verification of its posts and
//! of forms by the libraries of Standard Webhooks, in the programs of `examples/webhooks`, where
//! `tests/clients/setup.sh` has installed the libraries.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use axum::http::{HeaderMap, StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use crate::{
    clients::tools,
    media,
    routers::Queue,
    server::{Options, Server, small, with},
};

const SECRET: &[u8] = b"24 bytes are the fewest!";

fn secret() -> String {
    format!("whsec_{}", STANDARD.encode(SECRET))
}

fn start(dir: &Path) -> Server {
    Options::new(&dir.join("data")).argument("--router-signing-secret", &secret()).start()
}

/// Processes a street with these settings; returns the posts.
async fn posts(server: &Server, dir: &Path, settings: Value) -> Vec<(HeaderMap, Vec<u8>)> {
    let queue = Queue::start(200).await;
    let settings = with(json!({"detectors": {"face": null, "body": null, "car": small()}}), settings);
    let fields = json!({"stream_settings": settings, "router_url": queue.url});
    let id = server.process_file(fields, &media::short_street(dir, 60)).await;
    server.delivered(id).await;
    let posts = queue.posts.lock().unwrap();
    assert!(!posts.is_empty());
    posts.iter().map(|(headers, body)| (headers.clone(), body.to_vec())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_has_urls_of_its_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    for (headers, body) in posts(&server, dir.path(), json!({"router": "json"})).await {
        let header = |name: &str| headers[name].to_str().unwrap();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET).unwrap();
        mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
        mac.update(&body);
        assert_eq!(header("webhook-signature"), format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
        let document: Value = serde_json::from_slice(&body).unwrap();
        let data = &document["data"];
        assert_eq!((&document["type"], &data["object_type"]), (&json!("object.overall"), &json!("car")));
        assert_eq!(data["id"], header("idempotency-key"));
        for picture in ["photo", "normalized"] {
            let response = reqwest::get(data["pictures"][picture]["url"].as_str().unwrap()).await.unwrap();
            assert_eq!(
                (response.status(), &response.headers()["content-type"]),
                (StatusCode::OK, &"image/jpeg".parse().unwrap())
            );
            let size = imagesize(&response.bytes().await.unwrap());
            let said = &data["pictures"][picture];
            assert_eq!(size, (said["width"].as_u64().unwrap(), said["height"].as_u64().unwrap()), "{said}");
        }
    }
}

/// Width and height of a JPEG, from its frame header (ITU-T T.81, B.2.2).
fn imagesize(jpeg: &[u8]) -> (u64, u64) {
    let mut rest = &jpeg[2..];
    loop {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if matches!(rest[1], 0xc0..=0xc2) {
            let number = |at: usize| u64::from(u16::from_be_bytes([rest[at], rest[at + 1]]));
            return (number(7), number(5));
        }
        rest = &rest[2 + length..];
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn libraries_of_standard_webhooks_verify_posts() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    let form = posts(&server, dir.path(), json!({})).await;
    let document = posts(&server, dir.path(), json!({"router": "json"})).await;
    // Node.js searches for libraries from the program's folder upwards.
    let programs = dir.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/webhooks");
    for program in ["verify.py", "verify.mjs"] {
        fs::copy(examples.join(program), programs.join(program)).unwrap();
    }
    std::os::unix::fs::symlink(tools.join("node_modules"), programs.join("node_modules")).unwrap();
    let verify = |interpreter: PathBuf, program: &str, secret: &str, body: &[u8], headers: &HeaderMap| {
        let headers = headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())));
        fs::write(dir.path().join("headers"), Value::Object(headers.collect()).to_string()).unwrap();
        fs::write(dir.path().join("body"), body).unwrap();
        let mut command = Command::new(interpreter);
        command.arg(programs.join(program)).arg(secret).args(["headers", "body"].map(|name| dir.path().join(name)));
        let output = command.output().unwrap();
        let [said, error] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        output.status.success().then_some(said).ok_or(error)
    };
    let other = format!("whsec_{}", STANDARD.encode(b"24 other bytes, as well."));
    for (interpreter, program) in [(tools.join("venv/bin/python"), "verify.py"), ("node".into(), "verify.mjs")] {
        for (posts, expected) in [
            (&form, "photo normalized cam_id timestamp bbox detectorParams bs_type labels"),
            (&document, "object.overall"),
        ] {
            for (headers, body) in posts {
                let said = verify(interpreter.clone(), program, &secret(), body, headers);
                assert_eq!(said.as_deref().map(str::trim), Ok(expected), "{program}");
            }
            let (headers, body) = &posts[0];
            let error = verify(interpreter.clone(), program, &other, body, headers).unwrap_err();
            assert!(error.contains("WebhookVerificationError"), "{program}: {error}");
            let mut changed = body.clone();
            let middle = changed.len() / 2;
            changed[middle] ^= 1;
            assert!(verify(interpreter.clone(), program, &secret(), &changed, headers).is_err(), "{program}");
        }
    }
}
