//! `http`: a router that posts each object as one multipart request, as the FindFace video worker
//! does.
//!
//! The parts: `photo` and `normalized` (and `first_frame`, `last_frame` where configured) as files;
//! `cam_id`, `timestamp`, `bbox`, `detectorParams`, `bs_type` and `labels` as fields. 2xx is
//! delivered; 408, 425, 429 and 5xx are retried.

mod params;

use ocellus_plugin::{
    BestShotType, Body, Header, Manifest, Part, Picture, PictureInfo, Post, Request, Router, rfc3339_millis,
};
use serde::Deserialize;
use serde_json::json;

/// The settings of `MANIFEST.settings_schema`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Sent as `Authorization: Token <token>`; empty sends no such header.
    pub token: String,
}

/// A session.
#[derive(Debug)]
pub struct Http(Settings);

impl Router for Http {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "http",
        version: env!("CARGO_PKG_VERSION"),
        description: "Posts objects as multipart requests, as the FindFace video worker does.",
        settings_schema: r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "token": {"type": "string", "pattern": "^[!-~]*$", "maxLength": 1024, "default": "",
                    "description": "Sent as \"Authorization: Token <token>\"; empty sends no such header."}
            }
        }"#,
        ..Manifest::DEFAULT
    };

    fn open(settings: Settings) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn encode(&self, post: Post) -> Result<Request, String> {
        let mut headers = vec![Header { name: "idempotency-key".into(), value: post.id.clone() }];
        if !self.0.token.is_empty() {
            headers.push(Header { name: "authorization".into(), value: format!("Token {}", self.0.token) });
        }
        let mut parts: Vec<Part> = post.pictures.iter().map(file).collect();
        let bs_type = match post.best_shot_type {
            BestShotType::Overall => "overall",
            BestShotType::Realtime => "realtime",
        };
        let origin = params::origin(&post);
        parts.extend([
            Part::text("cam_id", post.job.clone()),
            Part::text("timestamp", rfc3339_millis(post.best.timestamp)),
            Part::text("bbox", json!([params::bbox(post.best.bbox, origin)]).to_string()),
            Part::text("detectorParams", params::detector_params(&post).to_string()),
            Part::text("bs_type", bs_type),
            Part::text("labels", json!({"object_type": post.object_type, "video_id": post.video}).to_string()),
        ]);
        Ok(Request { method: "POST".into(), url: None, headers, body: Body::Multipart(parts) })
    }
}

/// Name of a picture's part, which is also its file name without the extension.
fn part_name(picture: Picture) -> &'static str {
    match picture {
        Picture::Photo => "photo",
        Picture::Normalized => "normalized",
        Picture::FirstFrame => "first_frame",
        Picture::LastFrame => "last_frame",
    }
}

fn file(info: &PictureInfo) -> Part {
    let extension = if info.content_type == "image/png" { "png" } else { "jpg" };
    // The file name of `photo` in the video worker's requests.
    let stem = if info.picture == Picture::Photo { "full_frame" } else { part_name(info.picture) };
    Part::picture(part_name(info.picture), format!("{stem}.{extension}"), info.picture)
}

ocellus_plugin::register!(Http: Router);

#[cfg(test)]
mod tests {
    use ocellus_plugin::{Bbox, Content, Outcome, PostMoment, Size, TrackPoint};
    use serde_json::Value;

    use super::*;

    fn moment(frame: u64, timestamp: i64) -> PostMoment {
        let bbox = Bbox { left: 620, top: 380, right: 1383, bottom: 1143 };
        PostMoment { frame, time: frame as f64 / 25.0, timestamp, bbox, score: 0.9, quality: 0.799_950_4 }
    }

    fn post(region: Bbox) -> Post {
        let size = Size { width: 1920, height: 1080 };
        Post {
            id: "7-1-car-44-0".into(),
            url: "http://127.0.0.1/v0/frame".into(),
            video: 7,
            job: "7-1".into(),
            camera: None,
            camera_group: Some(1),
            object_type: "car".into(),
            best_shot_type: BestShotType::Overall,
            end_of_track: true,
            track: "7-1-car-44".into(),
            first: moment(0, 1_625_125_934_822_000),
            last: moment(105, 1_625_125_939_022_188),
            best: moment(50, 1_625_125_936_822_000),
            landmarks: None,
            detections: 100,
            interpolated: 0,
            history: vec![],
            attributes: vec![],
            pictures: vec![
                PictureInfo { picture: Picture::Photo, content_type: "image/jpeg".into(), size, region },
                PictureInfo {
                    picture: Picture::Normalized,
                    content_type: "image/png".into(),
                    size,
                    region: moment(0, 0).bbox,
                },
            ],
        }
    }

    const WHOLE: Bbox = Bbox { left: 0, top: 0, right: 1920, bottom: 1080 };

    fn parts(request: Request) -> Vec<(String, Option<String>, String)> {
        let Body::Multipart(parts) = request.body else { panic!("not multipart") };
        let text = |content| match content {
            Content::Text(text) => text,
            Content::Picture(picture) => format!("{picture:?}"),
            Content::Bytes(_) => panic!("bytes"),
        };
        parts.into_iter().map(|p| (p.name, p.filename, text(p.content))).collect()
    }

    #[test]
    fn an_object_has_the_parts_of_the_video_worker() {
        let mut parts = parts(Http(Settings::default()).encode(post(WHOLE)).unwrap());
        let params: Value = serde_json::from_str(&parts.remove(5).2).unwrap();
        let expected = [
            ("photo", Some("full_frame.jpg"), "Picture::Photo"),
            ("normalized", Some("normalized.png"), "Picture::Normalized"),
            ("cam_id", None, "7-1"),
            ("timestamp", None, "2021-07-01T07:52:16.822Z"),
            ("bbox", None, "[[620,380,1383,1143]]"),
            ("bs_type", None, "overall"),
            ("labels", None, r#"{"object_type":"car","video_id":7}"#),
        ];
        assert_eq!(
            parts,
            expected.map(|(name, file, text)| (name.to_owned(), file.map(str::to_owned), text.to_owned()))
        );
        assert_eq!(params["quality"], 0.79995);
        assert_eq!(params["track_objects"], json!(["car"]));
        assert_eq!(params["track_duration_seconds"], 4.2);
        assert_eq!(params["track"]["id"], "7-1-car-44");
        assert_eq!(params["track"]["last_timestamp"], "2021-07-01T07:52:19.022Z");
        assert_eq!(params["track"]["car"]["best"]["full_frame"], "multipart:photo");
        assert_eq!(params["track"]["car"]["first"]["bbox"], json!([620, 380, 1383, 1143]));
        assert_eq!(params["track"]["car"].get("history"), None);
    }

    #[test]
    fn boxes_are_in_pixels_of_the_photo() {
        let parts = parts(Http(Settings::default()).encode(post(Bbox { left: 600, top: 300, ..WHOLE })).unwrap());
        assert_eq!(parts[4].2, "[[20,80,783,843]]");
    }

    #[test]
    fn the_token_is_sent_if_set() {
        let names = |token: &str| -> Vec<String> {
            let request = Http(Settings { token: token.into() }).encode(post(WHOLE)).unwrap();
            request.headers.into_iter().map(|h| format!("{}: {}", h.name, h.value)).collect()
        };
        assert_eq!(names(""), ["idempotency-key: 7-1-car-44-0"]);
        assert_eq!(names("abc"), ["idempotency-key: 7-1-car-44-0", "authorization: Token abc"]);
    }

    #[test]
    fn the_history_is_sent_if_present() {
        let point = |timestamp, interpolated| TrackPoint {
            frame: 0,
            time: 0.0,
            timestamp,
            bbox: moment(0, 0).bbox,
            interpolated,
        };
        let with_history = Post { history: vec![point(0, false), point(40_000, true)], ..post(WHOLE) };
        let params = params::detector_params(&with_history);
        assert_eq!(
            params["track"]["car"]["history"][1],
            json!({"timestamp": "1970-01-01T00:00:00.040Z", "bbox": [620, 380, 1383, 1143], "interpolated": true})
        );
        assert_eq!(params["track"]["car"]["history"][0].get("interpolated"), None);
    }

    #[test]
    fn responses_are_interpreted_by_their_status() {
        let judge = |status, headers: &[(&str, &str)]| {
            let header = |(name, value): &(&str, &str)| Header { name: (*name).into(), value: (*value).into() };
            Http(Settings::default()).judge(status, headers.iter().map(header).collect(), vec![])
        };
        assert_eq!(judge(202, &[]), Outcome::Accepted);
        assert_eq!(judge(503, &[]), Outcome::Retry(None));
        assert_eq!(judge(429, &[("retry-after", "7")]), Outcome::Retry(Some(7000)));
        assert!(matches!(judge(415, &[]), Outcome::Refused(reason) if reason.contains("415")));
        assert!(matches!(judge(301, &[]), Outcome::Refused(_)));
    }
}
