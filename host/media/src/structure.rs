//! Completeness of a file's outer structure: whether the boxes, elements or chunks that a container
//! is made of end exactly where the file ends.
//!
//! A header may declare any duration. Where the outer structure is complete, nothing was cut off,
//! and a declared duration that the packets do not reach is wrong. Sources: ISO/IEC 14496-12 4.2
//! (boxes), RFC 8794 and RFC 9559 (EBML, Matroska), Microsoft's RIFF and OpenDML (AVI).

use std::io::{Read, Seek, SeekFrom};

/// Limit of the top-level parts that are read: a recording of a day in fragments of a second has
/// fewer.
const MAX_PARTS: usize = 1 << 20;

/// Whether the file is known to be complete; `false` for kinds whose structure does not tell.
pub(crate) fn is_complete(file: &mut (impl Read + Seek)) -> bool {
    complete(file).unwrap_or(false)
}

/// The name of a kind of file that some versions of FFmpeg cannot read, by its first bytes.
pub(crate) fn rare_kind(file: &mut (impl Read + Seek)) -> Option<&'static str> {
    match bytes::<12>(file, 0)? {
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match &brand {
            b"avif" | b"avis" => Some("AVIF"),
            b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1" => Some("HEIC"),
            _ => None,
        },
        // In the extended format, the animation flag.
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => match bytes::<9>(file, 12)? {
            [b'V', b'P', b'8', b'X', _, _, _, _, flags] if flags & 2 != 0 => Some("animated WebP"),
            _ => None,
        },
        _ => None,
    }
}

/// `None` where a read fails or the structure is invalid.
fn complete(file: &mut (impl Read + Seek)) -> Option<bool> {
    let length = file.seek(SeekFrom::End(0)).ok()?;
    match bytes::<12>(file, 0)? {
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => tiles(file, 0, length, isobmff_box),
        [b'R', b'I', b'F', b'F', ..] => tiles(file, 0, length, riff_chunk),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => matroska(file, length),
        _ => None,
    }
}

/// `N` bytes at an offset.
fn bytes<const N: usize>(file: &mut (impl Read + Seek), at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(at)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// Whether parts follow each other from `start` to exactly `end`. `next` returns the end of the
/// part that begins at an offset.
fn tiles<F: Read + Seek>(
    file: &mut F,
    start: u64,
    end: u64,
    next: impl Fn(&mut F, u64, u64) -> Option<u64>,
) -> Option<bool> {
    let mut at = start;
    for _ in 0..MAX_PARTS {
        if at >= end {
            return Some(at == end);
        }
        at = next(file, at, end).filter(|after| *after > at)?;
    }
    None
}

fn isobmff_box(file: &mut (impl Read + Seek), at: u64, end: u64) -> Option<u64> {
    match u32::from_be_bytes(bytes(file, at)?) {
        // Size 0 means to the end of the file, which an interrupted writer leaves, too.
        0 => None,
        1 => at.checked_add(u64::from_be_bytes(bytes(file, at.checked_add(8)?)?)),
        size if u64::from(size) >= 8 => at.checked_add(u64::from(size)),
        _ => None,
    }
    .filter(|after| *after <= end)
}

fn riff_chunk(file: &mut (impl Read + Seek), at: u64, end: u64) -> Option<u64> {
    let [_, _, _, _, a, b, c, d] = bytes::<8>(file, at)?;
    let size = u64::from(u32::from_le_bytes([a, b, c, d]));
    at.checked_add(8)?.checked_add(size.next_multiple_of(2)).filter(|after| *after <= end)
}

/// The EBML header, then one segment whose elements tile it.
fn matroska(file: &mut (impl Read + Seek), length: u64) -> Option<bool> {
    let (content, size) = element(file, 0)?;
    let (content, size) = element(file, content.checked_add(size)?)?;
    let end = content.checked_add(size)?;
    if end != length {
        return Some(false);
    }
    tiles(file, content, end, |file, at, end| {
        let (content, size) = element(file, at)?;
        content.checked_add(size).filter(|after| *after <= end)
    })
}

/// Offset and size of an element's content; `None` for an unknown size, as in live streams.
fn element(file: &mut (impl Read + Seek), at: u64) -> Option<(u64, u64)> {
    let (_, id_length) = vint(file, at, 4)?;
    let (size, size_length) = vint(file, at.checked_add(id_length)?, 8)?;
    let known = size != (1_u64 << (7 * size_length)) - 1;
    known.then_some((at.checked_add(id_length)?.checked_add(size_length)?, size))
}

/// A variable-length integer without its marker, and its length in bytes.
fn vint(file: &mut (impl Read + Seek), at: u64, longest: u32) -> Option<(u64, u64)> {
    let [first] = bytes::<1>(file, at)?;
    let length = first.leading_zeros() + 1;
    if length > longest {
        return None;
    }
    let mut value = u64::from(first) & ((1 << (8 - length)) - 1);
    for n in 1..length {
        let [byte] = bytes::<1>(file, at.checked_add(n.into())?)?;
        value = value << 8 | u64::from(byte);
    }
    Some((value, length.into()))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    fn boxes(parts: &[(&[u8; 4], usize)]) -> Vec<u8> {
        let one =
            |(name, size): &(&[u8; 4], usize)| [&(*size as u32 + 8).to_be_bytes()[..], *name, &vec![7; *size]].concat();
        parts.iter().flat_map(one).collect()
    }

    fn matroska(clusters: usize) -> Vec<u8> {
        let cluster = [&[0x1f, 0x43, 0xb6, 0x75, 0x85][..], &[1; 5]].concat().repeat(clusters);
        let header = [0x1a, 0x45, 0xdf, 0xa3, 0x82, 0, 0];
        let segment = [&[0x18, 0x53, 0x80, 0x67, 0x40][..], &[cluster.len() as u8]].concat();
        [&header[..], &segment, &cluster].concat()
    }

    fn is_complete(bytes: &[u8]) -> bool {
        super::is_complete(&mut Cursor::new(bytes))
    }

    #[test]
    fn whole_files_are_complete_and_cut_ones_are_not() {
        let avi = [&b"RIFF"[..], &9_u32.to_le_bytes(), &[b'A'; 10]].concat();
        for whole in [boxes(&[(b"ftyp", 8), (b"moov", 100), (b"mdat", 1000)]), matroska(9), avi] {
            assert!(is_complete(&whole));
            for end in 1..whole.len() {
                let at_the_end_of_a_part = whole.starts_with(b"\0") && [16, 124].contains(&end);
                assert_eq!(is_complete(&whole[..end]), at_the_end_of_a_part, "{end} of {}", whole.len());
            }
        }
    }

    #[test]
    fn a_live_stream_never_says() {
        let mut live = matroska(3);
        live[11] = 0x7f;
        live[12] = 0xff;
        assert!(!is_complete(&live));
        assert!(!is_complete(b"FLV\x01\x05\0\0\0\x09\0\0\0\0"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_result(head in 0..3_usize, rest in prop::collection::vec(any::<u8>(), 0..300)) {
            let heads: [&[u8]; 3] = [b"\0\0\0\x10ftyp", b"RIFF", &[0x1a, 0x45, 0xdf, 0xa3]];
            is_complete(&[heads[head], &rest[..]].concat());
        }
    }
}
