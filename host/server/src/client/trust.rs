//! Verification of servers by the certificates of `--ca-cert`.
//!
//! Owns the certificates of that file. Guarantees: a server is trusted if a public authority or
//! one in the file signed its certificate, for the name in its URL; or if its certificate is in the
//! file itself, byte by byte, and has not expired. The latter is what self-hosters make with
//! `openssl req -x509`: often marked as an authority, which no server's certificate may be by RFC
//! 5280, and without the server's name in it. Such a certificate needs no name: whoever holds its
//! key is the server that the user named.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

/// TLS by the public authorities and the certificates in a file (PEM).
///
/// # Errors
/// Where the file cannot be read, or holds no certificate or one that is damaged.
pub(super) fn tls(file: &Path) -> Result<ClientConfig> {
    let given = certificates(file).with_context(|| format!("--ca-cert {}", file.display()))?;
    let mut authorities = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for certificate in &given {
        let added = authorities.add(certificate.clone());
        added.with_context(|| format!("--ca-cert {}: a certificate cannot be used", file.display()))?;
    }
    let provider = Arc::new(ring::default_provider());
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider));
    let verifier = Verifier { given, authorities: authorities.build()? };
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let given = CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>()?;
    if given.is_empty() {
        bail!("there is no certificate in it (-----BEGIN CERTIFICATE-----)");
    }
    Ok(given)
}

#[derive(Debug)]
struct Verifier {
    given: Vec<CertificateDer<'static>>,
    /// Knows the given certificates as authorities, and the public ones.
    authorities: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // webpki checks the time of a certificate before anything else about it.
            Err(error) if self.given.contains(end_entity) && !is_outside_validity(&error) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

fn is_outside_validity(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        )
    )
}
