//! Covers: the OpenAPI document against its golden file, every reference in it, its enumerations,
//! and what every route declares.
//!
//! `OCELLUS_BLESS=1` rewrites the golden file.

use std::{collections::BTreeMap, fs, path::Path};

use ocellus_api::openapi_document;
use ocellus_core::SettingsSchema;
use serde_json::Value;

fn document() -> Value {
    openapi_document(&SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap()).unwrap()
}

#[test]
fn the_document_is_the_golden_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openapi.json");
    let made = format!("{:#}\n", document());
    if std::env::var_os("OCELLUS_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let first = golden.lines().zip(made.lines()).find(|(a, b)| a != b);
    assert!(
        golden == made,
        "the API's document changed; if that is meant, bless it (OCELLUS_BLESS=1). First difference: {first:?}"
    );
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get("$ref") {
                found.push(target);
            }
            map.values().for_each(|v| references(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

#[test]
fn references_resolve() {
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
}

#[test]
fn every_route_says_who_may_use_it_and_what_it_refuses() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let operations = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let methods = item
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| ["get", "put", "post", "patch", "delete"].contains(&key.as_str()));
        methods.map(move |(method, operation)| (path, method, operation))
    });
    let mut count = 0;
    for (path, method, operation) in operations {
        count += 1;
        let open = ["/health/", "/openapi.json"].contains(&path.as_str());
        let responses = operation["responses"].as_object().unwrap();
        assert_eq!(responses.contains_key("401"), !open, "{method} {path}");
        let makes = method == "put" && path.starts_with("/plugins/{name}/");
        assert_eq!(responses.contains_key("404"), path.contains('{') && !makes, "{method} {path}");
        assert_eq!(
            responses.contains_key("400"),
            operation.get("requestBody").is_some() || path_takes_queries(operation),
            "{method} {path}"
        );
        assert!(operation["summary"].is_string(), "{method} {path}");
    }
    assert_eq!(count, 78);
}

#[test]
fn no_value_is_in_two_enumerations() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let values = schemas.iter().filter_map(|(name, schema)| Some((name, schema.get("enum")?.as_array()?)));
    // Clients in Go have one constant for each value of an enumeration that has a name.
    let mut owners = BTreeMap::new();
    for (name, value) in values.flat_map(|(name, values)| values.iter().map(move |value| (name, value.to_string()))) {
        assert_eq!(owners.insert(value.clone(), name), None, "{value} of {name}");
    }
    assert!(owners.len() > 10);
}

fn path_takes_queries(operation: &Value) -> bool {
    operation["parameters"].as_array().is_some_and(|all| all.iter().any(|p| p["in"] == "query"))
}
