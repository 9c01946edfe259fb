//! Connections to cameras: by the network policy, and with TLS for `rtsps`.

use std::sync::Arc;

use ocellus_core::NetworkPolicy;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};
use url::Url;

use crate::{MediaError, Result, error::UrlError, http::CONNECT_TIMEOUT, network};

/// A TCP or TLS connection.
pub(super) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// Connects to the host of a URL, at the first address that answers. `verified`: the certificate
/// has to be trusted, and valid for this host.
pub(super) async fn connect(policy: &NetworkPolicy, url: &Url, verified: bool) -> Result<Box<dyn Connection>> {
    let host = url.host_str().ok_or_else(|| MediaError::refused("The source URL has no host."))?;
    let mut failure = UrlError::NotConnected("no address".into());
    for address in network::lookup(policy, host, network::port_of(url)).await? {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(connection)) => {
                // Requests are small, and FFmpeg waits for the responses.
                connection.set_nodelay(true).map_err(MediaError::internal)?;
                return match url.scheme() {
                    "rtsps" => secure(connection, host, verified).await,
                    _ => Ok(Box::new(connection)),
                };
            }
            Ok(Err(error)) => failure = UrlError::NotConnected(error.into()),
            Err(late) => failure = UrlError::TimedOut(late.into()),
        }
    }
    Err(MediaError::Unreachable(failure))
}

async fn secure(connection: TcpStream, host: &str, verified: bool) -> Result<Box<dyn Connection>> {
    let malformed = |error: rustls::pki_types::InvalidDnsNameError| UrlError::Malformed(error.into());
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare).map_err(malformed).map_err(MediaError::Unreachable)?;
    let connector = TlsConnector::from(Arc::new(configuration(verified).map_err(MediaError::internal)?));
    match connector.connect(name, connection).await {
        Ok(connection) => Ok(Box::new(connection)),
        Err(error) => Err(MediaError::Unreachable(match network::tls_failure(&error) {
            Some(what) => UrlError::Tls { what, cause: error.into() },
            None => UrlError::NotConnected(error.into()),
        })),
    }
}

fn configuration(verified: bool) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    Ok(if verified {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        builder.with_root_certificates(roots).with_no_client_auth()
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))).with_no_client_auth()
    })
}

/// Certificate verifier for `tls_verify=0`, which accepts any certificate.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
