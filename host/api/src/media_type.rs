//! Media types of files embedded in the program, by the extensions of their names.

const MEDIA_TYPES: [(&str, &str); 9] = [
    (".html", "text/html; charset=utf-8"),
    (".css", "text/css; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".json", "application/json"),
    (".txt", "text/plain; charset=utf-8"),
    (".png", "image/png"),
    (".svg", "image/svg+xml"),
    (".ico", "image/x-icon"),
    (".woff2", "font/woff2"),
];

/// `None` for an extension that none of these files has.
pub(crate) fn media_type(name: &str) -> Option<&'static str> {
    MEDIA_TYPES.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, media_type)| *media_type)
}
