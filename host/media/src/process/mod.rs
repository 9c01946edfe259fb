//! Decoding in a child process: both ends of it.
//!
//! Untrusted media are read by FFmpeg in a child process of this program's own executable, which
//! holds no secrets, reaches no network and opens no files: files come as open descriptors, bytes
//! of URLs through the parent, and pixels go back through shared memory. Frames stay in the child;
//! the parent has handles, and requests the parts that it needs.
//!
//! Three sockets lead to a child: `decoding` for the frames, one by one, and their detector inputs;
//! `pictures` for parts of frames that are kept, which need not wait for the decoder; `control`,
//! which is also its standard input, for the task and the interrupt. A fourth has the opposite
//! direction: the child requests bytes of URLs.
//!
//! Guarantees: a misbehaving child causes nothing but a [`MediaError`](crate::MediaError) here; a
//! child that hangs is killed; a child ends when its last handle is dropped, and with this process.
//!
//! FFmpeg's RTSP client runs in the child and connects to a relay in the parent (`rtsp`): the only
//! connection of a child, made before it reads anything, after which it can make no other. A child
//! with hardware decoding opens the device before it reads anything, too.

mod channel;
mod child;
mod connection;
mod in_force;
mod isolation;
mod painter;
mod program;
mod protocol;
mod remote;
mod sandbox;
mod shared_memory;
mod socket;
mod starter;
mod web_client;
mod web_server;

pub use child::serve_decoder;
pub use connection::decoder_crashes;
pub use in_force::{isolate, isolation};
pub use isolation::Isolation;
pub(crate) use program::in_force as program;
pub use program::{DecoderLimits, DecoderProgram};
pub use protocol::DecoderFault;
pub(crate) use remote::{RemoteDecoder, RemoteFrame, probe};
