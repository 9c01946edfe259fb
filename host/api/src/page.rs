//! Pages of lists: how many items, from where, and the links to the pages beside.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json,
    extract::FromRequestParts,
    http::{Uri, request::Parts},
};
use ocellus_core::Result;
use ocellus_store::{Cursor, Page};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::{Api, base_url::BaseUrl, query::Query};

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

/// Which page of a list is wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Items for each page, 10 without it.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    pub(crate) limit: usize,
    /// Where the page begins: taken from next_page or prev_page.
    #[param(rename = "page", value_type = Option<String>)]
    pub(crate) cursor: Option<Cursor>,
}

/// Items for each page, 1..=1000.
pub(crate) fn limit(query: &Query) -> Result<usize> {
    Ok(query.integer_within("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT))
}

/// A request for a page of a list.
pub(crate) struct ListRequest {
    pub(crate) query: Query,
    base: BaseUrl,
    uri: Uri,
}

impl ListRequest {
    /// Refuses a `limit` out of its range, and a `page` that is no cursor.
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
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Infallible> {
        let query = Query::from_request_parts(parts, api).await?;
        let base = BaseUrl::from_request_parts(parts, api).await?;
        Ok(Self { query, base, uri: parts.uri.clone() })
    }
}
