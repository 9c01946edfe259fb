//! Spool: a temporary copy of a download that has to be read out of order.
//!
//! An MP4 file with its `moov` box at the end needs one, where its server does not support ranges.
//! The copy is an unnamed file, which disappears with the process.

use std::{
    fs::File,
    io::{self, Seek, Write},
    path::Path,
};

use crate::{MediaError, Result, http::Body, interrupt::Watch};

/// Bytes of the head in which the `moov` box is looked for.
const HEAD: usize = 4096;

/// Whether a body has to be copied before it can be read.
pub(crate) fn is_needed(body: &mut Body) -> Result<bool> {
    Ok(!body.can_seek && has_table_at_end(&body.peek(HEAD)?))
}

/// Copies a body to an unnamed file in `folder`.
pub(crate) fn copy(mut body: Body, folder: &Path, watch: &Watch) -> Result<File> {
    let no_room = |error: io::Error| MediaError::NotRecorded {
        what: "it has to be stored before it can be read, and there is no room for it".into(),
        cause: error.into(),
    };
    let mut file = tempfile::tempfile_in(folder).map_err(no_room)?;
    while let Some(bytes) = body.next_bytes()? {
        watch.rearm();
        file.write_all(&bytes).map_err(no_room)?;
    }
    file.rewind().map_err(no_room)?;
    Ok(file)
}

/// Whether the media data (`mdat`) precede the `moov` box that describes them (ISO/IEC 14496-12).
fn has_table_at_end(mut head: &[u8]) -> bool {
    let is_isobmff = |name: &[u8]| matches!(name, b"ftyp" | b"mdat" | b"wide" | b"free" | b"skip" | b"pnot");
    if !head.get(4..8).is_some_and(is_isobmff) {
        return false;
    }
    loop {
        let (Some(size), Some(name)) = (head.first_chunk::<4>(), head.get(4..8)) else { return false };
        match name {
            b"mdat" => return true,
            b"moov" | b"moof" => return false,
            _ => {}
        }
        let size = u32::from_be_bytes(*size) as usize;
        match head.get(size..) {
            Some(rest) if size >= 8 => head = rest,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_boxes() {
        let boxes = |names: &[&[u8; 4]]| -> Vec<u8> {
            names.iter().flat_map(|name| [&12_u32.to_be_bytes()[..], *name, &[0; 4]].concat()).collect()
        };
        assert!(has_table_at_end(&boxes(&[b"ftyp", b"free", b"mdat", b"moov"])));
        assert!(has_table_at_end(&boxes(&[b"mdat"])));
        assert!(!has_table_at_end(&boxes(&[b"ftyp", b"moov", b"mdat"])));
        assert!(!has_table_at_end(&boxes(&[b"RIFF", b"mdat"])));
        for bad in [&b""[..], b"\0\0\0\x08ftyp", b"\0\0\0\x07ftypmdat", b"\xff\xff\xff\xffftyp"] {
            assert!(!has_table_at_end(bad));
        }
    }
}
