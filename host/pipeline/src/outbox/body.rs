//! Body of a request: multipart/form-data as bytes, so that they can be signed.
//!
//! Guarantees: the same object with the same parts gives the same bytes in every attempt.

use ocellus_core::ObjectId;
use ocellus_runtime::{Content, Part, PictureInfo};
use serde_json::json;
use sha2::{Digest, Sha256};

/// A form as it is sent.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
    /// SHA-256 of each part's content, if requested, as JSON in ASCII:
    /// `[{"name": …, "sha256": …}]`.
    pub(super) digests: Option<String>,
}

/// The form of these parts. `pictures` has the pictures that parts refer to.
pub(super) fn multipart(
    id: &ObjectId,
    parts: &[Part],
    pictures: &[(&PictureInfo, &[u8])],
    with_digests: bool,
) -> Result<Form, String> {
    let mut contents = Vec::with_capacity(parts.len());
    for part in parts {
        contents.push(match &part.content {
            Content::Text(text) => (text.as_bytes(), None),
            Content::Bytes(bytes) => (bytes.as_slice(), None),
            Content::Picture(picture) => {
                let found = pictures.iter().find(|(info, _)| info.picture == *picture);
                let (info, bytes) = found.ok_or_else(|| {
                    format!("the router plugin asked for {picture:?}, which this object does not have")
                })?;
                (*bytes, Some(info.content_type.as_str()))
            }
        });
    }
    let boundary = boundary(id, &contents.iter().map(|(bytes, _)| *bytes).collect::<Vec<_>>());
    let digests = with_digests.then(|| {
        let all = parts.iter().zip(&contents);
        let digests = all.map(|(part, (bytes, _))| json!({"name": part.name, "sha256": hex(bytes)}));
        ascii(&digests.collect::<serde_json::Value>().to_string())
    });
    let mut body = Vec::with_capacity(contents.iter().map(|(bytes, _)| bytes.len() + 256).sum());
    for (part, (content, own_type)) in parts.iter().zip(contents) {
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(&part.name));
        if let Some(filename) = &part.filename {
            head.push_str(&format!("; filename=\"{}\"", quoted(filename)));
        }
        if let Some(content_type) = part.content_type.as_deref().or(own_type) {
            head.push_str(&format!("\r\nContent-Type: {content_type}"));
        }
        body.extend([head.as_bytes(), b"\r\n\r\n", content, b"\r\n"].concat());
    }
    body.extend(format!("--{boundary}--\r\n").bytes());
    Ok(Form { content_type: format!("multipart/form-data; boundary={boundary}"), body, digests })
}

fn hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON with every character beyond ASCII escaped, as a header can hold no other.
fn ascii(json: &str) -> String {
    let mut units = [0; 2];
    let escaped = json.chars().map(|c| match c {
        ..='\x7f' => c.to_string(),
        _ => c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    });
    escaped.collect()
}

/// Letters and digits that occur in none of the contents. A hash, since ids may be longer than a
/// boundary.
fn boundary(id: &ObjectId, contents: &[&[u8]]) -> String {
    let mut salt = 0_u32;
    loop {
        let hash = Sha256::digest(format!("{id}/{salt}"));
        let boundary: String = hash.iter().take(20).map(|b| format!("{b:02x}")).collect();
        if !contents.iter().any(|c| c.windows(boundary.len()).any(|w| w == boundary.as_bytes())) {
            return boundary;
        }
        salt += 1;
    }
}

/// Escapes names as browsers do; names have no control characters.
fn quoted(name: &str) -> String {
    name.replace('"', "%22")
}

#[cfg(test)]
mod tests {
    use ocellus_core::Size;
    use ocellus_runtime::Picture;

    use super::*;

    fn part(name: &str, filename: Option<&str>, content: Content) -> Part {
        Part { name: name.into(), filename: filename.map(Into::into), content_type: None, content }
    }

    #[test]
    fn a_form_follows_rfc_7578_and_is_the_same_each_time() {
        let id: ObjectId = "7-1-face-3-0".parse().unwrap();
        let parts = [
            part("a\"b", None, Content::Text("x".into())),
            part("photo", Some("f.jpg"), Content::Picture(Picture::Photo)),
        ];
        let size = Size { width: 2, height: 1 };
        let photo =
            PictureInfo { picture: Picture::Photo, content_type: "image/jpeg".into(), size, region: [0, 0, 2, 1] };
        let pictures = [(&photo, b"\xff\xd8".as_slice())];
        let Form { content_type, body, digests } = multipart(&id, &parts, &pictures, true).unwrap();
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        let mut expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"a%22b\"\r\n\r\nx\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"f.jpg\"\r\n\
             Content-Type: image/jpeg\r\n\r\n"
        )
        .into_bytes();
        expected.extend(b"\xff\xd8\r\n");
        expected.extend(format!("--{boundary}--\r\n").bytes());
        assert_eq!(body, expected);
        let unsigned = multipart(&id, &parts, &pictures, false).unwrap();
        assert_eq!((unsigned.body, unsigned.digests), (expected, None));
        let digests = digests.unwrap();
        let digest = |text: &str| format!(r#"{{"name":"{text}""#);
        assert!(
            digests.starts_with(&format!("[{}", digest("a\\\"b"))) && digests.contains(&digest("photo")),
            "{digests}"
        );
        // As computed by sha256sum.
        assert!(digests.contains("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"), "{digests}");
        assert!(multipart(&id, &parts, &[], true).unwrap_err().contains("Photo"));
    }

    #[test]
    fn a_header_holds_any_name() {
        assert_eq!(ascii("{\"\u{e4}\u{1f600}\": 1}"), "{\"\\u00e4\\ud83d\\ude00\": 1}");
        let read: serde_json::Value = serde_json::from_str(&ascii("\"\u{e4}\u{1f600}\"")).unwrap();
        assert_eq!(read, "\u{e4}\u{1f600}");
    }

    #[test]
    fn no_content_can_end_its_part() {
        let id: ObjectId = "7-1-face-3-0".parse().unwrap();
        let first = boundary(&id, &[]);
        assert_ne!(boundary(&id, &[format!("--{first}--").as_bytes()]), first);
    }
}
