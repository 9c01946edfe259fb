//! Exports of a video's objects: files for spreadsheets, annotation tools and players.
//!
//! Rows are written while the objects are read, a page at a time, so that a file of any length
//! takes constant memory. A failure after the first row breaks the answer off.

mod rows;

use axum::{
    body::Body,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use ocellus_core::{Error, ObjectId, ObjectRecord, Result, VideoId, VideoRecord};
use ocellus_store::{Archive, ObjectSearch};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

use self::rows::Rows;
use super::{filter::ObjectFilter, list::page_of};
use crate::{base_url::BaseUrl, blocking, path::no_video, query::Query};

pub(super) const FORMAT: &str = "format";
/// Objects that are read at a time.
const PAGE: usize = 500;
/// Pieces of a file that wait for the client.
const WAITING: usize = 4;

/// As what a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(as = ExportFormat, rename_all = "lowercase")]
pub(super) enum Format {
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
pub(super) struct FormatParam {
    /// csv (a table), jsonl (an object in each line), mot (MOTChallenge), coco (COCO's object
    /// detection format), vtt (WebVTT): a file of all objects that match. `mot` has one box for
    /// each frame of the tracks that `track_send_history` kept, and the best shots of the others.
    #[param(inline)]
    format: Option<Format>,
}

impl Format {
    pub(super) fn read(query: &Query) -> Result<Option<Self>> {
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
    fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Csv => ("text/csv; charset=utf-8", "csv"),
            Self::Jsonl => ("application/x-ndjson", "jsonl"),
            Self::Mot => ("text/plain; charset=utf-8", "txt"),
            Self::Coco => ("application/vnd.coco+json", "json"),
            Self::Vtt => ("text/vtt; charset=utf-8", "vtt"),
        }
    }
}

/// The file of all objects that match; limit and cursor of the search do not count.
pub(super) async fn respond(
    archive: Archive,
    video: VideoId,
    search: ObjectSearch,
    filter: ObjectFilter,
    format: Format,
    base: &BaseUrl,
) -> Result<Response> {
    let record = blocking({
        let archive = archive.clone();
        move || archive.video(video)?.ok_or_else(no_video)
    })
    .await?;
    let (pieces, mut written) = mpsc::channel::<Result<Bytes>>(WAITING);
    let base = base.clone();
    tokio::task::spawn_blocking(move || {
        let mut rows = Rows::new(format, &record, base);
        let search = ObjectSearch { limit: PAGE, cursor: None, ..search };
        if let Err(error) = write(&archive, &record, search, &filter, &mut rows, &pieces) {
            tracing::warn!("an export of video {video} was broken off: {error}");
            let _ = pieces.blocking_send(Err(error));
        }
    });
    // Compression asks once more after the end.
    let body = Body::from_stream(stream::poll_fn(move |context| written.poll_recv(context)));
    let (media_type, ending) = format.file();
    let disposition = format!("attachment; filename=\"video-{video}-objects.{ending}\"");
    Ok(([(CONTENT_TYPE, media_type.to_owned()), (CONTENT_DISPOSITION, disposition)], body).into_response())
}

/// Writes page after page; ends early where the client is gone.
fn write(
    archive: &Archive,
    video: &VideoRecord,
    mut search: ObjectSearch,
    filter: &ObjectFilter,
    rows: &mut Rows,
    pieces: &mpsc::Sender<Result<Bytes>>,
) -> Result<()> {
    let send = |text: String| text.is_empty() || pieces.blocking_send(Ok(text.into())).is_ok();
    let mut text = rows.begin();
    loop {
        let page = page_of(archive, video.id, search.clone(), filter)?;
        for item in page.items {
            rows.add(item, &mut text)?;
        }
        search.cursor = page.next;
        if search.cursor.is_none() {
            text.push_str(&rows.end()?);
        }
        if !send(std::mem::take(&mut text)) || search.cursor.is_none() {
            return Ok(());
        }
    }
}

/// An object with the id of its cluster.
type Item = (ObjectRecord, Option<ObjectId>);
