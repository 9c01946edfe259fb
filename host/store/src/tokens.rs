//! Access tokens other than the admin token, with their scopes and expiry times.
//!
//! Owns `tokens.json` in the data folder. It holds the SHA-256 of each secret, which is enough for
//! secrets of 256 random bits, and never the secret.
//!
//! Guarantees: the command line and a running server may change the file at the same time, and both
//! changes are kept (a lock file orders them); each sees the other's at its next look-up. While the
//! file cannot be read, its tokens are refused, and it is not overwritten.

use std::{
    collections::HashMap,
    fmt,
    fs::{self, File},
    io::ErrorKind as IoErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use ocellus_core::{Error, ErrorKind, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    codec::{FileDigest, decode_file, encode_file},
    disk::Disk,
    error::{At, Result, StoreError},
};

/// Greatest number of sessions of one token; a further login ends the oldest.
const MAX_SESSIONS: usize = 1000;

/// Permissions of a token. Each scope includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reading: lists, objects, pictures, searches.
    Read,
    /// Videos, jobs and deliveries.
    Operate,
    /// Plugins, which are executable code.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "read" => Ok(Self::Read),
            "operate" => Ok(Self::Operate),
            "admin" => Ok(Self::Admin),
            _ => Err("expected read, operate or admin".into()),
        }
    }
}

/// A token as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// From 2 on: 1 is the admin token's. Never used twice.
    pub id: u32,
    /// Unique among tokens; a session has the name of its token.
    pub name: String,
    /// Its permissions.
    pub scope: Scope,
    /// SHA-256 of the secret, in hexadecimal digits.
    sha256: String,
    /// When it was added.
    pub created_date: Timestamp,
    /// Time from which on it is refused; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Accurate to a minute; `None` where it was never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
    /// Set for a token that a login created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
}

/// Origin of a token that a login created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `uuid` of the client's device: a further login from it ends this session.
    pub device: String,
    /// Id of the token that was logged in with; 1 is the admin token.
    pub user: u32,
}

/// A token to add.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// 1 to 64 letters, digits, dots, dashes and underscores, not digits alone.
    pub name: String,
    /// Its permissions.
    pub scope: Scope,
    /// Time from which on it is refused; `None` for never.
    pub expires: Option<Timestamp>,
    /// Set for a login.
    pub session: Option<Session>,
}

/// Id and name of the admin token, which has its own file.
pub const ADMIN: (u32, &str) = (1, "admin");

#[derive(Clone, Default, Serialize, Deserialize)]
struct Contents {
    last_id: u32,
    tokens: Vec<Token>,
}

/// The tokens of a data folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    data: PathBuf,
    disk: Disk,
    cache: Mutex<Cache>,
}

/// Identifies a version of the file: inode, length, modification time in seconds and nanoseconds.
type Version = (u64, u64, i64, i64);

#[derive(Debug, Default)]
struct Cache {
    version: Option<Version>,
    tokens: Vec<Token>,
    /// Times of use that are not in the file yet, by token id.
    used: HashMap<u32, Timestamp>,
    /// Whether the file could not be read, which was logged.
    unreadable: bool,
}

impl Tokens {
    /// The tokens of an existing data folder. Reads nothing yet.
    pub fn new(data: &Path) -> Self {
        let data = data.to_path_buf();
        Self(Arc::new(Inner { data, disk: Disk::default(), cache: Mutex::default() }))
    }

    fn path(&self) -> PathBuf {
        self.0.data.join("tokens.json")
    }

    /// All tokens, by id, sessions and expired ones included.
    ///
    /// # Errors
    /// `Damaged` and `Newer` where the file cannot be read.
    pub fn list(&self) -> Result<Vec<Token>> {
        let mut tokens = self.read()?.tokens;
        let used = self.0.cache.lock();
        for token in &mut tokens {
            token.last_used = token.last_used.max(used.used.get(&token.id).copied());
        }
        Ok(tokens)
    }

    /// The token with this secret, expired or not. Counts as a use unless it is expired.
    pub fn find(&self, secret: &[u8], now: Timestamp) -> Option<Token> {
        let mut cache = self.0.cache.lock();
        self.refresh(&mut cache);
        if cache.tokens.is_empty() {
            return None;
        }
        // No constant-time comparison: nobody can choose the hash, so its timing reveals nothing.
        let sha256 = FileDigest::of(secret).sha256;
        let token = cache.tokens.iter().find(|token| token.sha256 == sha256)?.clone();
        if !token.is_expired(now) {
            cache.used.insert(token.id, now);
        }
        Some(token)
    }

    /// Whether a token is still accepted. Does not count as a use.
    pub fn is_valid(&self, id: u32, now: Timestamp) -> bool {
        let mut cache = self.0.cache.lock();
        self.refresh(&mut cache);
        cache.tokens.iter().any(|token| token.id == id && !token.is_expired(now))
    }

    /// Adds a token with this secret.
    ///
    /// # Errors
    /// `Refused` for a name that is taken or invalid; `Io`; `Damaged` and `Newer` where the file
    /// cannot be read.
    pub fn add(&self, new: NewToken, secret: &str, now: Timestamp) -> Result<Token> {
        if new.session.is_none() {
            check_name(&new.name)?;
        }
        self.change(|contents| {
            match &new.session {
                None if contents.tokens.iter().any(|t| t.session.is_none() && t.name == new.name) => {
                    return Err(Error::new(ErrorKind::Conflict, format!("There is a token {} already.", new.name)));
                }
                None => {}
                Some(session) => {
                    // Expired sessions are removed, and an earlier one of this device.
                    contents
                        .tokens
                        .retain(|t| t.session.as_ref().is_none_or(|old| old != session && !t.is_expired(now)));
                    let of_user = |t: &&Token| t.session.as_ref().is_some_and(|s| s.user == session.user);
                    if contents.tokens.iter().filter(of_user).count() >= MAX_SESSIONS {
                        let oldest = contents.tokens.iter().find(of_user).map(|t| t.id);
                        contents.tokens.retain(|t| Some(t.id) != oldest);
                    }
                }
            }
            contents.last_id = contents.last_id.max(ADMIN.0) + 1;
            let token = Token {
                id: contents.last_id,
                name: new.name,
                scope: new.scope,
                sha256: FileDigest::of(secret.as_bytes()).sha256,
                created_date: now,
                expires: new.expires,
                last_used: None,
                session: new.session,
            };
            contents.tokens.push(token.clone());
            Ok(token)
        })
    }

    /// Removes the token with this name or id, and its sessions; returns how many sessions there
    /// were. For the admin token, only its sessions end.
    ///
    /// # Errors
    /// `Refused` where there is none; otherwise as [`Tokens::add`].
    pub fn revoke(&self, name_or_id: &str) -> Result<usize> {
        let id = name_or_id.parse::<u32>().ok();
        self.change(|contents| {
            let named = |t: &&Token| Some(t.id) == id || (t.session.is_none() && t.name == name_or_id);
            let found = contents.tokens.iter().find(named).map(|t| t.id);
            let admin = (id == Some(ADMIN.0) || name_or_id == ADMIN.1).then_some(ADMIN.0);
            let Some(found) = found.or(admin) else {
                return Err(Error::new(ErrorKind::NotFound, format!("There is no token {name_or_id}.")));
            };
            contents.tokens.retain(|t| t.id != found);
            let before = contents.tokens.len();
            contents.tokens.retain(|t| t.session.as_ref().is_none_or(|s| s.user != found));
            Ok(before - contents.tokens.len())
        })
    }

    /// Writes the times of use that are not yet in the file.
    ///
    /// # Errors
    /// As [`Tokens::add`]: then they are kept for the next call.
    pub fn write_uses(&self) -> Result<()> {
        let used = self.0.cache.lock().used.clone();
        if used.is_empty() {
            return Ok(());
        }
        self.change(|contents| {
            for token in &mut contents.tokens {
                token.last_used = token.last_used.max(used.get(&token.id).copied());
            }
            Ok(())
        })?;
        self.0.cache.lock().used.retain(|id, time| used.get(id) != Some(time));
        Ok(())
    }

    fn change<R>(&self, change: impl FnOnce(&mut Contents) -> ocellus_core::Result<R>) -> Result<R> {
        let path = self.0.data.join("tokens.lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path).at(&path)?;
        lock.lock().at(&path)?;
        let mut contents = self.read()?;
        let result = change(&mut contents)?;
        self.0.disk.replace(&self.path(), &encode_file(&contents))?;
        Ok(result)
    }

    fn read(&self) -> Result<Contents> {
        let path = self.path();
        match fs::read(&path) {
            Ok(bytes) => decode_file(&path, &bytes),
            Err(error) if error.kind() == IoErrorKind::NotFound => Ok(Contents::default()),
            Err(error) => Err(error).at(path),
        }
    }

    /// Reads the file again if it was replaced.
    fn refresh(&self, cache: &mut Cache) {
        let version = fs::metadata(self.path()).ok().map(|m| (m.ino(), m.len(), m.mtime(), m.mtime_nsec()));
        if version == cache.version {
            return;
        }
        match self.read() {
            Ok(contents) => (cache.tokens, cache.version, cache.unreadable) = (contents.tokens, version, false),
            Err(error) => {
                cache.tokens.clear();
                // Not `version`, so that reading is tried again.
                cache.version = None;
                if !std::mem::replace(&mut cache.unreadable, true) {
                    tracing::error!("tokens are refused, all but the admin token: {error}");
                }
            }
        }
    }
}

impl Token {
    /// Whether its expiry time has passed.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

fn check_name(name: &str) -> Result<(), StoreError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(plain) && !name.bytes().all(|b| b.is_ascii_digit());
    if !fits {
        let sentence = "A name is 1 to 64 letters, digits, dots, dashes and underscores, and not digits alone.";
        return Err(Error::bad_param("name", sentence).into());
    }
    if name == ADMIN.1 {
        return Err(Error::bad_param("name", "admin is the name of the token in admin.token.").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of a test";

    fn now() -> Timestamp {
        Timestamp::from_second(1_000_000).unwrap()
    }

    fn named(name: &str, scope: Scope) -> NewToken {
        NewToken { name: name.into(), scope, expires: None, session: None }
    }

    fn login(device: &str, user: u32) -> NewToken {
        let session = Some(Session { device: device.into(), user });
        NewToken { name: "ui".into(), scope: Scope::Read, expires: None, session }
    }

    #[test]
    fn a_secret_is_found_and_never_stored() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(dir.path());
        assert_eq!(tokens.find(SECRET.as_bytes(), now()), None);
        let added = tokens.add(named("ui", Scope::Operate), SECRET, now()).unwrap();
        assert_eq!(tokens.find(SECRET.as_bytes(), now()), Some(added.clone()));
        assert_eq!(tokens.find(b"another secret", now()), None);
        assert_eq!(tokens.find(added.sha256.as_bytes(), now()), None);
        assert!(!fs::read_to_string(tokens.path()).unwrap().contains(SECRET));
    }

    #[test]
    fn changes_of_another_process_are_seen_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (server, command) = (Tokens::new(dir.path()), Tokens::new(dir.path()));
        server.find(SECRET.as_bytes(), now());
        command.add(named("a", Scope::Read), SECRET, now()).unwrap();
        assert_eq!(server.find(SECRET.as_bytes(), now()).unwrap().name, "a");
        server.add(named("b", Scope::Read), "second", now()).unwrap();
        assert_eq!(command.list().unwrap().iter().map(|t| t.id).collect::<Vec<_>>(), [2, 3]);
        command.revoke("a").unwrap();
        assert_eq!(server.find(SECRET.as_bytes(), now()), None);
        let third = server.add(named("a", Scope::Read), "third", now()).unwrap();
        assert_eq!(third.id, 4, "an id is not used twice");
    }

    #[test]
    fn names_are_plain_and_unique() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(dir.path());
        for name in ["", "a b", "a:b", "7", "admin", &"x".repeat(65)] {
            assert!(tokens.add(named(name, Scope::Read), SECRET, now()).is_err(), "{name:?}");
        }
        tokens.add(named("ui", Scope::Read), SECRET, now()).unwrap();
        assert!(tokens.add(named("ui", Scope::Read), "second", now()).is_err());
        assert!(tokens.revoke("nobody").is_err());
    }

    #[test]
    fn a_session_ends_with_its_token_and_with_the_next_login_of_its_device() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(dir.path());
        let user = tokens.add(named("ui", Scope::Read), SECRET, now()).unwrap().id;
        for (secret, device) in [("first", "phone"), ("second", "phone"), ("third", "laptop")] {
            tokens.add(login(device, user), secret, now()).unwrap();
        }
        assert_eq!(tokens.find(b"first", now()), None);
        assert!(tokens.find(b"second", now()).is_some() && tokens.find(b"third", now()).is_some());
        tokens.add(login("phone", ADMIN.0), "admin's", now()).unwrap();
        assert_eq!(tokens.revoke("ui").unwrap(), 2);
        assert_eq!(tokens.find(b"third", now()), None);
        assert!(tokens.find(b"admin's", now()).is_some());
        assert_eq!(tokens.revoke("admin").unwrap(), 1);
    }

    #[test]
    fn uses_are_written_later_and_expiry_is_exact() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(dir.path());
        let end = Timestamp::from_second(2_000_000).unwrap();
        tokens.add(NewToken { expires: Some(end), ..named("ui", Scope::Read) }, SECRET, now()).unwrap();
        let just_before = Timestamp::from_second(1_999_999).unwrap();
        let found = tokens.find(SECRET.as_bytes(), just_before).unwrap();
        assert!(!found.is_expired(just_before) && found.is_expired(end));
        tokens.find(SECRET.as_bytes(), end);
        let on_disk = || Tokens::new(dir.path()).list().unwrap()[0].last_used;
        assert_eq!(on_disk(), None);
        tokens.write_uses().unwrap();
        assert_eq!(on_disk(), Some(just_before), "a use after expiry does not count");
    }

    #[test]
    fn a_damaged_file_grants_no_access_and_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(dir.path());
        tokens.add(named("ui", Scope::Admin), SECRET, now()).unwrap();
        let text = fs::read_to_string(tokens.path()).unwrap().replace("admin", "operate");
        fs::write(tokens.path(), &text).unwrap();
        assert_eq!(tokens.find(SECRET.as_bytes(), now()), None);
        assert!(tokens.add(named("b", Scope::Read), "second", now()).is_err());
        assert_eq!(fs::read_to_string(tokens.path()).unwrap(), text);
    }
}
