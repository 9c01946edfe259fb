//! Pages of lists: limit, cursor, and links to the next and the previous page.

use std::sync::Arc;

use axum::{
    Json,
    extract::FromRequestParts,
    http::{Uri, request::Parts},
};
use ocellus_core::Result;
use ocellus_store::{Cursor, Page};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::{Api, base_url::BaseUrl, error::ApiError, query::Query};

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 1000;
const PAGE: &str = "page";

/// One page of a list.
#[derive(Serialize, ToSchema)]
#[schema(as = Page)]
pub(crate) struct PageJson<T: ToSchema> {
    /// The URL of the page after this one.
    #[schema(required)]
    next_page: Option<String>,
    /// The URL of the page before this one.
    #[schema(required)]
    prev_page: Option<String>,
    results: Vec<T>,
}

impl<T: ToSchema> PageJson<T> {
    /// The whole list on one page.
    pub(crate) fn whole(results: Vec<T>) -> Self {
        Self { next_page: None, prev_page: None, results }
    }
}

/// The requested page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Items for each page, 10 without it; more than 1000 are 1000.
    #[param(value_type = Option<u64>, minimum = 1)]
    pub(crate) limit: usize,
    /// Cursor of the page, taken from next_page or prev_page.
    #[param(rename = "page", value_type = Option<String>, pattern = "^([0-9a-f]{4}0[01]([0-9a-f]{2})*)?$")]
    pub(crate) cursor: Option<Cursor>,
}

/// Items for each page, 1..=1000; a larger number, of whatever size, is 1000.
pub(crate) fn limit(query: &Query) -> Result<usize> {
    Ok(query.capped("limit", MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT))
}

/// A request for a page of a list.
pub(crate) struct ListRequest {
    pub(crate) query: Query,
    base: BaseUrl,
    uri: Uri,
}

impl ListRequest {
    pub(crate) fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Refuses a `limit` below 1, and a `page` that is no cursor.
    pub(crate) fn page(&self) -> Result<PageQuery> {
        Ok(PageQuery { limit: limit(&self.query)?, cursor: self.query.last(PAGE).map(Cursor::from_token).transpose()? })
    }

    /// Response with a page. Its links repeat the request's path and query.
    pub(crate) fn respond<Item, T: ToSchema>(
        &self,
        page: Page<Item>,
        item: impl Fn(Item, &BaseUrl) -> T,
    ) -> Json<PageJson<T>> {
        let link = |cursor: Cursor| {
            self.base.join(&format!("{}?{}", self.uri.path(), self.query.with_last(PAGE, &cursor.to_token())))
        };
        Json(PageJson {
            next_page: page.next.map(link),
            prev_page: page.prev.map(link),
            results: page.items.into_iter().map(|i| item(i, &self.base)).collect(),
        })
    }
}

impl FromRequestParts<Arc<Api>> for ListRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let base = BaseUrl::from_request_parts(parts, api).await?;
        Ok(Self { query, base, uri: parts.uri.clone() })
    }
}
