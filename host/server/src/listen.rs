//! Addresses to serve on, as an operator writes them.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use anyhow::{Result, anyhow};
use tokio::net::{TcpListener, lookup_host};

/// `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`; `:8000` is all addresses of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    /// A name or an address; `None` is all addresses.
    host: Option<String>,
    port: u16,
}

impl ListenAddress {
    /// The loopback address, which is the default.
    pub(crate) fn local(port: u16) -> Self {
        Self { host: Some(Ipv4Addr::LOCALHOST.to_string()), port }
    }

    /// Listens on the first address that is free.
    pub(crate) async fn bind(&self) -> Result<TcpListener> {
        let candidates = self.resolve().await.map_err(|error| self.refused(&error))?;
        let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
        for address in candidates {
            match TcpListener::bind(address).await {
                Ok(listener) => return Ok(listener),
                // Fails at once where the port is in use. After other errors the next address is
                // tried: a name may resolve to addresses that this machine does not have, or it may
                // have no IPv6.
                Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(self.refused(&error)),
                Err(error) => last = error,
            }
        }
        Err(self.refused(&last))
    }

    /// IPv4 goes first: what the server prints is what most clients try.
    async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let Some(host) = &self.host else {
            // An IPv6 socket accepts IPv4, too.
            let all: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
            return Ok(all.map(|address| SocketAddr::new(address, self.port)).into());
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let mut found: Vec<_> = lookup_host((bare, self.port)).await?.collect();
        found.sort_by_key(SocketAddr::is_ipv6);
        Ok(found)
    }

    fn refused(&self, error: &io::Error) -> anyhow::Error {
        let why = match error.kind() {
            ErrorKind::AddrInUse => "another program uses this port, maybe another Ocellus; --listen names another one",
            ErrorKind::AddrNotAvailable => "this machine has no such address",
            ErrorKind::PermissionDenied => "ports below 1024 take a right (CAP_NET_BIND_SERVICE)",
            _ => return anyhow!("cannot listen on {self}: {error}"),
        };
        anyhow!("cannot listen on {self}: {why}")
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is no address: expected HOST:PORT or :PORT, for example localhost:8000");
        let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
        let port = port.parse().map_err(|_| expected())?;
        let is_v6 = host.starts_with('[') && host.ends_with(']');
        if host.contains(|c: char| c.is_whitespace() || c == '/') || (host.contains(':') && !is_v6) {
            return Err(expected());
        }
        Ok(Self { host: Some(host.to_owned()).filter(|host| !host.is_empty()), port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host.as_deref().unwrap_or_default(), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_addresses_and_ports_alone_are_listened_on() {
        for (text, expected) in [("localhost:0", "127.0.0.1:"), ("127.0.0.1:0", "127.0.0.1:")] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert!(address.bind().await.unwrap().local_addr().unwrap().to_string().starts_with(expected), "{text}");
        }
        let all: ListenAddress = ":0".parse().unwrap();
        assert!(all.bind().await.unwrap().local_addr().unwrap().ip().is_unspecified());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = ListenAddress::local(0).bind().await.unwrap();
        let error = ListenAddress::local(first.local_addr().unwrap().port()).bind().await.unwrap_err().to_string();
        assert!(error.contains("another program uses this port"), "{error}");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "8000", "localhost", "localhost:", ":", ":99999", "::1:8000", "a b:80", "http://a:80"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text:?}");
        }
    }
}
