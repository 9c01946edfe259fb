//! Preset: settings by an operator that become a schema's defaults.

use serde_json::{Value, json};

/// Makes the values of `preset`, which is valid against `schema`, its defaults, at every depth.
/// What `preset` does not have keeps its default. What is off by default comes on with an object
/// where `may_be_on` says so of its path.
pub(super) fn lay_under<'p>(
    schema: &mut Value,
    preset: &'p Value,
    path: &mut Vec<&'p str>,
    may_be_on: &impl Fn(&[&str]) -> bool,
) {
    let Some(schema) = schema.as_object_mut() else { return };
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    let (Some(properties), Some(values)) = (properties, preset.as_object()) else {
        schema.insert("default".into(), preset.clone());
        return;
    };
    for (key, value) in values {
        path.push(key);
        lay_under(properties.entry(key).or_insert_with(|| json!({})), value, path, may_be_on);
        path.pop();
    }
    if may_be_on(path) {
        // Completed by the defaults of its own keys.
        schema.insert("default".into(), json!({}));
    }
}
