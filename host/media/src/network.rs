//! The network as users may reach it: names are resolved here, and every address is held against the
//! [`NetworkPolicy`] before anything connects to it.
//!
//! For sources, and for whoever else sends requests to where a user says: [`guard_client`] and [`check_target`]
//! together.

use std::error::Error as StdError;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use ocellus_core::{NetworkPolicy, NotAllowed};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::error::Cause;

/// Makes a client connect only to addresses that the policy allows, whatever names resolve to, and never by a proxy.
/// Redirects are not followed. An address that stands in a URL itself, and the server's own port, are not seen here:
/// [`check_target`] is for them.
pub fn guard_client(builder: reqwest::ClientBuilder, policy: &NetworkPolicy) -> reqwest::ClientBuilder {
    builder.no_proxy().redirect(reqwest::redirect::Policy::none()).dns_resolver(Arc::new(Resolver(policy.clone())))
}

struct Resolver(NetworkPolicy);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let addresses = lookup(&policy, name.as_str(), 0).await.map_err(ResolveError::into_cause)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

pub(crate) enum ResolveError {
    /// It has addresses, and none may be used.
    NotAllowed(NotAllowed),
    Unknown(std::io::Error),
}

impl ResolveError {
    fn into_cause(self) -> Cause {
        match self {
            Self::NotAllowed(refused) => refused.into(),
            Self::Unknown(error) => error.into(),
        }
    }
}

/// The addresses of a host that may be used; at least one. `host` may be an address.
pub(crate) async fn lookup(policy: &NetworkPolicy, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let found: Vec<SocketAddr> = tokio::net::lookup_host((bare, port)).await.map_err(ResolveError::Unknown)?.collect();
    if found.is_empty() {
        return Err(ResolveError::Unknown(std::io::ErrorKind::NotFound.into()));
    }
    let allowed: Vec<_> = found.into_iter().filter(|address| policy.allows(*address) && !is_own_port(policy, *address)).collect();
    if allowed.is_empty() { Err(ResolveError::NotAllowed(NotAllowed { host: host.to_owned() })) } else { Ok(allowed) }
}

/// A server that listens on every address is found at any address that the machine has: one that a socket can be bound to.
fn is_own_port(policy: &NetworkPolicy, address: SocketAddr) -> bool {
    policy.own_port_everywhere().is_some_and(|port| port == address.port() && UdpSocket::bind((address.ip(), 0)).is_ok())
}

/// Refuses a URL that leads where the policy does not allow. A name that does not resolve now passes: connecting to it
/// will fail, or be checked again.
///
/// # Errors
/// [`NotAllowed`] names the host.
pub async fn check_target(policy: &NetworkPolicy, url: &str) -> Result<(), NotAllowed> {
    let Ok(url) = Url::parse(url) else { return Ok(()) };
    let Some(host) = url.host_str() else { return Ok(()) };
    match lookup(policy, host, port_of(&url)).await {
        Err(ResolveError::NotAllowed(refused)) => Err(refused),
        Err(ResolveError::Unknown(_)) | Ok(_) => Ok(()),
    }
}

pub(crate) fn port_of(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or(match url.scheme() {
        "rtsps" => 322,
        _ => 554,
    })
}

/// The refusal that made a client fail, if it was one.
pub(crate) fn refusal(error: &(dyn StdError + 'static)) -> Option<NotAllowed> {
    let mut cause = Some(error);
    while let Some(e) = cause {
        if let Some(refused) = e.downcast_ref::<NotAllowed>() {
            return Some(refused.clone());
        }
        cause = e.source();
    }
    None
}
