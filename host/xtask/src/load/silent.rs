//! Silent connections without a token: they send next to nothing, read nothing, and are opened
//! again when the server closes them.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};

/// Connections of each kind.
const CONNECTIONS: usize = 200;
/// Interval at which all connections are maintained.
const INTERVAL: Duration = Duration::from_millis(100);
/// A server at its limit does not accept; the connection then waits in the backlog.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Frame types of RFC 9113, sections 6.5 and 6.7, and their ACK flag.
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACKNOWLEDGED: u8 = 1;
const HEAD: usize = 9;

#[derive(Clone, Copy)]
enum Kind {
    /// Never sends a byte.
    Mute,
    /// Speaks HTTP/2, sends no request, and acknowledges SETTINGS and PING frames.
    Pinged,
    /// Requests one long response after the other and reads none.
    Unread,
}

/// All of them. Closed when dropped.
pub(super) struct SilentConnections {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    done: AtomicBool,
    held: AtomicUsize,
    opened: AtomicUsize,
}

struct Connection {
    stream: TcpStream,
    /// Bytes of an incomplete HTTP/2 frame.
    received: Vec<u8>,
}

impl SilentConnections {
    pub(super) fn open(address: &str) -> Result<Self> {
        let address: SocketAddr = address.parse().with_context(|| format!("{address} is no address"))?;
        let shared = Arc::new(Shared::default());
        let mut silent = Self { shared, threads: Vec::new() };
        for kind in [Kind::Mute, Kind::Pinged, Kind::Unread] {
            let mut connections: Vec<Option<Connection>> = (0..CONNECTIONS).map(|_| None).collect();
            // Opened before this returns, so before the clients start.
            silent.shared.maintain(kind, address, &mut connections);
            let shared = Arc::clone(&silent.shared);
            silent.threads.push(thread::spawn(move || {
                while !shared.done.load(Ordering::SeqCst) {
                    shared.maintain(kind, address, &mut connections);
                    thread::sleep(INTERVAL);
                }
            }));
        }
        Ok(silent)
    }

    /// Number of open connections.
    pub(super) fn held(&self) -> usize {
        self.shared.held.load(Ordering::SeqCst)
    }

    /// Number of connections that replaced a closed one.
    pub(super) fn reopened(&self) -> usize {
        self.shared.opened.load(Ordering::SeqCst).saturating_sub(3 * CONNECTIONS)
    }
}

impl Drop for SilentConnections {
    fn drop(&mut self) {
        self.shared.done.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Replaces connections that the server closed.
    fn maintain(&self, kind: Kind, address: SocketAddr, connections: &mut [Option<Connection>]) {
        for place in connections {
            if let Some(connection) = place
                && connection.keep(kind).is_err()
            {
                *place = None;
                self.held.fetch_sub(1, Ordering::SeqCst);
            }
            if place.is_none() && !self.done.load(Ordering::SeqCst) {
                *place = Connection::open(kind, address);
                if place.is_some() {
                    self.held.fetch_add(1, Ordering::SeqCst);
                    self.opened.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }
}

impl Connection {
    fn open(kind: Kind, address: SocketAddr) -> Option<Self> {
        let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).ok()?;
        if let Kind::Pinged = kind {
            stream.write_all(PREFACE).ok()?;
            stream.write_all(&frame(SETTINGS, 0, &[])).ok()?;
        }
        stream.set_nonblocking(true).ok()?;
        Some(Self { stream, received: Vec::new() })
    }

    /// Sends and reads what its kind does; an error if the server closed it.
    fn keep(&mut self, kind: Kind) -> std::io::Result<()> {
        match kind {
            Kind::Mute => self.receive(),
            Kind::Pinged => {
                self.receive()?;
                while let Some((frame_type, flags, payload)) = next_frame(&mut self.received) {
                    if matches!(frame_type, SETTINGS | PING) && flags & ACKNOWLEDGED == 0 {
                        let payload = if frame_type == PING { payload } else { Vec::new() };
                        self.stream.write_all(&frame(frame_type, ACKNOWLEDGED, &payload))?;
                    }
                }
                Ok(())
            }
            Kind::Unread => would_block(self.stream.write(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n")),
        }
    }

    fn receive(&mut self) -> std::io::Result<()> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(ErrorKind::ConnectionAborted.into()),
            Ok(count) => {
                self.received.extend(buffer.iter().take(count));
                Ok(())
            }
            other => would_block(other),
        }
    }
}

/// On a non-blocking socket, nothing to read and no space to write are not errors.
fn would_block(result: std::io::Result<usize>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

/// Encodes an HTTP/2 frame of stream 0.
fn frame(frame_type: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&length[..], &[frame_type, flags, 0, 0, 0, 0], payload].concat()
}

/// Removes the first complete frame from `received`: type, flags, payload.
fn next_frame(received: &mut Vec<u8>) -> Option<(u8, u8, Vec<u8>)> {
    let [a, b, c, frame_type, flags, ..] = received.get(..HEAD)? else { return None };
    let (frame_type, flags) = (*frame_type, *flags);
    let end = HEAD + u32::from_be_bytes([0, *a, *b, *c]) as usize;
    let payload = received.get(HEAD..end)?.to_vec();
    received.drain(..end);
    Some((frame_type, flags, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_frames_are_removed() {
        let ping = frame(PING, 0, b"12345678");
        assert_eq!(ping.len(), HEAD + 8);
        let mut received = [frame(SETTINGS, ACKNOWLEDGED, &[]), ping.clone(), ping[..12].to_vec()].concat();
        assert_eq!(next_frame(&mut received), Some((SETTINGS, ACKNOWLEDGED, vec![])));
        assert_eq!(next_frame(&mut received), Some((PING, 0, b"12345678".to_vec())));
        assert_eq!((next_frame(&mut received), received.len()), (None, 12));
    }
}
