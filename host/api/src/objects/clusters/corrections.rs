//! `GET /videos/{id}/corrections/`, `DELETE /videos/{id}/corrections/{number}/`

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{StatusCode, request::Parts},
};
use ocellus_core::{Error, Result};
use ocellus_store::{Change, ListedCorrection, page_among};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api, blocking,
    error::{ApiError, BadParam, Conflict, NotFound, Unauthorized},
    page::{ListRequest, PageJson, PageQuery},
    path::{VideoPath, parameter},
    query::only,
    time,
};

/// Cursors of this list.
const LIST: [u8; 2] = *b"cr";

/// A change of a video's identities that a user made.
#[derive(Serialize, ToSchema)]
#[schema(as = Correction)]
pub(crate) struct CorrectionJson {
    /// Counts the corrections of the video; never used twice.
    #[schema(examples(3))]
    id: u32,
    kind: CorrectionKind,
    /// What an identity was named; null where its name was taken away, and for the other kinds.
    #[schema(required)]
    name: Option<String>,
    #[schema(format = DateTime)]
    created_date: String,
    state: CorrectionState,
    /// The objects that it speaks of. Of an earlier processing where it waits.
    objects: Vec<String>,
    /// The identities that these are in now.
    clusters: Vec<String>,
}

/// What a correction does.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CorrectionKind {
    /// The identity of an object has a name.
    Name,
    /// The identities of two objects are one.
    Merge,
    /// The first object is an identity of its own, and not that of the second.
    TakeOut,
}

/// Whether a correction has an effect.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum CorrectionState {
    /// It has.
    Applied,
    /// Nothing that the last processing found looks like the objects that it was made of. It
    /// applies again after a processing that finds such.
    Waiting,
}

impl From<ListedCorrection> for CorrectionJson {
    fn from(listed: ListedCorrection) -> Self {
        let ListedCorrection { correction, is_applied, identities } = listed;
        let objects = correction.change.references().iter().map(|reference| reference.object.to_string()).collect();
        let (kind, name) = match correction.change {
            Change::Name { name, .. } => (CorrectionKind::Name, name),
            Change::Merge { .. } => (CorrectionKind::Merge, None),
            Change::TakeOut { .. } => (CorrectionKind::TakeOut, None),
        };
        Self {
            id: correction.number,
            kind,
            name,
            created_date: time::text(correction.created),
            state: if is_applied { CorrectionState::Applied } else { CorrectionState::Waiting },
            objects,
            clusters: identities.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What users corrected of a video's identities.
///
/// In the order in which it was done, which is that in which it is applied. When the video is
/// processed again, each is applied to the objects that are nearest to those that it was made of,
/// by their embeddings, as far as they count as one identity.
///
/// Each page reads all of them, of which there are 10,000 at most, and the identities of the video.
#[utoipa::path(
    get, path = "/videos/{id}/corrections/", tag = "objects", operation_id = "listCorrections",
    params(VideoPath, PageQuery),
    responses((status = 200, description = "A page of corrections.", body = PageJson<CorrectionJson>), BadParam, Unauthorized, NotFound, Conflict),
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    request: ListRequest,
) -> Result<Json<PageJson<CorrectionJson>>, ApiError> {
    only(&request.query, &[])?;
    let PageQuery { limit, cursor } = request.page()?;
    let archive = api.engine.archive().clone();
    let page = blocking(move || Ok(page_among(LIST, cursor.as_ref(), limit, archive.corrections(video)?)?)).await?;
    Ok(request.respond(page, |correction, _| CorrectionJson::from(correction)))
}

/// Undoes a correction.
///
/// Identities are as if it had never been made; later ones stay.
#[utoipa::path(
    delete, path = "/videos/{id}/corrections/{number}/", tag = "objects", operation_id = "undoCorrection",
    params(VideoPath, ("number" = u32, Path, description = "The correction's id.")),
    responses((status = 204, description = "Undone."), Unauthorized, NotFound, Conflict),
)]
pub(crate) async fn undo(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    CorrectionPath(number): CorrectionPath,
) -> Result<StatusCode, ApiError> {
    let archive = api.engine.archive().clone();
    blocking(move || Ok(archive.undo_correction(video, number)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `{number}` of a correction; 404 where it is not a number.
pub(crate) struct CorrectionPath(u32);

impl<S: Send + Sync> FromRequestParts<S> for CorrectionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let number = parameter(parts, "number").await.and_then(|text| text.parse().ok());
        number.map(Self).ok_or_else(|| Error::not_found("Correction").into())
    }
}
