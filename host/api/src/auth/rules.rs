//! Scopes that requests need.

use axum::http::Method;
use ocellus_store::Scope;

use crate::log;

/// The scope that a request needs. `route` is the path as it is declared, with `{id}`. A new route
/// that changes something needs [`Scope::Operate`] unless it is named here.
pub(super) fn needed_scope(method: &Method, route: &str) -> Scope {
    match route {
        // Who else has access, and what the server says of itself.
        _ if route.starts_with("/tokens/") || route == log::ROUTE => Scope::Admin,
        _ if method.is_safe() => Scope::Read,
        // Queries that are sent as POST.
        "/detect/" | "/detect" | "/search/" | "/videos/{id}/search/" | "/videos/{id}/replay/" | "/signed-urls/" => {
            Scope::Read
        }
        // Everybody may begin and end sessions of their own.
        "/auth/login/" | "/auth/logout/" | "/auth/session/" => Scope::Read,
        // Plugins are programs that the server runs.
        _ if route.starts_with("/plugins/") => Scope::Admin,
        _ => Scope::Operate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_operating_and_programs_are_told_apart() {
        for (method, route, scope) in [
            (Method::GET, "/plugins/{name}/", Scope::Read),
            (Method::HEAD, "/videos/", Scope::Read),
            (Method::POST, "/search/", Scope::Read),
            (Method::POST, "/detect/", Scope::Read),
            (Method::POST, "/videos/", Scope::Operate),
            (Method::DELETE, "/videos/{id}/", Scope::Operate),
            (Method::POST, "/deliveries/{id}/retry/", Scope::Operate),
            (Method::PUT, "/plugins/{name}/", Scope::Admin),
            (Method::DELETE, "/plugins/{name}/shadow/", Scope::Admin),
            (Method::GET, "/tokens/", Scope::Admin),
            (Method::DELETE, "/tokens/{id}/", Scope::Admin),
            (Method::GET, "/log/", Scope::Admin),
            (Method::POST, "", Scope::Operate),
        ] {
            assert_eq!(needed_scope(&method, route), scope, "{method} {route}");
        }
    }
}
