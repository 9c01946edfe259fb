//! Channel: the server's end of a request-response socket with its shared memory. One request at a
//! time.

use std::{io, os::fd::BorrowedFd, time::Duration};

use super::{
    protocol::{Answer, Request, Wanted},
    shared_memory::SharedMemory,
    socket::Socket,
};

/// Interval at which a wait checks whether to go on.
const TICK: Duration = Duration::from_millis(100);

pub(super) struct Channel {
    socket: Socket,
    pub memory: SharedMemory,
    /// Number of the last request.
    number: u64,
}

/// Result of a wait of one [`TICK`].
pub(super) enum Heard {
    Answer(Box<Answer>),
    Nothing,
    /// The other end is gone, or sent an invalid message.
    Broken,
}

impl Channel {
    /// Returns both ends; the second one is the child's.
    pub(super) fn new() -> io::Result<(Self, Socket)> {
        let (socket, theirs) = Socket::pair()?;
        socket.set_patience(TICK)?;
        Ok((Self { socket, memory: SharedMemory::new()?, number: 0 }, theirs))
    }

    pub(super) fn request(
        &mut self,
        wanted: Wanted,
        released: Vec<u64>,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        self.number += 1;
        let request = Request { number: self.number, released, wanted };
        self.socket.send_with(&request, &[], descriptor.as_slice())
    }

    /// The answer to the last request. Late answers to earlier, abandoned requests are dropped.
    pub(super) fn listen(&mut self) -> Heard {
        match self.socket.receive::<Answer>() {
            Ok(Some((answer, _))) if answer.number == self.number => Heard::Answer(Box::new(answer)),
            Ok(Some((answer, _))) if answer.number < self.number => Heard::Nothing,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
            Ok(_) | Err(_) => Heard::Broken,
        }
    }
}
