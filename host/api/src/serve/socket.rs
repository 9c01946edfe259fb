//! Socket that reports whether writes to it block.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::activity::Activity;

/// Unsent bytes that the kernel buffers (TCP_NOTSENT_LOWAT). By default it buffers megabytes, and a
/// slow client would look like one that reads nothing.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 128 << 10;

/// Sets TCP_NODELAY, so that the end of a response is not delayed, and the limit of unsent bytes.
/// The connection works without either: failures are only logged.
pub(super) fn set_up(stream: &TcpStream) {
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!("set_nodelay: {e}");
    }
    #[cfg(target_os = "linux")]
    if let Err(e) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES) {
        tracing::debug!("set_tcp_notsent_lowat: {e}");
    }
}

/// Passes reads and writes on, and reports to the activity whether writes block.
pub(super) struct Reporting<S> {
    socket: S,
    activity: Arc<Activity>,
}

impl<S> Reporting<S> {
    pub(super) fn new(socket: S, activity: Arc<Activity>) -> Self {
        Self { socket, activity }
    }

    fn report(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Pending => self.activity.socket_blocked(),
            Poll::Ready(_) => self.activity.socket_writable(),
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Reporting<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Reporting<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.report(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.socket).poll_write_vectored(cx, pieces);
        self.report(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::Instant,
    };

    use super::*;

    #[tokio::test]
    async fn a_full_socket_is_busy_until_its_reader_goes_on() {
        let (server, mut client) = tokio::io::duplex(100);
        let activity = Arc::new(Activity::new(Instant::now()));
        let mut socket = Reporting::new(server, Arc::clone(&activity));
        for vectored in [false, true] {
            socket.write_all(&[7; 100]).await.unwrap();
            assert!(activity.idle().is_some());
            let pieces = [IoSlice::new(&[7; 10]), IoSlice::new(&[7; 10])];
            let more =
                async { if vectored { socket.write_vectored(&pieces).await } else { socket.write(&[7; 10]).await } };
            let mut more = std::pin::pin!(more);
            assert!(more.as_mut().now_or_never().is_none() && activity.idle().is_none());
            client.read_exact(&mut [0; 100]).await.unwrap();
            let written = more.await.unwrap();
            assert!(activity.idle().is_some());
            client.read_exact(&mut vec![0; written]).await.unwrap();
        }
    }
}
