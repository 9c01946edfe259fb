//! Calls of a tracker, a filter or a router over a recording, with their answers as lines of JSON.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use ocellus_core::{Detection, TrackId};
use ocellus_runtime::{
    Body, Candidate, Content, Fault, Filter, Moment, Object, Outcome, Part, Picture, PluginError, Plugins, Post,
    PostPictures, Stage, Tracker, Verdict,
};
use serde_json::{Value, json};

use super::{recording::Recording, sample_picture::SamplePicture};

/// Result of one run.
pub(super) struct Answers {
    pub(super) text: String,
    pub(super) costs: Vec<Duration>,
    pub(super) memory_bytes: usize,
}

/// Updates the tracker with each frame.
pub(super) fn track(plugins: &Plugins, name: &str, settings: &Value, recording: &Recording) -> Result<Answers> {
    let mut tracker: Tracker = plugins.tracker(name, settings, &recording.stream())?;
    let (mut text, mut costs) = (String::new(), Vec::new());
    for (frame, detections) in recording.frames() {
        let begun = Instant::now();
        let update = tracker.update(&frame, detections)?;
        costs.push(begun.elapsed());
        writeln!(text, "{}", json!({"frame": frame.index, "ids": update.ids, "closed": update.closed}))?;
    }
    writeln!(text, "{}", json!({"finish": tracker.finish()?}))?;
    Ok(Answers { text, costs, memory_bytes: tracker.meters().memory_bytes })
}

/// Calls each stage that the filter asks for. Each detection stands for a track of its own.
pub(super) fn filter(plugins: &Plugins, name: &str, settings: &Value, recording: &Recording) -> Result<Answers> {
    let mut filter: Filter = plugins.filter(name, settings, &recording.stream())?;
    let (mut text, mut costs) = (String::new(), Vec::new());
    for (frame, detections) in recording.frames().filter(|(_, detections)| !detections.is_empty()) {
        let mut ask = |stage: &str, wanted: Stage, filter: &mut Filter| -> Result<()> {
            if !filter.wants(wanted) {
                return Ok(());
            }
            let candidate =
                |(n, detection): (u64, &Detection)| Candidate { track: TrackId(n), detection: detection.clone() };
            let candidates: Vec<_> = (1..).zip(detections).map(candidate).collect();
            let moment =
                |detection: &Detection| Moment { frame: frame.index, time: frame.time, detection: detection.clone() };
            let object = |(n, detection)| {
                let (first, last, best) = (moment(detection), moment(detection), moment(detection));
                Object { track: TrackId(n), first, last, best, detections: 1, end_of_track: true }
            };
            let objects: Vec<_> = (1..).zip(detections).map(object).collect();
            let begun = Instant::now();
            let verdicts = match wanted {
                Stage::Detections => filter.detections(&frame, detections)?,
                Stage::Shots => filter.shots(&frame, &candidates)?,
                Stage::Objects => filter.objects(&objects)?,
            };
            costs.push(begun.elapsed());
            let verdicts: Vec<Value> = verdicts.into_iter().map(shown).collect();
            Ok(writeln!(text, "{}", json!({"frame": frame.index, "stage": stage, "verdicts": verdicts}))?)
        };
        ask("detections", Stage::Detections, &mut filter)?;
        ask("shots", Stage::Shots, &mut filter)?;
        ask("objects", Stage::Objects, &mut filter)?;
    }
    Ok(Answers { text, costs, memory_bytes: filter.meters().memory_bytes })
}

fn shown(verdict: Verdict) -> Value {
    match verdict {
        Verdict::Keep => json!("keep"),
        Verdict::Reject(rejection) => json!({"reject": rejection.rule, "value": rejection.value}),
        Verdict::Annotate(notes) => json!({"annotate": notes}),
    }
}

/// Encodes each detection as an object of a track of its own, then judges responses of several
/// statuses.
pub(super) fn route(plugins: &Plugins, name: &str, settings: &Value, recording: &Recording) -> Result<Answers> {
    let mut router = plugins.router(name, settings)?;
    let pictures = [SamplePicture::info(recording.size)];
    let files: Arc<dyn PostPictures> = Arc::new(SamplePicture::new()?);
    let (mut text, mut costs) = (String::new(), Vec::new());
    let mut number = 0;
    for (frame, detections) in recording.frames() {
        for detection in detections {
            number += 1;
            let object = recording.object(number, &frame, detection);
            let url = "http://receiver.example/frame";
            let post = Post { object: &object, url, camera: None, camera_group: Some(1), pictures: &pictures };
            let begun = Instant::now();
            let request = router.encode(&post, Some(Arc::clone(&files)));
            costs.push(begun.elapsed());
            let said = match request {
                Ok(request) => {
                    json!({"method": request.method, "url": request.url, "headers": request.headers, "body": body(request.body)})
                }
                Err(PluginError::Fault { fault: Fault::Reported(reason), .. }) => json!({"refused": reason}),
                Err(error) => return Err(error.into()),
            };
            writeln!(text, "{}", json!({"encode": object.id.to_string(), "request": said}))?;
        }
    }
    for (status, headers) in [(200, None), (400, None), (404, None), (429, Some("7")), (500, None), (503, Some("2"))] {
        let headers: Vec<_> =
            headers.map(|seconds| ("retry-after".to_owned(), seconds.to_owned())).into_iter().collect();
        let begun = Instant::now();
        let outcome = router.judge(status, &headers, b"")?;
        costs.push(begun.elapsed());
        let outcome = match outcome {
            Outcome::Accepted => json!("accepted"),
            Outcome::Retry { after_ms } => json!({"retry_after_ms": after_ms}),
            Outcome::Refused { reason } => json!({"refused": reason}),
        };
        writeln!(text, "{}", json!({"judge": status, "headers": headers, "outcome": outcome}))?;
    }
    Ok(Answers { text, costs, memory_bytes: router.meters().memory_bytes })
}

/// Its name in `router.wit`.
fn picture_name(picture: Picture) -> &'static str {
    match picture {
        Picture::Photo => "photo",
        Picture::Normalized => "normalized",
        Picture::FirstFrame => "first-frame",
        Picture::LastFrame => "last-frame",
    }
}

fn body(body: Body) -> Value {
    let bytes = |bytes: Vec<u8>| {
        String::from_utf8(bytes).map_or_else(|e| json!({"bytes": e.into_bytes().len()}), |text| json!({"text": text}))
    };
    let part = |part: Part| {
        let content = match part.content {
            Content::Text(text) => json!({"text": text}),
            Content::Bytes(content) => bytes(content),
            Content::Picture(picture) => json!({"picture": picture_name(picture)}),
        };
        json!({"name": part.name, "filename": part.filename, "content_type": part.content_type, "content": content})
    };
    match body {
        Body::Bytes(content) => bytes(content),
        Body::Multipart(parts) => parts.into_iter().map(part).collect(),
    }
}
