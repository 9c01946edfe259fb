//! Covers: every answer that any test of this suite gets, against the schema that the OpenAPI
//! document has for it, which names all of its keys.

use std::{collections::HashMap, sync::LazyLock};

use jsonschema::Validator;
use ocellus_api::openapi_document;
use ocellus_core::SettingsSchema;
use serde_json::{Value, json};

/// Validators of JSON bodies by method, path of the document and status; `None` for an answer that
/// is documented without a JSON body.
type Answers = HashMap<(String, String, String), Option<Validator>>;

static ANSWERS: LazyLock<Answers> = LazyLock::new(|| {
    let mut document = openapi_document(&SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap()).unwrap();
    // A server has settings for each type that its own detectors find.
    let detectors = document.pointer_mut("/components/schemas/StreamSettings/properties/detectors").unwrap();
    detectors["additionalProperties"] = json!(true);
    close(&mut document["components"]["schemas"]);
    let mut answers = Answers::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                let mut schema = response["content"]["application/json"]["schema"].clone();
                close(&mut schema);
                let validator = schema.is_object().then(|| {
                    let whole = json!({"allOf": [schema], "components": document["components"]});
                    jsonschema::validator_for(&whole).unwrap()
                });
                answers.insert((method.to_uppercase(), path.clone(), status.clone()), validator);
            }
        }
    }
    answers
});

/// Refuses keys that a schema does not name: openapi-generator's clients in Go refuse them, too.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("properties").is_some_and(Value::is_object) {
                map.entry("additionalProperties").or_insert(json!(false));
            }
            map.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// The path of the document that this one is an instance of: the one with the fewest parameters.
fn template(path: &str) -> Option<&'static str> {
    let fits = |template: &&str| {
        let (a, b) = (template.split('/'), path.split('/'));
        a.clone().count() == b.clone().count() && a.zip(b).all(|(t, p)| t == p || t.starts_with('{'))
    };
    ANSWERS.keys().map(|(_, path, _)| path.as_str()).filter(fits).min_by_key(|path| path.matches('{').count())
}

/// Fails where an answer is not as the document has it. Refusals that any path may give (a wrong
/// method, a missing slash) are not in it.
#[track_caller]
pub(crate) fn check(method: &str, path: &str, status: u16, media_type: &str, body: &[u8]) {
    // HEAD and OPTIONS are of every path, and have no body.
    let Some(template) = template(path).filter(|_| !matches!(method, "HEAD" | "OPTIONS")) else { return };
    let Some(answer) = ANSWERS.get(&(method.to_owned(), template.to_owned(), status.to_string())) else {
        assert!(status >= 300, "{method} {template} answers {status}, which the document does not say");
        return;
    };
    if let Some(validator) = answer
        && media_type == "application/json"
    {
        let body: Value = serde_json::from_slice(body).unwrap();
        if let Some(error) = validator.iter_errors(&body).next() {
            panic!("{method} {template} {status}: {}: {error}", error.instance_path());
        }
    }
}

#[test]
fn a_path_without_parameters_takes_precedence() {
    assert_eq!(template("/videos/count/"), Some("/videos/count/"));
    assert_eq!(template("/videos/7/"), Some("/videos/{id}/"));
    assert_eq!(template("/nowhere/"), None);
}

#[test]
#[should_panic(expected = "GET /videos/count/ 200")]
fn an_answer_of_another_shape_is_noticed() {
    check("GET", "/videos/count/", 200, "application/json", br#"{"count": "three"}"#);
}
