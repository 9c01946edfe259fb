//! Writable fields of a video: read from JSON, validated with the messages of the vendor's
//! framework, written to a record.
//!
//! Keys that are read-only or unknown are ignored, as by that framework; inside `stream_settings`
//! they are refused.

use ocellus_core::{Error, NetworkPolicy, Result, SettingsSchema, StreamSettings, VideoRecord, VideoStatus};
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;
use utoipa::ToSchema;

use crate::{ApiConfig, openapi, query::whole_number};

pub(crate) const MAX_NAME_CHARS: usize = 256;
/// Longer than any that clients use; each is in memory with its record.
const MAX_URL_CHARS: usize = 2048;

/// The fields of a new or a replaced video.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VideoArchiveWrite)]
pub(crate) struct NewVideo {
    camera_group: i64,
    #[schema(required, min_length = 1, max_length = 256)]
    name: Option<String>,
    /// Where the source is, instead of uploading it: http, https, rtsp or rtsps.
    #[schema(format = "uri", min_length = 1, max_length = 2048, pattern = "^(https?|rtsps?)://.+")]
    url: Option<String>,
    camera: Option<i64>,
    /// Where objects are posted: http or https. None where it is null or empty.
    #[schema(max_length = 2048, pattern = "^(https?://.+)?$")]
    router_url: Option<String>,
    #[schema(schema_with = openapi::settings, required = false)]
    stream_settings: Option<Value>,
    case: Option<i64>,
    /// Housekeeping does not remove the source.
    #[schema(value_type = bool, required = false)]
    keep: Option<bool>,
}

/// The fields of a video to change.
// `Some(None)` is a field that is sent as null.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = VideoArchivePatch)]
pub(crate) struct VideoPatch {
    #[schema(value_type = i64, required = false)]
    camera_group: Option<i64>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    name: Option<Option<String>>,
    #[schema(value_type = Option<String>, format = "uri", min_length = 1, max_length = 2048, pattern = "^(https?|rtsps?)://.+")]
    url: Option<Option<String>>,
    #[schema(value_type = Option<i64>)]
    camera: Option<Option<i64>>,
    #[schema(value_type = Option<String>, max_length = 2048, pattern = "^(https?://.+)?$")]
    router_url: Option<Option<String>>,
    /// Merged into the stored settings, key by key.
    #[schema(schema_with = openapi::settings, required = false)]
    stream_settings: Option<Value>,
    #[schema(value_type = Option<i64>)]
    case: Option<Option<i64>>,
    /// Housekeeping does not remove the source.
    #[schema(value_type = bool, required = false)]
    keep: Option<bool>,
}

impl VideoPatch {
    pub(crate) fn parse(sent: &Map<String, Value>, config: &ApiConfig, network: &NetworkPolicy) -> Result<Self> {
        let camera_group = match key(sent, "camera_group", &config.camera_groups)? {
            Some(None) => return Err(null("camera_group")),
            Some(Some(n)) => Some(n),
            None => None,
        };
        Ok(Self {
            camera_group,
            name: text(sent, "name", MAX_NAME_CHARS)?,
            url: url(sent, "url", &["http", "https", "rtsp", "rtsps"], network)?,
            camera: key(sent, "camera", &config.cameras)?,
            router_url: match sent.get("router_url") {
                Some(Value::String(text)) if text.is_empty() => Some(None),
                _ => url(sent, "router_url", &["http", "https"], network)?,
            },
            stream_settings: match sent.get("stream_settings") {
                Some(Value::Null) => return Err(null("stream_settings")),
                other => other.cloned(),
            },
            case: integer(sent, "case")?,
            keep: flag(sent, "keep")?,
        })
    }

    /// The body of PUT: as for a new video, but fields that are left out stay as they are, as in
    /// the vendor's framework. Settings that are sent are complete: keys that are left out take
    /// their defaults.
    pub(crate) fn parse_replacement(
        sent: &Map<String, Value>,
        config: &ApiConfig,
        network: &NetworkPolicy,
        schema: &SettingsSchema,
    ) -> Result<(Self, Option<StreamSettings>)> {
        if let Some(missing) = ["camera_group", "name"].into_iter().find(|name| !sent.contains_key(*name)) {
            return Err(required(missing));
        }
        let mut patch = Self::parse(sent, config, network)?;
        let settings = patch.stream_settings.take().map(|sent| schema.complete(Some(&sent))).transpose()?;
        Ok((patch, settings))
    }

    /// Changes a record. On an error the record may be half changed, and must not be stored.
    pub(crate) fn apply(self, video: &mut VideoRecord, schema: &SettingsSchema) -> Result<()> {
        if let Some(sent) = &self.stream_settings {
            video.stream_settings = schema.merge(&video.stream_settings, sent)?;
        }
        set(&mut video.camera_group, self.camera_group);
        set(&mut video.name, self.name);
        set(&mut video.url, self.url);
        set(&mut video.camera, self.camera);
        set(&mut video.router_url, self.router_url);
        set(&mut video.case, self.case);
        set(&mut video.keep, self.keep);
        clear_no_source(video);
        Ok(())
    }
}

impl NewVideo {
    /// Refuses a body without `camera_group` or `name`.
    pub(crate) fn parse(sent: &Map<String, Value>, config: &ApiConfig, network: &NetworkPolicy) -> Result<Self> {
        if !sent.contains_key("camera_group") {
            return Err(required("camera_group"));
        }
        let VideoPatch { camera_group, name, url, camera, router_url, stream_settings, case, keep } =
            VideoPatch::parse(sent, config, network)?;
        Ok(Self {
            camera_group: camera_group.ok_or_else(|| required("camera_group"))?,
            name: name.ok_or_else(|| required("name"))?,
            url: url.flatten(),
            camera: camera.flatten(),
            router_url: router_url.flatten(),
            stream_settings,
            case: case.flatten(),
            keep,
        })
    }

    /// The settings, with defaults for keys that were not sent.
    pub(crate) fn settings(&self, schema: &SettingsSchema) -> Result<StreamSettings> {
        schema.complete(self.stream_settings.as_ref())
    }

    /// Writes all fields to a new record.
    pub(crate) fn apply(self, settings: StreamSettings, video: &mut VideoRecord) {
        let Self { camera_group, name, url, camera, router_url, stream_settings: _, case, keep } = self;
        (video.camera_group, video.name, video.stream_settings) = (camera_group, name, settings);
        (video.url, video.camera, video.router_url, video.case) = (url, camera, router_url, case);
        set(&mut video.keep, keep);
        clear_no_source(video);
    }
}

fn required(name: &str) -> Error {
    Error::bad_param(name, "This field is required.")
}

fn set<T>(target: &mut T, sent: Option<T>) {
    if let Some(value) = sent {
        *target = value;
    }
}

/// Ends the status NO_SOURCE of a video that has a source now.
fn clear_no_source(video: &mut VideoRecord) {
    if video.status == VideoStatus::NoSource && video.has_source() {
        video.status = VideoStatus::Disabled;
    }
}

fn null(name: &str) -> Error {
    Error::bad_param(name, "This field may not be null.")
}

fn integer(sent: &Map<String, Value>, name: &str) -> Result<Option<Option<i64>>> {
    match sent.get(name) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(value) => {
            let number = whole_number(value).ok_or_else(|| Error::bad_param(name, "A valid integer is required."))?;
            Ok(Some(Some(number)))
        }
    }
}

fn flag(sent: &Map<String, Value>, name: &str) -> Result<Option<bool>> {
    match sent.get(name) {
        None => Ok(None),
        Some(Value::Null) => Err(null(name)),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(Error::bad_param(name, "Must be a valid boolean.")),
    }
}

/// An integer that has to be one of `known`.
fn key(sent: &Map<String, Value>, name: &str, known: &[i64]) -> Result<Option<Option<i64>>> {
    let value = integer(sent, name)?;
    match value {
        Some(Some(n)) if !known.contains(&n) => {
            let known = known.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none".to_owned() } else { known };
            let option = name.replace('_', "-");
            Err(Error::bad_param(
                name,
                format!("Invalid pk \"{n}\" - object does not exist. This server has {known} (--{option}s)."),
            ))
        }
        _ => Ok(value),
    }
}

/// A text, or null; `None` where it is not sent.
pub(crate) fn text(sent: &Map<String, Value>, name: &str, most: usize) -> Result<Option<Option<String>>> {
    let refuse = |why: &str| Err(Error::bad_param(name, why));
    match sent.get(name) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(Value::String(text)) if text.trim().is_empty() => refuse("This field may not be blank."),
        Some(Value::String(text)) if text.contains('\0') => refuse("Null characters are not allowed."),
        Some(Value::String(text)) if text.chars().count() > most => {
            refuse(&format!("Ensure this field has no more than {most} characters."))
        }
        Some(Value::String(text)) => Ok(Some(Some(text.clone()))),
        Some(_) => refuse("Not a valid string."),
    }
}

/// An absolute URL with a host. FFmpeg would also open files, pipes and lists of them: only
/// `schemes` get through, and no address that the server must not talk to. The addresses that a
/// name resolves to are checked when it is used.
fn url(
    sent: &Map<String, Value>,
    name: &str,
    schemes: &[&str],
    network: &NetworkPolicy,
) -> Result<Option<Option<String>>> {
    let value = text(sent, name, MAX_URL_CHARS)?;
    if let Some(Some(text)) = &value {
        // The parser repairs malformed URLs as browsers do, while FFmpeg gets the original text and
        // would read it differently.
        let malformed = text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') || text.contains(":///");
        let parsed = Url::parse(text).ok().filter(|url| schemes.contains(&url.scheme()) && url.port() != Some(0));
        match parsed.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default().unwrap_or(0)))) {
            Some((host, port)) if !host.is_empty() && text.contains("://") && !malformed => {
                network.check_literal(host, port).map_err(|refused| Error::bad_param(name, refused.to_string()))?;
            }
            _ => return Err(Error::bad_param(name, format!("Enter a valid URL ({}).", schemes.join(", ")))),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(sent: &Value) -> Result<NewVideo> {
        NewVideo::parse(sent.as_object().unwrap(), &ApiConfig::default(), &NetworkPolicy::default())
    }

    fn refused(mut extra: Value) -> (String, String) {
        let mut sent = json!({"camera_group": 1, "name": "a"});
        sent.as_object_mut().unwrap().append(extra.as_object_mut().unwrap());
        let error = parse(&sent).unwrap_err();
        (error.param().unwrap().into(), error.public().into())
    }

    #[test]
    fn the_two_required_fields_are_enough() {
        let video =
            parse(&json!({"camera_group": 1, "name": null, "id": 7, "finished": true, "whatever": []})).unwrap();
        assert_eq!((video.camera_group, video.name, video.url), (1, None, None));
        assert_eq!(parse(&json!({"name": "a"})).unwrap_err().param(), Some("camera_group"));
        let error = parse(&json!({"camera_group": 1})).unwrap_err();
        assert_eq!((error.param(), error.public()), (Some("name"), "This field is required."));
    }

    #[test]
    fn refusals_are_worded_as_the_vendors() {
        let cases = [
            (
                json!({"camera_group": 99}),
                "camera_group",
                "Invalid pk \"99\" - object does not exist. This server has -1, 1 (--camera-groups).",
            ),
            (json!({"camera_group": null}), "camera_group", "This field may not be null."),
            (json!({"camera_group": "one"}), "camera_group", "A valid integer is required."),
            (json!({"camera_group": 1.5}), "camera_group", "A valid integer is required."),
            (json!({"camera_group": true}), "camera_group", "A valid integer is required."),
            (json!({"camera_group": "1.5"}), "camera_group", "A valid integer is required."),
            (json!({"camera_group": 1e300}), "camera_group", "A valid integer is required."),
            (
                json!({"camera": 3}),
                "camera",
                "Invalid pk \"3\" - object does not exist. This server has none (--cameras).",
            ),
            (json!({"name": ""}), "name", "This field may not be blank."),
            (json!({"name": 7}), "name", "Not a valid string."),
            (json!({"name": "a\u{0}b"}), "name", "Null characters are not allowed."),
            (json!({"name": "é".repeat(257)}), "name", "Ensure this field has no more than 256 characters."),
            (json!({"case": u64::MAX}), "case", "A valid integer is required."),
            (json!({"keep": "yes"}), "keep", "Must be a valid boolean."),
            (json!({"keep": null}), "keep", "This field may not be null."),
            (json!({"stream_settings": null}), "stream_settings", "This field may not be null."),
        ];
        for (sent, param, desc) in cases {
            assert_eq!(refused(sent), (param.to_owned(), desc.to_owned()));
        }
        assert!(parse(&json!({"camera_group": 1, "name": "é".repeat(256)})).is_ok());
    }

    #[test]
    fn numbers_are_coerced_as_by_the_vendors_framework() {
        for one in [json!(1), json!(1.0), json!("1"), json!(" 1 "), json!("1.0")] {
            assert_eq!(parse(&json!({"camera_group": one, "name": "a"})).unwrap().camera_group, 1, "{one}");
        }
    }

    #[test]
    fn an_empty_router_is_none() {
        for none in [json!(""), json!(null)] {
            let video = parse(&json!({"camera_group": 1, "name": "a", "router_url": none})).unwrap();
            assert_eq!(video.router_url, None);
        }
        assert_eq!(refused(json!({"router_url": " "})).0, "router_url");
    }

    #[test]
    fn only_network_urls_get_through() {
        for bad in [
            "A",
            "",
            "file:///etc/passwd",
            "/etc/passwd",
            "concat:a|b",
            "pipe:0",
            "http://",
            "http:///x",
            "http://a b/",
            "subfile,,start,0,end,9,,:http://a/",
            "HTTP//a",
            "http:a",
            "http:\\\\a",
            "http://a/\n",
            "http://a:0/",
            "http://a:99999/",
            "data:video/mp4;base64,AA",
            "udp://@:1234",
        ] {
            assert_eq!(refused(json!({"url": bad})).0, "url", "{bad:?}");
        }
        for good in ["http://a/b.mp4", "https://u:p@a:8443/b?c=d", "rtsp://10.0.0.1/stream", "rtsps://127.0.0.1:322/"] {
            let video = parse(&json!({"camera_group": 1, "name": "a", "url": good})).unwrap();
            assert_eq!(video.url.as_deref(), Some(good));
        }
        assert_eq!(
            refused(json!({"router_url": "rtsp://a/"})),
            ("router_url".into(), "Enter a valid URL (http, https).".into())
        );
    }

    #[test]
    fn addresses_that_the_server_must_not_talk_to_are_refused() {
        for (field, bad) in [
            ("url", "http://169.254.169.254/latest/"),
            ("url", "http://0xa9fea9fe/"),
            ("url", "rtsp://169.254.1.1/stream"),
            ("url", "https://[::ffff:169.254.169.254]/"),
            ("url", "rtsp://[fe80::1]:554/"),
            ("router_url", "http://0.0.0.0/"),
            ("router_url", "http://224.0.0.1:80/"),
        ] {
            let (param, desc) = refused(json!({field: bad}));
            assert_eq!(param, field, "{bad}");
            assert!(desc.ends_with("is not allowed by the server's configuration."), "{desc}");
        }
    }

    fn anything() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            Just(json!([])),
            Just(json!({}))
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_a_video_or_a_refusal_that_names_a_field(
            fields in prop::collection::btree_map(prop::sample::select(vec!["camera_group", "name", "url", "camera", "router_url", "case", "id"]), anything(), 0..7)
        ) {
            let sent: Map<String, Value> = fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
            if let Err(error) = NewVideo::parse(&sent, &ApiConfig::default(), &NetworkPolicy::default()) {
                prop_assert!(error.param().is_some());
            }
        }
    }
}
