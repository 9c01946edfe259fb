//! Rows of the exported formats.

use std::{collections::BTreeMap, fmt::Write};

use ocellus_core::{Error, ObjectRecord, ObjectType, Result, VideoRecord};
use serde_json::{Value, json};

use super::format::Format;
use crate::{
    base_url::BaseUrl,
    objects::{matching::Clustered, shape::ObjectJson},
    rounding::rounded,
};

/// Columns of the table: keys of an object as the list has it.
const COLUMNS: [&str; 17] = [
    "id",
    "type",
    "track_id",
    "bs_type",
    "first_time",
    "best_time",
    "last_time",
    "left",
    "top",
    "right",
    "bottom",
    "score",
    "quality",
    "detections",
    "cluster",
    "thumbnail",
    "fullframe",
];

/// Writes objects as one of the formats.
pub(super) struct Rows {
    format: Format,
    base: BaseUrl,
    /// Pixels; 0 before the first job.
    frame: (u32, u32),
    /// Images by frame: COCO has images and categories in separate lists, behind the annotations.
    images: BTreeMap<u64, Value>,
    categories: Vec<ObjectType>,
    annotations: u64,
    /// Track numbers in MOT, which has no object types: unique across them.
    tracks: BTreeMap<(ObjectType, u64), u64>,
}

impl Rows {
    pub(super) fn new(format: Format, video: &VideoRecord, base: BaseUrl) -> Self {
        Self {
            format,
            base,
            frame: (video.frame_width.unwrap_or(0), video.frame_height.unwrap_or(0)),
            images: BTreeMap::new(),
            categories: Vec::new(),
            annotations: 0,
            tracks: BTreeMap::new(),
        }
    }

    /// Text before the first object.
    pub(super) fn begin(&self) -> String {
        match self.format {
            Format::Csv => format!("{}\r\n", COLUMNS.join(",")),
            Format::Vtt => "WEBVTT\n".to_owned(),
            Format::Coco => "{\"annotations\": [".to_owned(),
            Format::Jsonl | Format::Mot => String::new(),
        }
    }

    pub(super) fn add(&mut self, item: Clustered, text: &mut String) -> Result<()> {
        match self.format {
            Format::Csv => self.csv(item, text),
            Format::Jsonl => {
                let json = serde_json::to_string(&ObjectJson::new(item, &self.base)).map_err(Error::internal)?;
                text.push_str(&json);
                text.push('\n');
                Ok(())
            }
            Format::Mot => self.mot(&item.0, text),
            Format::Coco => self.coco(item, text),
            Format::Vtt => vtt(&item.0, text),
        }
    }

    /// Text after the last object.
    pub(super) fn end(&mut self) -> Result<String> {
        if self.format != Format::Coco {
            return Ok(String::new());
        }
        let images: Vec<_> = self.images.values().collect();
        let category = |(id, name): (usize, &ObjectType)| json!({"id": id + 1, "name": name.as_str()});
        let categories: Vec<_> = self.categories.iter().enumerate().map(category).collect();
        let (images, categories) = (serde_json::to_string(&images), serde_json::to_string(&categories));
        Ok(format!(
            "], \"images\": {}, \"categories\": {}}}\n",
            images.map_err(Error::internal)?,
            categories.map_err(Error::internal)?
        ))
    }

    fn csv(&self, item: Clustered, text: &mut String) -> Result<()> {
        let object = serde_json::to_value(ObjectJson::new(item, &self.base)).map_err(Error::internal)?;
        let side = |at: usize| object.pointer(&format!("/bbox/{at}")).cloned().unwrap_or_default();
        for (n, column) in COLUMNS.iter().enumerate() {
            let value = match *column {
                "left" => side(0),
                "top" => side(1),
                "right" => side(2),
                "bottom" => side(3),
                key => object.get(key).cloned().unwrap_or_default(),
            };
            if n > 0 {
                text.push(',');
            }
            match value {
                Value::Null => {}
                Value::String(value) if value.contains([',', '"', '\r', '\n']) => {
                    let _ = write!(text, "\"{}\"", value.replace('"', "\"\""));
                }
                Value::String(value) => text.push_str(&value),
                value => text.push_str(&value.to_string()),
            }
        }
        text.push_str("\r\n");
        Ok(())
    }

    /// `frame, track, left, top, width, height, score, -1, -1, -1`, frames and tracks from 1
    /// (https://motchallenge.net/instructions/).
    fn mot(&mut self, object: &ObjectRecord, text: &mut String) -> Result<()> {
        let next = self.tracks.len() as u64 + 1;
        let track = *self.tracks.entry((object.id.object_type.clone(), object.id.track.0)).or_insert(next);
        let score = rounded(object.best.score);
        let mut row = |frame: u64, bbox: [i32; 4]| {
            let [left, top, width, height] = placed(bbox);
            let _ = writeln!(text, "{},{track},{left},{top},{width},{height},{score},-1,-1,-1", frame + 1);
        };
        if object.history.is_empty() {
            row(object.best.frame, object.best.bbox);
        } else {
            object.history.iter().for_each(|point| row(point.frame, point.bbox));
        }
        Ok(())
    }

    /// The best shot (https://cocodataset.org/#format-data). Keys that COCO does not define are
    /// extensions.
    fn coco(&mut self, (object, cluster): Clustered, text: &mut String) -> Result<()> {
        let known = self.categories.iter().position(|t| *t == object.id.object_type);
        let category = known.unwrap_or_else(|| {
            self.categories.push(object.id.object_type.clone());
            self.categories.len() - 1
        });
        let [left, top, width, height] = placed(object.best.bbox);
        let frame = object.best.frame;
        let url = self.base.picture(&format!("/objects/{}/fullframe/", object.id));
        let (frame_width, frame_height) = self.frame;
        self.images.entry(frame).or_insert_with(|| {
            json!({
                "id": frame, "width": frame_width, "height": frame_height, "file_name": format!("{frame}.jpg"),
                "coco_url": url, "time": rounded(object.best.time),
            })
        });
        let separator = if self.annotations == 0 { "" } else { ", " };
        self.annotations += 1;
        let annotation = json!({
            "id": self.annotations, "image_id": frame, "category_id": category + 1, "bbox": [left, top, width, height],
            "area": i64::from(width) * i64::from(height), "iscrowd": 0, "score": rounded(object.best.score),
            "track_id": object.id.track.0, "object": object.id.to_string(), "cluster": cluster.map(|c| c.to_string()),
        });
        let _ = write!(text, "{separator}\n{annotation}");
        Ok(())
    }
}

/// Left, top, width, height.
fn placed([left, top, right, bottom]: [i32; 4]) -> [i32; 4] {
    [left, top, right.saturating_sub(left), bottom.saturating_sub(top)]
}

fn vtt(object: &ObjectRecord, text: &mut String) -> Result<()> {
    let (from, to) = (object.first.time.max(0.0), object.last.time.max(object.first.time + 0.001));
    let quality = rounded(object.best.quality);
    let (id, object_type, track) = (&object.id, &object.id.object_type, object.id.track);
    let _ = writeln!(text, "\n{id}\n{} --> {}\n{object_type} {track}, quality {quality:.2}", clock(from), clock(to));
    Ok(())
}

/// `HH:MM:SS.mmm`
fn clock(seconds: f64) -> String {
    let ms = (seconds * 1000.0).round() as u64;
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_form_of_webvtt() {
        assert_eq!(clock(0.0), "00:00:00.000");
        assert_eq!(clock(3_725.06), "01:02:05.060");
        assert_eq!(clock(360_000.0), "100:00:00.000");
    }
}
