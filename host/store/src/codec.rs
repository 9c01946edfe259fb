//! Encoding of values: JSON files with a checksum, and the payloads of logs.
//!
//! A file is a JSON object whose first key is `format` and whose last one `checksum`, the
//! CRC-32 of all bytes before it, in hexadecimal digits. Files of release 0.1 have neither, and are
//! read as format 1; to edit a file by hand, remove both keys.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::error::{At, Result, StoreError};

/// Format of the data folder and of the JSON files in it, as this release writes them. 1: release
/// 0.1. 2: `format.json`; JSON files have a format and a checksum.
pub(crate) const FORMAT: u32 = 2;

/// The bytes between the checksummed part of a file and its checksum.
const BEFORE_CHECKSUM: &str = ",\n  \"checksum\": \"";

#[derive(Deserialize)]
struct Envelope {
    format: Option<u32>,
    checksum: Option<String>,
}

/// The contents of a file. `value` has to serialize as an object.
pub(crate) fn encode_file(value: &impl Serialize) -> Vec<u8> {
    let mut fields = Map::from_iter([("format".to_owned(), Value::from(FORMAT))]);
    // Cannot fail: the types that are written have string keys and finite numbers only.
    if let Ok(Value::Object(own)) = serde_json::to_value(value) {
        fields.extend(own);
    }
    let mut text = serde_json::to_string_pretty(&fields).unwrap_or_default();
    text.truncate(text.strip_suffix("\n}").map_or(0, str::len));
    let checksum = crc32fast::hash(text.as_bytes());
    text.push_str(&format!("{BEFORE_CHECKSUM}{checksum:08x}\"\n}}\n"));
    text.into_bytes()
}

/// Reads what [`encode_file`] wrote, or a file of release 0.1.
///
/// # Errors
/// `Damaged` where it is not what was written, `Newer` where it was written by a later release.
pub(crate) fn decode_file<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    verify(path, bytes)?;
    parse(path, bytes)
}

/// As [`decode_file`], for any value; without the keys `format` and `checksum`.
pub(crate) fn decode_file_value(path: &Path, bytes: &[u8]) -> Result<Value> {
    let mut value: Value = decode_file(path, bytes)?;
    if let Some(fields) = value.as_object_mut() {
        fields.shift_remove("format");
        fields.shift_remove("checksum");
    }
    Ok(value)
}

fn verify(path: &Path, bytes: &[u8]) -> Result<()> {
    // Release 0.1 also wrote arrays, which have no checksum.
    if bytes.first() == Some(&b'[') {
        return Ok(());
    }
    let envelope: Envelope = parse(path, bytes)?;
    match envelope {
        Envelope { format: Some(format), .. } if format > FORMAT => {
            Err(StoreError::Newer { path: path.into(), made_by: format!("format {format}") })
        }
        Envelope { format: None, checksum: None } => Ok(()),
        Envelope { format: Some(_), checksum: Some(written) } => {
            let end = rfind(bytes, BEFORE_CHECKSUM.as_bytes());
            let found = end.and_then(|end| bytes.get(..end)).map(crc32fast::hash);
            if found.is_some_and(|found| format!("{found:08x}") == written) {
                Ok(())
            } else {
                Err(damaged(path, "its checksum does not match"))
            }
        }
        _ => Err(damaged(path, "it has no format or no checksum")),
    }
}

/// Offset of the last occurrence of `needle`.
fn rfind(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).rposition(|window| window == needle)
}

pub(crate) fn damaged(path: &Path, reason: impl ToString) -> StoreError {
    StoreError::Damaged { path: path.to_path_buf(), reason: reason.to_string() }
}

/// The payload of a record that is JSON.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    // Cannot fail: the types that are written have string keys and finite numbers only.
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

pub(crate) fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| damaged(path, e))
}

pub(crate) fn decode<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|e| damaged(path, e))
}

pub(crate) fn encode(path: &Path, value: &impl Serialize) -> Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(|e| damaged(path, e))
}

/// Encodes a record with the part that a later release added to it. Readers of earlier releases
/// stop before the added part.
pub(crate) fn encode_extended(path: &Path, value: &impl Serialize, addition: &impl Serialize) -> Result<Vec<u8>> {
    let bytes = encode(path, value)?;
    postcard::to_extend(addition, bytes).map_err(|e| damaged(path, e))
}

/// Decodes what [`encode_extended`] wrote, or a record without the addition.
pub(crate) fn decode_extended<T: DeserializeOwned, A: DeserializeOwned + Default>(
    path: &Path,
    bytes: &[u8],
) -> Result<(T, A)> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|e| damaged(path, e))?;
    let addition = if rest.is_empty() { A::default() } else { decode(path, rest)? };
    Ok((value, addition))
}

/// Length and hash of a file, by which a change is noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileDigest {
    pub bytes: u64,
    /// 64 hexadecimal digits.
    pub sha256: String,
}

impl FileDigest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::new(bytes.len() as u64, Sha256::new_with_prefix(bytes))
    }

    pub(crate) fn new(bytes: u64, hasher: Sha256) -> Self {
        Self { bytes, sha256: hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    /// Reads a file from end to end.
    pub(crate) fn of_file(path: &Path) -> Result<Self> {
        let mut hasher = Sha256::new();
        let bytes = each_block(path, |block| hasher.update(block))?;
        Ok(Self::new(bytes, hasher))
    }
}

/// Calls `visit` with all bytes of a file, in order; returns how many there are.
pub(crate) fn each_block(path: &Path, mut visit: impl FnMut(&[u8])) -> Result<u64> {
    let mut file = File::open(path).at(path)?;
    let (mut bytes, mut block) = (0, vec![0; 1 << 18]);
    loop {
        let read = match file.read(&mut block) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => read.at(path)?,
        };
        let Some(some) = block.get(..read).filter(|some| !some.is_empty()) else { return Ok(bytes) };
        visit(some);
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Value> {
        decode_file_value(Path::new("x.json"), bytes)
    }

    #[test]
    fn files_of_release_0_1_are_read() {
        assert_eq!(read(br#"{"a": 1}"#).unwrap(), json!({"a": 1}));
        assert_eq!(read(b"[1, 2]").unwrap(), json!([1, 2]));
    }

    #[test]
    fn a_later_format_is_refused_by_name() {
        let error = read(br#"{"format": 99, "a": 1}"#).unwrap_err();
        assert!(matches!(&error, StoreError::Newer { made_by, .. } if made_by == "format 99"), "{error}");
    }

    proptest! {
        #[test]
        fn an_encoded_file_is_decoded_to_its_value(name in ".*", number: i64) {
            let value = json!({"name": name, "number": number, "empty": {}});
            prop_assert_eq!(read(&encode_file(&value)).unwrap(), value);
        }

        /// A file with any byte changed decodes to the value that was written, or is refused.
        #[test]
        fn a_changed_byte_is_noticed(at in any::<prop::sample::Index>(), bits in 1_u8..) {
            let value = json!({"name": "a camera", "job": 7});
            let mut bytes = encode_file(&value);
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
            if let Ok(read) = read(&bytes) {
                prop_assert_eq!(read, value);
            }
        }
    }
}
