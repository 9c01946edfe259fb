//! Addresses of clients.

use std::net::IpAddr;

use axum::http::HeaderMap;

/// Address of the client of a request, as an extension of it: that of the connection, or the one
/// that a reverse proxy on this machine names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    /// The client of a request that came over a connection from this address.
    pub(crate) fn of(connection: IpAddr, headers: &HeaderMap) -> Self {
        // Trusted from loopback only: others could forge the header. In a list the proxy's entry is
        // the last.
        let named = || headers.get("x-forwarded-for")?.to_str().ok()?.rsplit(',').next()?.trim().parse().ok();
        let connection = connection.to_canonical();
        Self(Some(connection).filter(IpAddr::is_loopback).and_then(|_| named()).unwrap_or(connection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_on_this_machine_names_the_client() {
        let headers =
            HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), "10.0.0.9, 10.0.0.1".parse().unwrap())]);
        let of = |address: &str| ClientAddress::of(address.parse().unwrap(), &headers).0.to_string();
        assert_eq!(of("127.0.0.1"), "10.0.0.1");
        assert_eq!(of("10.0.0.2"), "10.0.0.2");
        assert_eq!(ClientAddress::of("::1".parse().unwrap(), &HeaderMap::new()).0.to_string(), "::1");
    }
}
