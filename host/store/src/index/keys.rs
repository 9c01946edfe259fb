//! Keys of the index's trees: byte strings that sort like the values that they encode.

use ocellus_core::{Timestamp, VideoId};

use crate::error::{Result, unreadable_entry};

/// Sorts like the number of microseconds.
pub(super) fn time_key(us: i64) -> [u8; 8] {
    ((us as u64) ^ (1 << 63)).to_be_bytes()
}

/// The time at the beginning of a key.
pub(super) fn time_of(key: &[u8]) -> Result<Timestamp> {
    let us = key.first_chunk().map(|bytes| (u64::from_be_bytes(*bytes) ^ (1 << 63)) as i64);
    us.and_then(|us| Timestamp::from_microsecond(us).ok()).ok_or_else(unreadable_entry)
}

/// Sorts like the names, no name first; no key is a prefix of another.
pub(super) fn name_key(name: Option<&str>) -> Vec<u8> {
    let Some(name) = name else { return vec![0] };
    let mut key = vec![1];
    for byte in name.bytes() {
        key.push(byte);
        if byte == 0 {
            key.push(0xff);
        }
    }
    key.extend([0, 0]);
    key
}

/// The key of a video in an ordering: ties are broken by id.
pub(super) fn with_id(mut key: Vec<u8>, id: VideoId) -> Vec<u8> {
    key.extend(id.0.to_be_bytes());
    key
}

/// The video whose id ends a key.
pub(super) fn video_of(key: &[u8]) -> Result<VideoId> {
    key.last_chunk().map(|id| VideoId(u64::from_be_bytes(*id))).ok_or_else(unreadable_entry)
}

/// The key of an object, and of its delivery; `number`: of the object within its job.
pub(super) fn object_key(video: VideoId, number: u32) -> Vec<u8> {
    [&video.0.to_be_bytes()[..], &number.to_be_bytes()].concat()
}

/// The number in an object's key.
pub(crate) fn number_of(key: &[u8]) -> Result<u32> {
    let number = key.get(8..).and_then(|n| n.try_into().ok()).ok_or_else(unreadable_entry)?;
    Ok(u32::from_be_bytes(number))
}

/// The half-open range of a video's objects strictly between the keys `from` and `to`; `None` where
/// it is empty.
pub(super) fn objects_between(video: VideoId, from: Option<&[u8]>, to: Option<&[u8]>) -> Option<(Vec<u8>, Vec<u8>)> {
    let prefix = video.0.to_be_bytes();
    let low = from.map_or_else(|| prefix.to_vec(), |f| [f, &[0]].concat());
    let high = to.map_or_else(|| [&prefix[..], &[0xff; 5]].concat(), <[u8]>::to_vec);
    (low.starts_with(&prefix) && high.starts_with(&prefix) && low < high).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_sort_like_their_values(a: i64, b: i64, m in "\\PC{0,8}|\0|a\0b", n in "\\PC{0,8}|\0|a") {
            prop_assert_eq!(time_key(a).cmp(&time_key(b)), a.cmp(&b));
            let (x, y) = (with_id(name_key(Some(&m)), VideoId(1)), with_id(name_key(Some(&n)), VideoId(1)));
            prop_assert_eq!(x.cmp(&y), m.cmp(&n));
            prop_assert!(with_id(name_key(None), VideoId(u64::MAX)) < x);
        }
    }
}
