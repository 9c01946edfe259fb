//! Receivers of posts with several behaviours, and a record of all posts.
//!
//! A receiver listens on its own port until it is dropped. While it refuses connections the port is
//! closed, and bound again afterwards. [`Posts`] is shared by all receivers and reports what a
//! sender must never do.

use std::{
    collections::{HashMap, HashSet},
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};
use sha2::{Digest, Sha256};

use super::violations::{ViolationKind, Violations};

/// Largest body of a post; bytes.
const LONGEST: usize = 64 << 20;
/// Interval of attempts to bind the port again.
const BIND_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Accepts,
    /// Accepts, after a while.
    Slow,
    /// Answers every second post with 500.
    Fails,
    /// Answers every post with 400.
    Rejects,
    /// Closes the connection instead of responding.
    Disconnects,
    /// Reads posts and never responds.
    Silent,
    /// Refuses connections.
    Refuses,
}

impl Behaviour {
    pub(crate) const ALL: [Self; 7] =
        [Self::Accepts, Self::Slow, Self::Fails, Self::Rejects, Self::Disconnects, Self::Silent, Self::Refuses];
}

/// Posts that all receivers got, by Idempotency-Key.
#[derive(Default)]
pub(crate) struct Posts {
    seen: Mutex<Seen>,
    violations: Arc<Violations>,
}

#[derive(Default)]
struct Seen {
    posts: u64,
    /// SHA-256 of the body, by key.
    bodies: HashMap<String, [u8; 32]>,
    /// The first key of each content.
    contents: HashMap<Content, String>,
    accepted: HashSet<String>,
}

/// Identity of an object by what is posted: posts with equal content are of one object.
#[derive(PartialEq, Eq, Hash)]
struct Content {
    /// `<video>-<job>-<type>`
    kind: String,
    bs_type: String,
    timestamp: String,
    bbox: String,
}

impl Posts {
    pub(crate) fn new(violations: Arc<Violations>) -> Self {
        Self { violations, ..Self::default() }
    }

    /// Number of posts; each attempt counts.
    pub(crate) fn count(&self) -> u64 {
        lock(&self.seen).posts
    }

    pub(crate) fn is_accepted(&self, key: &str) -> bool {
        lock(&self.seen).accepted.contains(key)
    }

    /// The keys whose posts got a success status.
    pub(crate) fn accepted(&self) -> Vec<String> {
        lock(&self.seen).accepted.iter().cloned().collect()
    }

    fn arrived(&self, key: &str, body: &[u8]) {
        let mut seen = lock(&self.seen);
        seen.posts += 1;
        let digest: [u8; 32] = Sha256::digest(body).into();
        if *seen.bodies.entry(key.to_owned()).or_insert(digest) != digest {
            self.violations.add(ViolationKind::DuplicateKey, format!("{key} came with two different bodies"));
        }
        let Some(content) = content(key, body) else {
            self.violations
                .add(ViolationKind::Answer, format!("the post under key {key:?} lacks parts that every post has"));
            return;
        };
        let first = seen.contents.entry(content).or_insert_with(|| key.to_owned());
        if first != key {
            self.violations
                .add(ViolationKind::DuplicateKey, format!("one object came under the keys {first} and {key}"));
        }
    }

    fn accept(&self, key: &str) {
        lock(&self.seen).accepted.insert(key.to_owned());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one insertion, which a panic does not leave half done.
    mutex.lock()
}

/// Content of a post with the Idempotency-Key `<video>-<job>-<type>-<track>-<shot>`.
fn content(key: &str, body: &[u8]) -> Option<Content> {
    let (kind, _) = key.rsplit_once('-').and_then(|(track, _)| track.rsplit_once('-'))?;
    let [bs_type, timestamp, bbox] = ["bs_type", "timestamp", "bbox"].map(|name| field(body, name));
    Some(Content { kind: kind.to_owned(), bs_type: bs_type?, timestamp: timestamp?, bbox: bbox? })
}

/// A text field of a multipart form.
fn field(body: &[u8], name: &str) -> Option<String> {
    let head = format!("name=\"{name}\"\r\n\r\n").into_bytes();
    let at = body.windows(head.len()).position(|window| window == head)?;
    let rest = body.get(at + head.len()..)?;
    let end = rest.windows(2).position(|window| window == b"\r\n")?;
    String::from_utf8(rest.get(..end)?.to_vec()).ok()
}

pub(crate) struct Receiver {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    posts: Arc<Posts>,
}

struct State {
    behaviour: Behaviour,
    /// Number of changes of the behaviour, by which waiting threads notice one.
    changes: u64,
    closed: bool,
}

impl Receiver {
    pub(crate) fn start(behaviour: Behaviour, posts: Arc<Posts>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port for a receiver")?;
        let address = listener.local_addr()?;
        let state = Mutex::new(State { behaviour, changes: 0, closed: false });
        let shared = Arc::new(Shared { state, changed: Condvar::new(), posts });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(listener, address)
        });
        Ok(Self { shared, address, accepting: Some(accepting) })
    }

    /// The `router_url` of this receiver.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/frame", self.address)
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.change(|state| state.behaviour = behaviour);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        {
            let mut state = lock(&self.shared.state);
            change(&mut state);
            state.changes += 1;
        }
        self.shared.changed.notify_all();
        // Wakes the accepting thread. Fails while connections are refused, when it does not wait.
        drop(TcpStream::connect(self.address));
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.change(|state| state.closed = true);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: TcpListener, address: SocketAddr) {
        let mut listener = Some(listener);
        loop {
            {
                let mut state = lock(&self.state);
                while state.behaviour == Behaviour::Refuses && !state.closed {
                    listener = None;
                    self.changed.wait(&mut state);
                }
                if state.closed {
                    return;
                }
            }
            let Some(open) = &listener else {
                // An outgoing connection of any process may use the port for a moment.
                match TcpListener::bind(address) {
                    Ok(again) => listener = Some(again),
                    Err(_) => thread::sleep(BIND_INTERVAL),
                }
                continue;
            };
            // The sender may close a connection before it is accepted.
            let Ok((stream, _)) = open.accept() else { continue };
            let shared = Arc::clone(&self);
            thread::spawn(move || {
                // Fails when the sender is killed in the middle of a post, which is expected.
                let _ = shared.converse(&stream);
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
    }

    /// Responds to the posts of one connection until it ends.
    fn converse(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some((key, body)) = read_post(&mut reader)? {
            let (behaviour, changes) = {
                let state = lock(&self.state);
                if state.closed {
                    return Ok(());
                }
                (state.behaviour, state.changes)
            };
            self.posts.arrived(&key, &body);
            let status = match behaviour {
                Behaviour::Accepts => 200,
                Behaviour::Slow => {
                    thread::sleep(Duration::from_millis(u64::from(fastrand::u16(20..300))));
                    200
                }
                Behaviour::Fails if fastrand::bool() => 500,
                Behaviour::Fails => 200,
                Behaviour::Rejects => 400,
                Behaviour::Disconnects | Behaviour::Refuses => return Ok(()),
                Behaviour::Silent => {
                    let mut state = lock(&self.state);
                    while state.changes == changes && !state.closed {
                        self.changed.wait(&mut state);
                    }
                    return Ok(());
                }
            };
            if status == 200 {
                self.posts.accept(&key);
            }
            let mut stream = stream;
            write!(stream, "HTTP/1.1 {status} Test\r\nContent-Length: 0\r\n\r\n")?;
        }
        Ok(())
    }
}

/// Reads the next post: Idempotency-Key and body; `None` at the end of the connection.
fn read_post(reader: &mut impl BufRead) -> io::Result<Option<(String, Vec<u8>)>> {
    let (mut key, mut length, mut begun) = (String::new(), 0_usize, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return if begun { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
        }
        let line = line.trim_end();
        if line.is_empty() && begun {
            break;
        }
        begun = true;
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "idempotency-key" => value.trim().clone_into(&mut key),
            "content-length" => length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?,
            _ => {}
        }
    }
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some((key, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(bbox: &str, cam_id: &str) -> Vec<u8> {
        let part = |name: &str, text: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
        };
        let parts =
            [("cam_id", cam_id), ("timestamp", "2026-01-01T00:00:00.000Z"), ("bbox", bbox), ("bs_type", "overall")];
        parts.map(|(name, text)| part(name, text)).concat().into_bytes()
    }

    fn posts() -> (Posts, Arc<Violations>) {
        let violations = Arc::new(Violations::default());
        (Posts::new(Arc::clone(&violations)), violations)
    }

    fn kinds(violations: &Violations) -> Vec<ViolationKind> {
        violations.take().into_iter().map(|violation| violation.kind).collect()
    }

    #[test]
    fn an_object_may_be_posted_again_unchanged() {
        let (posts, violations) = posts();
        posts.arrived("7-1-car-2-0", &form("[[1,2,3,4]]", "7"));
        posts.arrived("7-1-car-2-0", &form("[[1,2,3,4]]", "7"));
        // Another job, another type, another box: other objects.
        posts.arrived("7-2-car-2-0", &form("[[1,2,3,4]]", "7"));
        posts.arrived("7-1-body-2-0", &form("[[1,2,3,4]]", "7"));
        posts.arrived("7-1-car-3-0", &form("[[1,2,3,5]]", "7"));
        assert_eq!(kinds(&violations), []);
        assert_eq!(posts.count(), 5);
    }

    #[test]
    fn a_second_body_or_key_of_an_object_is_a_violation() {
        let (posts, violations) = posts();
        posts.arrived("7-1-car-2-0", &form("[[1,2,3,4]]", "7"));
        posts.arrived("7-1-car-2-0", &form("[[1,2,3,4]]", "8"));
        assert_eq!(kinds(&violations), [ViolationKind::DuplicateKey]);
        posts.arrived("7-1-car-9-0", &form("[[1,2,3,4]]", "7"));
        assert_eq!(kinds(&violations), [ViolationKind::DuplicateKey]);
        posts.arrived("no key", b"no form");
        assert_eq!(kinds(&violations), [ViolationKind::Answer]);
    }

    fn post(url: &str, key: &str) -> Option<u16> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(5)))
            .build()
            .into();
        agent.post(url).header("Idempotency-Key", key).send(&form(key, "1")).ok().map(|answer| answer.status().as_u16())
    }

    #[test]
    fn a_receiver_changes_its_behaviour_and_keeps_its_port() {
        let (posts, violations) = posts();
        let receiver = Receiver::start(Behaviour::Accepts, Arc::new(posts)).unwrap();
        let url = receiver.url();
        assert_eq!(post(&url, "1-1-car-1-0"), Some(200));
        receiver.behave(Behaviour::Rejects);
        assert_eq!(post(&url, "1-1-car-2-0"), Some(400));
        receiver.behave(Behaviour::Disconnects);
        assert_eq!(post(&url, "1-1-car-3-0"), None);
        receiver.behave(Behaviour::Silent);
        thread::scope(|scope| {
            let silent = scope.spawn(|| post(&url, "1-1-car-4-0"));
            while receiver.shared.posts.count() < 4 {
                thread::yield_now();
            }
            receiver.behave(Behaviour::Refuses);
            assert_eq!(silent.join().unwrap(), None);
        });
        receiver.behave(Behaviour::Slow);
        // Another thread binds the port again.
        while post(&url, "1-1-car-5-0") != Some(200) {}
        assert_eq!(kinds(&violations), []);
        let mut accepted = receiver.shared.posts.accepted();
        accepted.sort();
        assert_eq!(accepted, ["1-1-car-1-0", "1-1-car-5-0"]);
        assert!(receiver.shared.posts.is_accepted("1-1-car-5-0") && !receiver.shared.posts.is_accepted("1-1-car-2-0"));
    }
}
