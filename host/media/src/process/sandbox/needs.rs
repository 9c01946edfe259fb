//! What a child needs of the system beside what it is given.

#[derive(Clone, Copy, Default)]
pub(in crate::process) struct Needs {
    /// One TCP connection, to this port.
    pub relay: Option<u16>,
    /// Devices that decode.
    pub devices: bool,
}
