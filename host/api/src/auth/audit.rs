//! Entry of the audit log for a request.

use axum::http::{Method, StatusCode};
use ocellus_core::Timestamp;
use ocellus_store::AuditLog;
use serde::Serialize;

use crate::{
    access::{Client, ClientAddress},
    blocking,
    trace::RequestId,
};

/// A login, or a request that changes something.
#[derive(Serialize)]
pub(super) struct Entry {
    time: Timestamp,
    /// Name of the token; `None` for a login that failed.
    token: Option<String>,
    token_id: Option<u32>,
    address: Option<String>,
    method: String,
    path: String,
    status: u16,
    /// The same as in log lines of the request.
    request_id: Option<String>,
}

impl Entry {
    pub(super) fn of(
        client: &Client,
        address: Option<ClientAddress>,
        request: Option<RequestId>,
        method: &Method,
        path: &str,
        time: Timestamp,
    ) -> Self {
        Self {
            time,
            token: Some(client.name().to_owned()),
            token_id: Some(client.user()),
            address: address.map(|address| address.0.to_string()),
            method: method.to_string(),
            path: path.to_owned(),
            status: 0,
            request_id: request.map(|id| id.0.to_string()),
        }
    }

    pub(super) fn login(
        client: Option<&Client>,
        address: Option<ClientAddress>,
        request: Option<RequestId>,
        path: &str,
        time: Timestamp,
    ) -> Self {
        Self {
            time,
            token: client.map(|client| client.name().to_owned()),
            token_id: client.map(Client::user),
            address: address.map(|address| address.0.to_string()),
            method: Method::POST.to_string(),
            path: path.to_owned(),
            status: 0,
            request_id: request.map(|id| id.0.to_string()),
        }
    }

    /// Writes the entry with the status of the response. A failure is only logged: the change was
    /// made.
    pub(super) async fn write(mut self, log: &AuditLog, status: StatusCode) {
        self.status = status.as_u16();
        let log = log.clone();
        let written = blocking(move || Ok(log.append(&self)?)).await;
        if let Err(error) = written {
            tracing::error!("a change is missing in the audit log: {error}");
        }
    }
}
