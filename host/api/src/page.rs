//! Pages of lists: how many items, from where, and the links to the pages beside.

use axum::http::Uri;
use ocellus_core::Result;
use ocellus_store::{Cursor, Page};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{base_url::BaseUrl, query::Query};

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

/// Items for each page, 1..=1000.
pub(crate) fn limit(query: &Query) -> Result<usize> {
    Ok(query.integer_within("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT))
}

/// Where the page begins; `None` is the first page.
pub(crate) fn cursor(query: &Query) -> Result<Option<Cursor>> {
    query.last(PAGE).map(Cursor::from_token).transpose()
}

impl<T: ToSchema> PageJson<T> {
    /// The links repeat the request's path and query.
    pub(crate) fn new<Item>(
        page: Page<Item>,
        base: &BaseUrl,
        uri: &Uri,
        query: &Query,
        item: impl FnMut(Item) -> T,
    ) -> Self {
        let link = |cursor: Cursor| base.join(&format!("{}?{}", uri.path(), query.with_last(PAGE, &cursor.to_token())));
        Self {
            next_page: page.next.map(link),
            prev_page: page.prev.map(link),
            results: page.items.into_iter().map(item).collect(),
        }
    }
}
