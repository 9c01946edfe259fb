//! Targets `cursor`, `options` and `settings`: texts that clients send, which are cursors of pages,
//! options of FFmpeg and settings of streams.

use std::sync::LazyLock;

use ocellus_core::{ObjectType, SettingsSchema};
use ocellus_media::{check_format, parse_options};
use ocellus_store::Cursor;

pub(crate) fn cursor(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(cursor) = Cursor::from_token(text) {
        assert_eq!(cursor.to_token(), text);
    }
}

pub(crate) fn options(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let items: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Ok(options) = parse_options(&items) {
        // Parsed options parse again to the same.
        let again: Vec<String> = options.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(parse_options(&again).as_ref().ok(), Some(&options), "{again:?}");
    }
    let _ = check_format(text);
}

static SCHEMA: LazyLock<SettingsSchema> = LazyLock::new(|| {
    let types = ["face", "body", "car"].map(|name| name.parse::<ObjectType>().expect("a type's name"));
    let trackers = ["simple_iou".to_owned(), "deep_sort".to_owned()];
    SettingsSchema::new(&types, &trackers, &["quality".to_owned()]).expect("the schema is valid")
});

pub(crate) fn settings(bytes: &[u8]) {
    let Ok(sent) = serde_json::from_slice(bytes) else { return };
    let Ok(settings) = SCHEMA.complete(Some(&sent)) else { return };
    // Completing completed settings changes nothing, and a client may send back the settings it
    // reads.
    let shown = serde_json::to_value(&settings).expect("settings are JSON");
    assert_eq!(SCHEMA.complete(Some(&shown)).as_ref().ok(), Some(&settings), "{shown}");
    assert_eq!(SCHEMA.merge(&settings, &sent).as_ref().ok(), Some(&settings), "{sent}");
}
