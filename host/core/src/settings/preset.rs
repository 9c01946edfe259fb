//! Preset: an operator's settings, which become a schema's defaults.

use serde_json::{Value, json};

/// Makes the values of `preset`, which is valid against `schema`, its defaults, at every depth.
/// Keys that are not in `preset` keep their defaults. An object is switched on by default if
/// `may_be_on` is true for its path.
pub(super) fn set_defaults<'p>(
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
        set_defaults(properties.entry(key).or_insert_with(|| json!({})), value, path, may_be_on);
        path.pop();
    }
    if may_be_on(path) {
        // The defaults of its own keys complete it.
        schema.insert("default".into(), json!({}));
    }
}
