//! `roi`: a filter that drops shots whose centre lies outside of a rectangle. They still extend
//! their tracks.

use ocellus_plugin::{Candidate, Filter, FrameInfo, Manifest, Rect, Stages, StreamInfo, Verdict};
use serde::Deserialize;

/// The settings of `MANIFEST.settings_schema`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// `WxH+X+Y` in pixels; empty is the whole frame.
    pub roi: String,
}

/// A session.
#[derive(Debug)]
pub struct Roi(Option<Rect>);

/// Parses `WxH+X+Y`; the schema has checked the format, but a number may still be too large.
fn parse(text: &str) -> Result<Rect, String> {
    let parsed = (|| {
        let (size, position) = text.split_once('+')?;
        let (width, height) = size.split_once('x')?;
        let (x, y) = position.split_once('+')?;
        let (width, height) = (width.parse::<u32>().ok()? as f32, height.parse::<u32>().ok()? as f32);
        let (x, y) = (x.parse::<i32>().ok()? as f32, y.parse::<i32>().ok()? as f32);
        (width > 0.0 && height > 0.0).then_some(Rect { left: x, top: y, right: x + width, bottom: y + height })
    })();
    parsed.ok_or_else(|| format!("{text:?} is no rectangle: expected WxH+X+Y in pixels"))
}

/// The left and top edges are inclusive, the right and bottom ones exclusive.
fn judge(roi: &Rect, rect: &Rect) -> Verdict {
    let at = rect.center();
    let inside = at.x >= roi.left && at.x < roi.right && at.y >= roi.top && at.y < roi.bottom;
    Verdict::reject_if(!inside, "roi", || format!("centre at {:.1},{:.1}", at.x, at.y))
}

impl Filter for Roi {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "roi",
        version: env!("CARGO_PKG_VERSION"),
        description: "Drops shots whose centre lies outside of a rectangle.",
        settings_schema: r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "roi": {"type": "string", "pattern": "^([0-9]+x[0-9]+\\+-?[0-9]+\\+-?[0-9]+)?$", "default": "",
                    "description": "WxH+X+Y in pixels of the frame; empty is the whole frame."}
            }
        }"#,
        ..Manifest::DEFAULT
    };
    const STAGES: Stages = Stages::SHOTS;

    fn open(settings: Settings, _: StreamInfo) -> Result<Self, String> {
        let roi = if settings.roi.is_empty() { None } else { Some(parse(&settings.roi)?) };
        Ok(Self(roi))
    }

    fn shots(&mut self, _: FrameInfo, candidates: Vec<Candidate>) -> Vec<Verdict> {
        let judge = |c: &Candidate| self.0.as_ref().map_or(Verdict::Keep, |roi| judge(roi, &c.detection.rect));
        candidates.iter().map(judge).collect()
    }
}

ocellus_plugin::register!(Roi: Filter);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_decides() {
        let roi = parse("100x50+10+-20").unwrap();
        let centred = |x: f32, y: f32| Rect { left: x - 30.0, top: y - 30.0, right: x + 30.0, bottom: y + 30.0 };
        assert_eq!(judge(&roi, &centred(10.0, -20.0)), Verdict::Keep);
        for (x, y) in [(9.0, 0.0), (110.0, 0.0), (50.0, -21.0), (50.0, 30.0)] {
            assert!(matches!(judge(&roi, &centred(x, y)), Verdict::Reject(_)), "{x},{y}");
        }
    }

    #[test]
    fn invalid_rectangles_are_errors() {
        for bad in ["0x10+0+0", "10x10", "99999999999x1+0+0", "10x10+0+0+0"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_rectangle_keeps_all() {
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap().roi, "");
    }
}
