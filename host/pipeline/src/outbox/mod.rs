//! What goes to a router, byte by byte: the body of a request and its signature. Pure; sends nothing.

mod body;
mod signature;

pub(crate) use body::multipart;
pub use signature::SigningSecret;
