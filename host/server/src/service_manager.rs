//! Notifications to the service manager that started the server, by the protocol of sd_notify(3):
//! ready, and stopping. Without a service manager nothing is sent.

use std::{env, io, os::unix::net::UnixDatagram};

use tracing::debug;

pub(crate) fn ready() {
    send("READY=1");
}

pub(crate) fn stopping() {
    send("STOPPING=1");
}

fn send(state: &str) {
    let Ok(path) = env::var("NOTIFY_SOCKET") else { return };
    if let Err(error) = send_to(&path, state) {
        debug!("{state} does not reach the service manager: {error}");
    }
}

fn send_to(path: &str, state: &str) -> io::Result<usize> {
    let socket = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    if let Some(name) = path.strip_prefix('@') {
        use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
        return socket.send_to_addr(state.as_bytes(), &SocketAddr::from_abstract_name(name)?);
    }
    socket.send_to(state.as_bytes(), path)
}
