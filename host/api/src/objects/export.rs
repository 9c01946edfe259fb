//! Exports of a video's objects: files for spreadsheets, annotation tools and players.
//!
//! Rows are written while the objects are read, a page at a time, so that a file of any length
//! takes constant memory. A failure after the first row truncates the response.

mod format;
mod rows;

use axum::{
    body::Body,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use ocellus_core::{Result, VideoId, VideoRecord};
use ocellus_store::{Archive, ObjectSearch};
use tokio::sync::mpsc;

pub(super) use self::format::{FORMAT, Format, FormatParam};
use self::rows::Rows;
use super::{filter::ObjectFilter, matching::page_of};
use crate::{base_url::BaseUrl, blocking, path::no_video};

/// Objects that are read at a time.
const PAGE: usize = 500;
/// Capacity of the channel to the client, in pieces of the file.
const WAITING: usize = 4;

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
    // Compression polls once more after the end, which `poll_recv` allows.
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
