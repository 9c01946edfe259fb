use clap::Parser;
use ocellus_runtime::OnFault;

use super::*;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    serve: ServeArguments,
}

fn resolve(data: &Path, arguments: &[&str]) -> Result<Config> {
    let data = data.to_str().unwrap();
    Program::parse_from(["ocellus", "--data", data].iter().chain(arguments)).serve.resolve()
}

#[test]
fn an_argument_beats_the_file_and_the_file_beats_the_default() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(
        data.path().join("ocellus.toml"),
        "jobs = 3\nlisten = \"127.0.0.1:9000\"\ncameras = [5]\ndevice = \"cpu\"\ndecoding = \"vaapi\"\n",
    )
    .unwrap();
    let config = resolve(data.path(), &["--jobs", "2"]).unwrap();
    assert_eq!(config.jobs, 2);
    assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
    assert_eq!((config.decoding.to_string(), Decoding::default()), ("vaapi".into(), Decoding::Software));
    assert_eq!(config.api.cameras, [5]);
    assert_eq!(config.api.camera_groups, [-1, 1]);
}

#[test]
fn limits_of_connections_are_read_from_arguments_and_the_file() {
    let data = tempfile::tempdir().unwrap();
    assert_eq!(resolve(data.path(), &[]).unwrap().connections, ConnectionLimits::default());
    std::fs::write(
        data.path().join("ocellus.toml"),
        "max_connections = 0\nidle_timeout_ms = 5000\nsend_timeout_ms = 10\n",
    )
    .unwrap();
    let limits =
        resolve(data.path(), &["--first-request-timeout-ms", "2000", "--send-timeout-ms", "700"]).unwrap().connections;
    let expected = ConnectionLimits {
        connections: 2,
        first_request: Duration::from_secs(2),
        idle: Duration::from_secs(5),
        send: Duration::from_millis(700),
    };
    assert_eq!(limits, expected);
}

#[test]
fn networks_are_read_from_arguments_and_the_file() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("ocellus.toml"), "allow_network = [\"fd00::/8\", \"10.0.0.1\"]\n").unwrap();
    let networks = |config: Config| config.allow_network.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(networks(resolve(data.path(), &[]).unwrap()), ["fd00::/8", "10.0.0.1/32"]);
    let given = ["--allow-network", "10.0.0.0/8,127.0.0.1", "--allow-network", "::1"];
    assert_eq!(networks(resolve(data.path(), &given).unwrap()), ["10.0.0.0/8", "127.0.0.1/32", "::1/128"]);
    std::fs::write(data.path().join("ocellus.toml"), "allow_network = [\"10.0.0.0/40\"]\n").unwrap();
    let error = format!("{:#}", resolve(data.path(), &[]).unwrap_err());
    assert!(error.contains("10.0.0.0/40"), "{error}");
}

#[test]
fn a_wrong_signing_secret_in_the_file_is_named() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("ocellus.toml"), "router_signing_secret = \"whsec_c2hvcnQ=\"\n").unwrap();
    let error = format!("{:#}", resolve(data.path(), &[]).unwrap_err());
    assert!(error.contains("router_signing_secret") && error.contains("5 bytes"), "{error}");
    std::fs::write(
        data.path().join("ocellus.toml"),
        "router_signing_secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n",
    )
    .unwrap();
    assert!(resolve(data.path(), &[]).unwrap().outbox.signing_secret.is_some());
}

#[test]
fn a_router_token_that_no_header_can_hold_is_refused_with_its_option() {
    let data = tempfile::tempdir().unwrap();
    let given = |token: &str| Program::try_parse_from(["ocellus", "--data", "x", "--router-token", token]);
    for bad in ["", " ", "a\r\nb", "a\0"] {
        let error = given(bad).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("--router-token"), "{bad:?}: {error:?}");
        let file = toml::to_string(&std::collections::BTreeMap::from([("router_token", bad)])).unwrap();
        std::fs::write(data.path().join("ocellus.toml"), file).unwrap();
        let error = format!("{:#}", resolve(data.path(), &[]).unwrap_err());
        assert!(error.contains("router_token"), "{bad:?}: {error}");
    }
    std::fs::write(data.path().join("ocellus.toml"), "router_token = \"open sesame\"\n").unwrap();
    let token = resolve(data.path(), &[]).unwrap().outbox.token.unwrap();
    assert!(!format!("{token:?}").contains("sesame"), "{token:?}");
}

#[test]
fn policies_for_plugins_are_read_for_all_and_for_one() {
    let data = tempfile::tempdir().unwrap();
    let limits = resolve(data.path(), &["--on-plugin-fault", "skip,deep_sort=restart", "--plugin-strikes", "5"])
        .unwrap()
        .plugin_limits;
    assert_eq!((limits.faults.on_fault, limits.faults.by_name["deep_sort"]), (OnFault::Skip, OnFault::Restart));
    assert_eq!((limits.faults.max_faults, limits.deadline), (5, Limits::default().deadline));
    std::fs::write(data.path().join("ocellus.toml"), "on_plugin_fault = \"panic\"\n").unwrap();
    let error = format!("{:#}", resolve(data.path(), &[]).unwrap_err());
    assert!(error.contains("panic") && error.contains("fail, skip or restart"), "{error}");
}

#[test]
fn an_unknown_key_in_the_file_is_named() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("ocellus.toml"), "job = 3\n").unwrap();
    let error = format!("{:#}", resolve(data.path(), &[]).unwrap_err());
    assert!(error.contains("`job`") && error.contains("ocellus.toml"), "{error}");
}
