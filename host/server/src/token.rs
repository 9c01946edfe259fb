//! Secrets of the server, created on the first start and kept in the data folder: the admin token,
//! and the key of signed URLs.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, Result};
use ocellus_api::{AdminToken, UrlSigner};

/// Reads the token from `path`, or creates one there with mode 0600. The second value is whether it
/// was created.
pub(crate) fn read_or_create(path: &Path) -> Result<(AdminToken, bool)> {
    let (text, created) = secret(path)?;
    let token = AdminToken::new(text.trim()).with_context(|| format!("{} holds no token", path.display()))?;
    Ok((token, created))
}

/// The signer of URLs, with the key in `path`, which is created if missing. Removing the file
/// invalidates all signed URLs.
pub(crate) fn url_signer(path: &Path) -> Result<UrlSigner> {
    let (text, _) = secret(path)?;
    let bytes: Option<Vec<u8>> = text
        .trim()
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    Ok(UrlSigner::new(&key.with_context(|| format!("{} holds no key", path.display()))?))
}

/// The secret in `path`, 32 random bytes as hexadecimal digits, which is created if missing; and
/// whether it was created now.
fn secret(path: &Path) -> Result<(String, bool)> {
    match fs::read_to_string(path) {
        Ok(text) => return Ok((text, false)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let text = random_secret()?;
    // Written under another name and renamed: a truncated token would lock its owner out.
    let part = path.with_extension("part");
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(format!("{text}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok((text, true))
}

/// 256 random bits, in hexadecimal digits.
pub(crate) fn random_secret() -> Result<String> {
    let mut secret = [0_u8; 32];
    getrandom::fill(&mut secret).context("the system has no random numbers")?;
    Ok(secret.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_created_once_and_readable_by_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.token");
        assert!(read_or_create(&path).unwrap().1);
        let first = fs::read_to_string(&path).unwrap();
        assert_eq!(first.trim().len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!read_or_create(&path).unwrap().1);
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
    }

    #[test]
    fn the_key_of_urls_is_created_once_and_has_to_be_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("url.key");
        url_signer(&path).unwrap();
        let first = fs::read_to_string(&path).unwrap();
        url_signer(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        for bad in ["", "0011", "no digits at all, but long enough for a key: 012345"] {
            fs::write(&path, bad).unwrap();
            assert!(format!("{:#}", url_signer(&path).unwrap_err()).contains("url.key"), "{bad}");
        }
    }

    #[test]
    fn the_error_of_an_invalid_token_file_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.token");
        fs::write(&path, "\n").unwrap();
        assert!(format!("{:#}", read_or_create(&path).unwrap_err()).contains("admin.token"));
    }
}
