//! Covers: TLS by the server itself, a renewed certificate, commands that trust it as it is or by
//! an authority, a proxy's path in links, redirects and the OpenAPI document, `--listen` by name.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Certificate, Client, Method, redirect::Policy};
use serde_json::{Value, json};

use crate::server::{Options, Server, run, until};

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
}

/// Writes a new certificate for `localhost` and its key; returns a client that trusts it alone.
fn renew(folder: &Path) -> Client {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write(folder, &made.cert, &made.signing_key);
    let root = Certificate::from_der(made.cert.der()).unwrap();
    // A new connection for each request: open ones keep their certificate.
    let client = Client::builder().tls_built_in_root_certs(false).add_root_certificate(root).pool_max_idle_per_host(0);
    client.build().unwrap()
}

/// Writes a certificate and its key.
fn write(folder: &Path, certificate: &rcgen::Certificate, key: &KeyPair) {
    fs::write(folder.join("key.pem"), pem("PRIVATE KEY", &key.serialize_der())).unwrap();
    fs::write(folder.join("cert.pem"), pem("CERTIFICATE", certificate.der())).unwrap();
}

fn encrypted(data: &Path, files: &Path) -> Server {
    let path = |name| files.join(name).to_str().unwrap().to_owned();
    Options::new(data).argument("--tls-cert", &path("cert.pem")).argument("--tls-key", &path("key.pem")).start()
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = renew(files.path());
    let server = encrypted(data.path(), files.path());
    assert!(server.base().starts_with("https://"), "{}", server.base());
    let base = server.base().replace("127.0.0.1", "localhost");
    let body = json!({"camera_group": 1, "name": "a"}).to_string();
    let created = server.request_by(&first, Method::POST, &format!("{base}/videos/")).body(body).send().await.unwrap();
    let video: serde_json::Value = created.json().await.unwrap();
    assert_eq!(video["screenshot"], format!("{base}/videos/1/screenshot/"));

    let old = files.path().join("old.pem");
    fs::copy(files.path().join("cert.pem"), &old).unwrap();
    let second = renew(files.path());
    let health = format!("{base}/health/");
    until("the new certificate is served", async || second.get(&health).send().await.is_ok()).await;
    assert!(first.get(&health).send().await.is_err());
    let (folder, certificate) = (data.path().to_str().unwrap(), files.path().join("cert.pem"));
    let jobs = ["jobs", "--server", &base, "--data", folder];
    let (status, _, error) = run(&jobs);
    assert!(!status.success() && error.contains("certificate"), "{error}");
    let (status, listed, error) = run(&[&jobs[..], &["--ca-cert", certificate.to_str().unwrap()]].concat());
    assert!(status.success() && listed.contains("STATUS"), "{error}");
    let (status, _, error) = run(&[&jobs[..], &["--ca-cert", old.to_str().unwrap()]].concat());
    assert!(!status.success() && error.contains("certificate"), "{error}");
    // An invalid file leaves the old certificate in use.
    fs::write(files.path().join("cert.pem"), "nothing").unwrap();
    assert_eq!(second.get(&health).send().await.unwrap().status(), 200);
}

/// Lists the jobs of a server with this certificate file; the error, if there is one.
fn jobs(server: &Server, data: &Path, trusted: &Path) -> Option<String> {
    let [data, trusted] = [data, trusted].map(|path| path.to_str().unwrap());
    let (status, _, error) = run(&["jobs", "--server", server.base(), "--data", data, "--ca-cert", trusted]);
    (!status.success()).then_some(error)
}

#[tokio::test]
async fn a_given_certificate_is_trusted_as_it_is_until_it_expires() {
    let key = KeyPair::generate().unwrap();
    // As `openssl req -x509 -subj /CN=archive` makes it: an authority, for no name.
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut expired = authority.clone();
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    for (params, expected) in [(authority, None), (expired, Some("certificate expired"))] {
        let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(files.path(), &params.self_signed(&key).unwrap(), &key);
        let server = encrypted(data.path(), files.path());
        let error = jobs(&server, data.path(), &files.path().join("cert.pem"));
        assert_eq!(error.is_some(), expected.is_some(), "{error:?}");
        assert!(error.is_none_or(|error| error.contains(expected.unwrap())), "{expected:?}");
    }
}

#[tokio::test]
async fn a_given_authority_is_trusted_for_the_names_that_it_signed() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).unwrap();
    let trusted = files.path().join("authority.pem");
    fs::write(&trusted, pem("CERTIFICATE", certificate.der())).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    for (name, is_trusted) in [("127.0.0.1", true), ("other.example", false)] {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        write(files.path(), &params.signed_by(&key, &issuer).unwrap(), &key);
        let server = encrypted(data.path(), files.path());
        let error = jobs(&server, data.path(), &trusted);
        assert_eq!(error.is_none(), is_trusted, "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused_at_the_start() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    renew(files.path());
    let certificate = fs::read(files.path().join("cert.pem")).unwrap();
    renew(files.path());
    fs::write(files.path().join("cert.pem"), certificate).unwrap();
    let path = |name| files.path().join(name).to_str().unwrap().to_owned();
    let data = data.path().to_str().unwrap();
    let (status, _, error) =
        run(&["serve", "--data", data, "--tls-cert", &path("cert.pem"), "--tls-key", &path("key.pem")]);
    assert!(!status.success() && error.contains("cert.pem") && error.contains("key.pem"), "{error}");
    let (status, _, error) = run(&["serve", "--data", data, "--tls-cert", &path("cert.pem")]);
    assert!(!status.success() && error.contains("--tls-key"), "{error}");
}

#[tokio::test]
async fn the_path_of_a_proxy_is_in_links_and_redirects_and_is_removed_from_requests() {
    let data = tempfile::tempdir().unwrap();
    let server = Options::new(data.path()).argument("--public-url", "https://b.example/sub/").start();
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    for _ in 0..2 {
        server.create(json!({})).await;
    }
    // Proxies keep the path, or strip the prefix.
    for prefix in ["/sub", ""] {
        let path = format!("{prefix}/videos?limit=1");
        let moved = server.request_by(&client, Method::GET, &path).send().await.unwrap();
        assert_eq!(
            (moved.status().as_u16(), moved.headers()["location"].to_str().unwrap()),
            (308, "https://b.example/sub/videos/?limit=1"),
            "{path}"
        );
        let page = server.get(&format!("{prefix}/videos/?limit=1")).await;
        let next = page["next_page"].as_str().unwrap();
        assert!(next.starts_with("https://b.example/sub/videos/?"), "{next}");
        assert_eq!(page["results"][0]["screenshot"], "https://b.example/sub/videos/1/screenshot/");
        server.get(next.strip_prefix("https://b.example").unwrap()).await;
    }
    let document: Value = server.get("/sub/openapi.json").await;
    assert_eq!(document["servers"][0]["url"], "/sub");
}

#[tokio::test]
async fn the_server_listens_on_a_host_name() {
    let data = tempfile::tempdir().unwrap();
    let server = Options::new(data.path()).argument("--listen", "localhost:0").start();
    assert!(server.base().starts_with("http://127.0.0.1:") || server.base().starts_with("http://[::1]:"));
    server.get("/videos/").await;
}
