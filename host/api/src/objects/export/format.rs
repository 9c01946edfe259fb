//! Formats of exports, and their query parameter.

use ocellus_core::{Error, Result};
use utoipa::{IntoParams, ToSchema};

use crate::query::Query;

pub(crate) const FORMAT: &str = "format";

/// Format of an exported list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(as = ExportFormat, rename_all = "lowercase")]
pub(crate) enum Format {
    /// A table, RFC 4180.
    Csv,
    /// An object in each line, as the list has it.
    Jsonl,
    /// MOTChallenge's text format.
    Mot,
    /// COCO's object detection format.
    Coco,
    /// WebVTT: a cue for each object, from its first time to its last.
    Vtt,
}

/// The parameter that asks for a file.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct FormatParam {
    /// csv (a table), jsonl (an object in each line), mot (MOTChallenge), coco (COCO's object
    /// detection format), vtt (WebVTT): a file of all objects that match. `mot` has one box for
    /// each frame of the tracks that `track_send_history` kept, and the best shots of the others.
    #[param(inline)]
    format: Option<Format>,
}

impl Format {
    pub(crate) fn read(query: &Query) -> Result<Option<Self>> {
        query.last(FORMAT).map(Self::parse).transpose()
    }

    fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "csv" => Self::Csv,
            "jsonl" => Self::Jsonl,
            "mot" => Self::Mot,
            "coco" => Self::Coco,
            "vtt" => Self::Vtt,
            _ => return Err(Error::bad_param(FORMAT, "Select of csv, jsonl, mot, coco, vtt.")),
        })
    }

    /// Media type and ending of the file.
    pub(super) fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Csv => ("text/csv; charset=utf-8", "csv"),
            Self::Jsonl => ("application/x-ndjson", "jsonl"),
            Self::Mot => ("text/plain; charset=utf-8", "txt"),
            Self::Coco => ("application/vnd.coco+json", "json"),
            Self::Vtt => ("text/vtt; charset=utf-8", "vtt"),
        }
    }
}
