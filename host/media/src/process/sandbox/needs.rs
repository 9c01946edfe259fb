//! Exceptions from the sandbox that a decoder process needs.

#[derive(Clone, Copy, Default)]
pub(in crate::process) struct Needs {
    /// One TCP connection, to this port.
    pub relay: Option<u16>,
    /// Hardware decoding devices.
    pub devices: bool,
}
