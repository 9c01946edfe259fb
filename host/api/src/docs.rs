//! `/docs/`: the OpenAPI document as a page on which every operation can be tried. Swagger UI,
//! embedded in the program: nothing is fetched from other servers. The token that is entered stays
//! in the browser.

use std::{
    collections::HashMap,
    io::{Cursor, Read},
    sync::LazyLock,
};

use axum::{
    extract::Path,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use ocellus_core::Error;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::{ZipArchive, result::ZipResult};

use crate::{error::ApiError, media_type::media_type};

const PAGE: &str = "index.html";
const INITIALIZER: &str = "swagger-initializer.js";
/// Replaces Swagger UI's own script, which shows a demo document. The document's URL is relative to
/// the page, for proxies that serve it under a path; the document's `servers` names that path. No
/// validator, which would be a server on the web.
const INITIALIZER_SCRIPT: &str = r##"window.ui = SwaggerUIBundle({
  url: "../openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  filter: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"##;
/// Files of the page by name, unpacked at the first request.
static FILES: LazyLock<HashMap<String, Vec<u8>>> = LazyLock::new(|| {
    unpacked().unwrap_or_else(|error| {
        tracing::error!("Swagger UI cannot be unpacked: {error}");
        HashMap::new()
    })
});

/// The files of the archive's folder `dist` that the page loads.
fn unpacked() -> ZipResult<HashMap<String, Vec<u8>>> {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    let mut files = HashMap::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let Some(path) = file.enclosed_name() else { continue };
        let in_dist = path.parent().is_some_and(|folder| folder.components().count() == 2 && folder.ends_with("dist"));
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| in_dist && media_type(name).is_some());
        if let Some(name) = name {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            files.insert(name.to_owned(), bytes);
        }
    }
    files.insert(INITIALIZER.to_owned(), INITIALIZER_SCRIPT.into());
    Ok(files)
}

/// The page.
pub(crate) async fn page() -> Result<Response, ApiError> {
    answer(PAGE)
}

/// A file of the page.
pub(crate) async fn file(Path(name): Path<String>) -> Result<Response, ApiError> {
    answer(&name)
}

fn answer(name: &str) -> Result<Response, ApiError> {
    let found = FILES.get(name).zip(media_type(name));
    let (bytes, media_type) = found.ok_or_else(|| Error::not_found("page"))?;
    Ok(([(CONTENT_TYPE, media_type)], bytes.as_slice()).into_response())
}
