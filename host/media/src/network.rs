//! Access to the network for URLs of users: names are resolved here, and every address is checked
//! against the [`NetworkPolicy`] before a connection is made.
//!
//! For sources, and for all other requests to URLs of users: use [`guard_client`] and
//! [`check_target`] together.

use std::{
    error::Error as StdError,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use ocellus_core::{NetworkPolicy, NotAllowed, destinations};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio_rustls::rustls;
use url::Url;

use crate::{
    MediaError,
    error::{Cause, UrlError},
};

/// Makes a client connect only to addresses that the policy allows, whatever names resolve to, and
/// never by a proxy. Redirects are not followed. This does not cover URLs with a literal address,
/// and the server's own port: [`check_target`] does.
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
    /// It has addresses, but none is allowed.
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

impl From<ResolveError> for MediaError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::NotAllowed(refused) => refused.into(),
            ResolveError::Unknown(error) => Self::Unreachable(UrlError::UnknownHost(error.into())),
        }
    }
}

/// The allowed addresses of a host; at least one. `host` may be an address.
pub(crate) async fn lookup(policy: &NetworkPolicy, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let found: Vec<SocketAddr> = tokio::net::lookup_host((bare, port)).await.map_err(ResolveError::Unknown)?.collect();
    if found.is_empty() {
        return Err(ResolveError::Unknown(std::io::ErrorKind::NotFound.into()));
    }
    let may_be_used = |address: &SocketAddr| policy.allows(*address) && !is_own_port(policy, *address);
    let allowed: Vec<_> = found.iter().copied().filter(may_be_used).collect();
    if !allowed.is_empty() {
        return Ok(allowed);
    }
    let mut refused = policy.refusal(host, &found);
    refused.own |= found.iter().any(|address| is_own_port(policy, *address));
    Err(ResolveError::NotAllowed(refused))
}

/// Whether an address is the server itself. A server that listens on all addresses is reachable at
/// any address of the machine, which is one that a socket can be bound to.
fn is_own_port(policy: &NetworkPolicy, address: SocketAddr) -> bool {
    let is_here = |ip| UdpSocket::bind((ip, 0)).is_ok();
    policy
        .own_port_everywhere()
        .is_some_and(|port| port == address.port() && destinations(address.ip()).into_iter().any(is_here))
}

/// Checks the target of a URL against the policy. A name that does not resolve now passes:
/// connecting to it will fail, or be checked again.
///
/// # Errors
/// [`NotAllowed`] with the host.
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

/// The policy's refusal, if that is why a client failed.
pub(crate) fn refusal(error: &(dyn StdError + 'static)) -> Option<NotAllowed> {
    cause_of::<NotAllowed>(error).cloned()
}

/// The reason for the user, if a client failed in the TLS handshake.
pub(crate) fn tls_failure(error: &(dyn StdError + 'static)) -> Option<String> {
    Some(match cause_of::<rustls::Error>(error)? {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Expired) => {
            "the certificate of its server has expired".into()
        }
        rustls::Error::InvalidCertificate(
            rustls::CertificateError::NotValidForName | rustls::CertificateError::NotValidForNameContext { .. },
        ) => "the certificate of its server is for another name".into(),
        rustls::Error::InvalidCertificate(_) => {
            "the certificate of its server is not trusted (tls_verify=0 in ffmpeg_params accepts any)".into()
        }
        _ => "its server speaks no TLS that can be understood".into(),
    })
}

/// The first error of type `T` in a chain of sources.
fn cause_of<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(e) = cause {
        if let Some(found) = e.downcast_ref::<T>() {
            return Some(found);
        }
        // The source of an `io::Error` skips its inner error and gives the source of that.
        cause = match e.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => e.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_recognized_at_each() {
        let policy = NetworkPolicy::new(Vec::new(), Some(([0, 0, 0, 0], 8000).into()));
        assert!(is_own_port(&policy, ([127, 0, 0, 5], 8000).into()));
        assert!(!is_own_port(&policy, ([127, 0, 0, 5], 8001).into()));
        // By NAT64.
        assert!(is_own_port(&policy, "[64:ff9b::127.0.0.5]:8000".parse().unwrap()));
        // Reserved for documentation: no machine has it.
        assert!(!is_own_port(&policy, ([192, 0, 2, 1], 8000).into()));
        let policy = NetworkPolicy::new(Vec::new(), Some(([127, 0, 0, 1], 8000).into()));
        assert!(!is_own_port(&policy, ([127, 0, 0, 5], 8000).into()));
    }

    #[test]
    fn a_client_does_not_connect_to_a_name_with_a_forbidden_address() {
        let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        host.set_nonblocking(true).unwrap();
        let url = format!("http://localhost:{}/", host.local_addr().unwrap().port());
        let policy = NetworkPolicy::new(vec!["10.0.0.0/8".parse().unwrap()], None);
        let client = guard_client(reqwest::Client::builder(), &policy).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(async { client.get(url).send().await }).unwrap_err();
        assert_eq!(refusal(&error), Some(NotAllowed { host: "localhost".into(), own: false }), "{error:?}");
        assert!(matches!(host.accept(), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock));
        assert_eq!(refusal(&std::io::Error::other("else")), None);
    }
}
