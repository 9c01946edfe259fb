//! Sockets between the server and a child: `SOCK_SEQPACKET`, with descriptors attached to messages.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sockopt,
};
use serde::{Serialize, de::DeserializeOwned};

/// Limit of the bytes of a message.
const MOST: usize = 128 << 10;
/// Limit of the descriptors of a message.
const MOST_DESCRIPTORS: usize = 8;

/// One end. Messages arrive whole and in order.
pub(super) struct Socket {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Socket {
    pub(super) fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((a.into(), b.into()))
    }

    /// Sets the timeout of `receive`.
    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        Ok(sockopt::set_socket_timeout(&self.socket, sockopt::Timeout::Recv, Some(patience))?)
    }

    pub(super) fn send(&self, message: &impl Serialize) -> io::Result<()> {
        self.send_with(message, &[], &[])
    }

    /// Sends a message, followed by a payload, with descriptors attached.
    pub(super) fn send_with(
        &self,
        message: &impl Serialize,
        payload: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let message = postcard::to_stdvec(message).map_err(io::Error::other)?;
        let parts = [IoSlice::new(&message), IoSlice::new(payload)];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        rustix::net::sendmsg(&self.socket, &parts, &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message and its payload; `None` once the other end is closed.
    ///
    /// # Errors
    /// `WouldBlock` after the timeout; `InvalidData` for an invalid message.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, &[u8])>> {
        self.receive_with(None)
    }

    /// The same, with the attached descriptors; with `None` they are closed.
    pub(super) fn receive_with<T: DeserializeOwned>(
        &mut self,
        descriptors: Option<&mut Vec<OwnedFd>>,
    ) -> io::Result<Option<(T, &[u8])>> {
        self.buffer.resize(MOST, 0);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut ancillary = match descriptors {
            Some(_) => RecvAncillaryBuffer::new(&mut space),
            None => RecvAncillaryBuffer::default(),
        };
        let received = loop {
            let mut parts = [IoSliceMut::new(&mut self.buffer)];
            match rustix::net::recvmsg(&self.socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                received => break received?,
            }
        };
        if let Some(descriptors) = descriptors {
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    descriptors.extend(rights);
                }
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let bytes = self.buffer.get(..received.bytes).unwrap_or_default();
        let parsed = postcard::take_from_bytes(bytes);
        parsed.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl From<OwnedFd> for Socket {
    fn from(socket: OwnedFd) -> Self {
        Self { socket, buffer: Vec::new() }
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.socket
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Seek, Write},
    };

    use super::*;

    #[test]
    fn messages_bytes_and_descriptors_arrive_together() {
        let (a, mut b) = Socket::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        a.send_with(&(1_u8, "text"), b"payload", &[file.as_fd()]).unwrap();
        a.send(&2_u32).unwrap();
        let mut descriptors = Vec::new();
        let (message, payload) = b.receive_with::<(u8, String)>(Some(&mut descriptors)).unwrap().unwrap();
        assert_eq!((message, payload), ((1, "text".to_owned()), &b"payload"[..]));
        let mut again = File::from(descriptors.pop().unwrap());
        let mut text = String::new();
        again.rewind().unwrap();
        again.read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        assert_eq!(b.receive::<u32>().unwrap().unwrap().0, 2);
        b.set_patience(Duration::from_millis(10)).unwrap();
        assert_eq!(b.receive::<u32>().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(a);
        assert!(b.receive::<u32>().unwrap().is_none());
    }

    #[test]
    fn an_invalid_message_is_an_error() {
        let (a, mut b) = Socket::pair().unwrap();
        a.send(&0xff_u8).unwrap();
        assert_eq!(b.receive::<String>().unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(a.send_with(&0_u8, &vec![0; MOST * 4], &[]).is_err());
    }
}
