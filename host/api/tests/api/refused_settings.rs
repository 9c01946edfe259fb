//! Covers: every wrong value of every key of `stream_settings` is a 400 that names its path, with
//! POST, PUT and PATCH alike, and nothing is stored. The keys and their allowed values are read
//! from the server's own document, so that a new key is covered from its first day.

use serde_json::{Value, json};

use crate::server::Server;

/// Values that a property's schema does not allow.
fn wrong(name: &str, schema: &Value) -> Vec<Value> {
    let kind = schema["type"].as_str().unwrap_or_default();
    let mut values = vec![json!({}), json!(null), json!([[]])];
    match kind {
        "boolean" => values.extend([json!(0), json!(1), json!("true"), json!([])]),
        "integer" | "number" => {
            values.extend([json!("1"), json!(true), json!([])]);
            values.extend(schema.get("minimum").map(|m| json!(m.as_f64().unwrap() - 1.0)));
            values.extend(schema.get("maximum").map(|m| json!(m.as_f64().unwrap() + 1.0)));
            values.extend(schema.get("not").map(|not| not["const"].clone()));
            if kind == "integer" {
                values.push(json!(schema["minimum"].as_f64().unwrap() + 0.5));
            }
        }
        "string" => {
            values.extend([json!(1), json!(true), json!([])]);
            values.extend(schema.get("maxLength").map(|most| json!("a".repeat(most.as_u64().unwrap() as usize + 1))));
            values.extend(schema.get("pattern").map(|_| json!("a b")));
            if schema.get("format").is_some() {
                values.extend(
                    ["left", "10x10", "10x10+1", "0x10+0+0", "10x-1+0+0", "10x10+0+0 ", "1e1x1+0+0"].map(Value::from),
                );
            }
        }
        "array" => {
            values.extend([
                json!("rtsp_transport=tcp"),
                json!([1]),
                json!([""]),
                json!(["no equals sign"]),
                json!([null]),
            ]);
            values.push(json!(vec!["a=b"; schema["maxItems"].as_u64().unwrap() as usize + 1]));
        }
        _ => {}
    }
    if schema.get("enum").is_some() {
        values.extend([json!("no such name"), json!(1)]);
    }
    // Rules that a schema cannot express.
    match name {
        "ffmpeg_format" => values.extend(["no_such_format", "concat", "lavfi"].map(Value::from)),
        "ffmpeg_params" => {
            values.extend([json!(["protocol_whitelist=file"]), json!(["no_such_option=1"]), json!(["headers=X: y"])]);
        }
        "stream_data_filter" => values.push(json!("no_such_filter")),
        "enable_liveness" => values.push(json!(true)),
        _ => {}
    }
    assert!(values.len() > 5 || kind.is_empty(), "{name}: {values:?}");
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_value_of_every_key_is_named_and_nothing_is_stored() {
    let server = Server::start().await;
    let document = server.get("/openapi.json").await.expect(200).json();
    let general = document["components"]["schemas"]["StreamSettings"]["properties"].as_object().unwrap();
    let detectors = general["detectors"]["properties"].as_object().unwrap();

    let mut cases: Vec<(String, Value)> = Vec::new();
    for (key, schema) in general.iter().filter(|(key, _)| !["detectors", "plugins"].contains(&key.as_str())) {
        cases.extend(wrong(key, schema).into_iter().map(|value| (key.clone(), value)));
    }
    for (detector, schema) in detectors {
        let properties = schema["properties"].as_object().unwrap();
        assert!(properties.len() >= 24, "{detector}: {}", properties.len());
        for (key, schema) in properties {
            cases.extend(wrong(key, schema).into_iter().map(|value| (format!("detectors.{detector}.{key}"), value)));
        }
        cases.extend([json!(1), json!("on"), json!([])].map(|value| (format!("detectors.{detector}"), value)));
        cases.push((format!("detectors.{detector}.no_such_key"), json!(1)));
    }
    cases.extend(
        [
            ("no_such_key", json!(1)),
            ("detectors", json!(null)),
            ("plugins", json!([])),
            ("plugins", json!(null)),
            ("plugins.no_such_plugin", json!({})),
            ("detectors", json!([])),
            ("detectors.no_such_type", json!({})),
        ]
        .map(|(path, value)| (path.to_owned(), value)),
    );
    assert!(cases.len() > 500, "{}", cases.len());

    let id = server.add("kept").await;
    let before = server.video(id).await;
    for (path, value) in &cases {
        let settings = path.rsplit('.').fold(value.clone(), |inner, key| json!({key: inner}));
        let body = json!({"camera_group": 1, "name": "refused", "stream_settings": settings});
        let patch = json!({"stream_settings": body["stream_settings"]});
        let target = format!("/videos/{id}/");
        for answer in [
            server.post("/videos/", body.clone()).await,
            server.put(&target, body).await,
            server.patch(&target, patch).await,
        ] {
            let refused = answer.expect(400).json();
            let param = refused["param"].as_str().unwrap_or_else(|| panic!("{path} = {value}: {refused}"));
            let expected = format!("stream_settings.{path}");
            let of_an_item =
                param.strip_prefix(&expected).is_some_and(|rest| rest.starts_with('.') && value.is_array());
            assert!(param == expected || of_an_item, "{path} = {value}: {refused}");
            let desc = refused["desc"].as_str().unwrap();
            assert!(!desc.is_empty() && desc.len() < 700, "{path} = {value}: {desc}");
        }
    }
    assert_eq!(server.count().await, 1);
    assert_eq!(server.video(id).await, before);
}
