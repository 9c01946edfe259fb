//! The server's end of a channel: one request at a time, and the memory for what it gives.

use std::{io, os::fd::BorrowedFd, time::Duration};

use super::{
    protocol::{Answer, Request, Wanted},
    shared_memory::SharedMemory,
    socket::Socket,
};

/// How often a wait asks whether it should go on.
const TICK: Duration = Duration::from_millis(100);

pub(super) struct Channel {
    socket: Socket,
    pub memory: SharedMemory,
    /// Of the last request.
    number: u64,
}

/// What a wait of one tick brought.
pub(super) enum Heard {
    Answer(Box<Answer>),
    Nothing,
    /// The other end is gone, or says what makes no sense.
    Broken,
}

impl Channel {
    /// Both ends; the other one is the child's.
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

    /// The answer to the last request. Those to earlier ones, for which nobody waited to the end,
    /// are passed over.
    pub(super) fn listen(&mut self) -> Heard {
        match self.socket.receive::<Answer>() {
            Ok(Some((answer, _))) if answer.number == self.number => Heard::Answer(Box::new(answer)),
            Ok(Some((answer, _))) if answer.number < self.number => Heard::Nothing,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
            Ok(_) | Err(_) => Heard::Broken,
        }
    }
}
