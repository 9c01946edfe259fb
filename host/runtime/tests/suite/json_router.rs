//! Covers: the router `json` as a component: a document with URLs of its pictures, with inline
//! pictures, or without; posts whose pictures are not available.

use std::{sync::Arc, time::Duration};

use ocellus_runtime::{Body, Fault, Picture, PictureInfo, PluginError, PostPictures, Request};
use serde_json::{Value, json};

use crate::{
    common::{SIZE, shipped},
    http_router::{object, post},
};

/// Two pictures, of which the first may have a URL.
struct Pictures {
    has_urls: bool,
}

impl PostPictures for Pictures {
    fn count(&self) -> usize {
        2
    }

    fn file(&self, index: usize) -> Option<&[u8]> {
        [b"\xff\xd8photo".as_slice(), b"\xff\xd8last"].get(index).copied()
    }

    fn url(&self, index: usize, valid: Duration) -> Option<String> {
        (self.has_urls && index == 0).then(|| format!("https://server.example/{index}?for={}", valid.as_secs()))
    }
}

fn encode(settings: &Value, pictures: Option<Pictures>) -> Result<Request, PluginError> {
    let infos = [Picture::Photo, Picture::LastFrame].map(|picture| PictureInfo {
        picture,
        content_type: "image/jpeg".into(),
        size: SIZE,
        region: [0, 0, 640, 480],
    });
    let pictures = pictures.map(|pictures| Arc::new(pictures) as Arc<dyn PostPictures>);
    shipped().router("json", settings).unwrap().encode(&post(&object(), &infos), pictures)
}

fn document(request: Request) -> Value {
    assert!(request.headers.contains(&("content-type".into(), "application/json".into())), "{:?}", request.headers);
    let Body::Bytes(bytes) = request.body else { panic!("a form") };
    serde_json::from_slice(&bytes).unwrap()
}

fn reported(error: &PluginError) -> &str {
    match error.fault() {
        Some(Fault::Reported(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn pictures_are_urls_or_files_or_left_out() {
    let served = |settings: Value| document(encode(&settings, Some(Pictures { has_urls: true })).unwrap());
    let by_default = served(json!({}));
    let pictures = &by_default["data"]["pictures"];
    assert_eq!(by_default["type"], "object.overall");
    assert_eq!(pictures["photo"]["url"], "https://server.example/0?for=86400");
    assert_eq!((pictures["last_frame"].get("url"), &pictures["last_frame"]["width"]), (None, &json!(SIZE.width)));
    let for_a_minute = served(json!({"url_seconds": 60}));
    assert_eq!(for_a_minute["data"]["pictures"]["photo"]["url"], "https://server.example/0?for=60");

    let inline = document(encode(&json!({"pictures": "base64"}), Some(Pictures { has_urls: false })).unwrap());
    let pictures = &inline["data"]["pictures"];
    assert_eq!(
        (&pictures["photo"]["base64"], &pictures["last_frame"]["base64"]),
        (&json!("/9hwaG90bw=="), &json!("/9hsYXN0"))
    );

    let without = document(encode(&json!({"pictures": "none"}), None).unwrap());
    assert_eq!(without["data"]["pictures"]["photo"].as_object().unwrap().len(), 4);
}

#[test]
fn a_post_without_its_pictures_is_not_sent() {
    let error = encode(&json!({}), Some(Pictures { has_urls: false })).unwrap_err();
    assert!(reported(&error).contains("--public-url"), "{error}");
    for settings in [json!({}), json!({"pictures": "base64"})] {
        let error = encode(&settings, None).unwrap_err();
        assert!(reported(&error).contains("7-1-face-44-0"), "{error}");
    }
    let wrong = shipped().router("json", &json!({"url_seconds": 0})).err().unwrap();
    assert!(matches!(wrong, PluginError::Settings { ref path, .. } if path == "url_seconds"), "{wrong}");
}
