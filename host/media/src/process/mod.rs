//! Decoding in a process of its own: both ends of it.
//!
//! What somebody sent is read by FFmpeg in a child of this program's own file, which holds no
//! secrets, reaches no network and opens no files: they come as open descriptors, bytes of URLs
//! through the parent, and pixels go back through shared memory. Frames stay in the child; the
//! parent has handles, and asks for the parts that it wants.
//!
//! Three sockets lead to a child: over `decoding` the frames come, one by one, and the inputs made
//! of them; over `pictures` parts of frames that are kept, so that they need not wait for the
//! decoder; over `control`, which is also its standard input, its task and the interrupt. A fourth,
//! for URLs, leads the other way: the child asks for bytes.
//!
//! Guarantees: whatever a child does or answers ends in a [`MediaError`](crate::MediaError) here
//! and nothing else; a child that says nothing is ended; one that is not wanted any more is gone
//! when its last handle is; it dies with this process.
//!
//! FFmpeg speaks RTSP in the child, by a relay of the parent (`rtsp`): the only case in which a
//! child has a connection, which it makes before it reads anything, and can make no other. A child
//! that decodes by hardware opens the device before it reads anything, too.

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
mod web_client;
mod web_server;

pub use child::serve_decoder;
pub use connection::decoder_crashes;
pub(crate) use in_force::program;
pub use in_force::{isolate, isolation};
pub use isolation::Isolation;
pub use program::{DecoderLimits, DecoderProgram};
pub use protocol::DecoderFault;
pub(crate) use remote::{RemoteDecoder, RemoteFrame, probe};
