//! RTSP dialogue with a camera: rewriting of FFmpeg's requests and of the camera's responses.
//!
//! Owns the credentials, the sequence numbers (`CSeq`) of the camera's side, and the state needed
//! to tear down the session.

use std::collections::VecDeque;

use bytes::Bytes;

use super::message::Message;
use crate::credentials::Credentials;

/// Allowed methods: those that read a stream. FFmpeg selects streams of some servers by
/// `SET_PARAMETER`.
const METHODS: [&[u8]; 8] =
    [b"OPTIONS", b"DESCRIBE", b"SETUP", b"PLAY", b"PAUSE", b"GET_PARAMETER", b"SET_PARAMETER", b"TEARDOWN"];
const VERSION: &[u8] = b"RTSP/1.0";
/// Limit of the unanswered requests.
const MOST_SENT: usize = 16;

pub(super) struct Dialogue {
    /// The relay's URL, as FFmpeg knows it.
    own: Vec<u8>,
    /// The camera's URL, without credentials.
    url: Vec<u8>,
    credentials: Option<Credentials>,
    /// `CSeq` of the last request.
    number: u32,
    /// Unanswered requests.
    sent: VecDeque<Sent>,
    session: Option<Vec<u8>>,
    /// URL of the last `PLAY`.
    playing: Option<Vec<u8>>,
}

struct Sent {
    number: u32,
    /// FFmpeg's `CSeq`.
    asked: Option<u32>,
    method: Vec<u8>,
    url: Vec<u8>,
    request: Bytes,
    /// It was repeated with credentials, after a challenge.
    is_identified: bool,
}

/// Destination of a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    ToClient(Bytes),
    /// The request again, with credentials.
    ToCamera(Vec<u8>),
}

impl Dialogue {
    pub(super) fn new(own: &str, url: &str, credentials: Option<Credentials>) -> Self {
        let (own, url) = (own.as_bytes().to_vec(), url.as_bytes().to_vec());
        Self { own, url, credentials, number: 0, sent: VecDeque::new(), session: None, playing: None }
    }

    pub(super) fn own(&self) -> &[u8] {
        &self.own
    }

    /// Rewrites a request of FFmpeg for the camera; `None` where it is not allowed.
    pub(super) fn request(&mut self, bytes: &Bytes) -> Option<Vec<u8>> {
        let message = Message::parse(bytes);
        if message.first.starts_with(b"RTSP/") {
            // A response to a request of the camera.
            return Some(bytes.to_vec());
        }
        let [method, url, version] = message.words()?;
        if version != VERSION || !METHODS.contains(&method) {
            return None;
        }
        // Other URLs are those that the camera itself gave to parts of the stream.
        let url = match url.strip_prefix(&self.own[..]) {
            Some(rest) => [&self.url, rest].concat(),
            None => url.to_vec(),
        };
        match method {
            b"PLAY" => self.playing = Some(url.clone()),
            b"TEARDOWN" => self.session = None,
            _ => {}
        }
        let sent = Sent {
            number: 0,
            asked: message.number("CSeq"),
            method: method.to_vec(),
            url,
            request: bytes.clone(),
            is_identified: false,
        };
        Some(self.send(sent))
    }

    fn send(&mut self, sent: Sent) -> Vec<u8> {
        self.number += 1;
        let number = self.number.to_string();
        let (method, url) = (String::from_utf8_lossy(&sent.method), String::from_utf8_lossy(&sent.url));
        let identity = self.credentials.as_mut().and_then(|own| own.answer(&method, &url));
        let mut new = vec![("CSeq", number.as_bytes())];
        new.extend(identity.as_ref().map(|identity| ("Authorization", identity.as_bytes())));
        let first = [&sent.method[..], b" ", &sent.url, b" ", VERSION].concat();
        let bytes = Message::parse(&sent.request).changed(&first, &["CSeq", "Authorization"], &new);
        if self.sent.len() >= MOST_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { number: self.number, ..sent });
        bytes
    }

    /// Handles a response of the camera.
    pub(super) fn answer(&mut self, bytes: Bytes) -> Answer {
        let message = Message::parse(&bytes);
        let number = message.number("CSeq");
        // Some cameras send a wrong CSeq or none: then it is for the oldest request.
        let place = self.sent.iter().position(|sent| Some(sent.number) == number).unwrap_or(0);
        let Some(sent) = self.sent.remove(place) else { return Answer::ToClient(bytes) };
        let is_refused = message.words().is_some_and(|[_, status, _]| status == b"401");
        if is_refused && !sent.is_identified && self.is_challenged(&message) {
            return Answer::ToCamera(self.send(Sent { is_identified: true, ..sent }));
        }
        if sent.method != b"TEARDOWN"
            && let Some(session) = message.headers("Session").next()
        {
            self.session = session.split(|byte| *byte == b';').next().map(|id| id.trim_ascii().to_vec());
        }
        let asked = sent.asked.map(|number| number.to_string());
        let new: Vec<_> = asked.iter().map(|asked| ("CSeq", asked.as_bytes())).collect();
        // FFmpeg has no credentials to answer a challenge.
        Answer::ToClient(message.changed(message.first, &["CSeq", "WWW-Authenticate"], &new).into())
    }

    fn is_challenged(&mut self, message: &Message<'_>) -> bool {
        let challenges = message.headers("WWW-Authenticate").filter_map(|value| std::str::from_utf8(value).ok());
        self.credentials.as_mut().is_some_and(|own| own.take_challenges(challenges))
    }

    /// The `TEARDOWN` request, where there is a session that FFmpeg has not ended.
    pub(super) fn goodbye(&mut self) -> Option<Vec<u8>> {
        let session = self.session.take()?;
        let url = self.playing.clone().unwrap_or_else(|| self.url.clone());
        let request = [b"TEARDOWN * RTSP/1.0\r\nSession: ", &session[..], b"\r\n\r\n"].concat().into();
        let method = b"TEARDOWN".to_vec();
        Some(self.send(Sent { number: 0, asked: None, method, url, request, is_identified: true }))
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    const OWN: &str = "rtsp://127.0.0.1:4000/key";

    fn dialogue(login: &str) -> Dialogue {
        let mut url = Url::parse(&format!("rtsp://{login}camera:554/a?b=1")).unwrap();
        let credentials = Credentials::take_from(&mut url);
        Dialogue::new(OWN, url.as_str(), credentials)
    }

    fn ask(dialogue: &mut Dialogue, request: &str) -> Option<String> {
        let sent = dialogue.request(&Bytes::from(format!("{request}\r\n\r\n")))?;
        Some(String::from_utf8(sent).unwrap())
    }

    fn answer(dialogue: &mut Dialogue, answer: &str) -> Answer {
        dialogue.answer(Bytes::from(format!("{answer}\r\n\r\n")))
    }

    fn to_client(text: &str) -> Answer {
        Answer::ToClient(Bytes::from(format!("{text}\r\n\r\n")))
    }

    #[test]
    fn a_camera_reads_its_own_url() {
        let mut own = dialogue("");
        let sent = ask(&mut own, &format!("DESCRIBE {OWN} RTSP/1.0\r\nCSeq: 5\r\nAccept: x")).unwrap();
        assert_eq!(sent, "DESCRIBE rtsp://camera:554/a?b=1 RTSP/1.0\r\nCSeq: 1\r\nAccept: x\r\n\r\n");
        assert_eq!(answer(&mut own, "RTSP/1.0 200 OK\r\nCSeq: 1"), to_client("RTSP/1.0 200 OK\r\nCSeq: 5"));
        let sent = ask(&mut own, &format!("SETUP {OWN}/track1 RTSP/1.0\r\nCSeq: 6")).unwrap();
        assert!(sent.starts_with("SETUP rtsp://camera:554/a?b=1/track1 RTSP/1.0\r\n"), "{sent}");
        let sent = ask(&mut own, "SETUP rtsp://inner/track2 RTSP/1.0\r\nCSeq: 7").unwrap();
        assert!(sent.starts_with("SETUP rtsp://inner/track2 RTSP/1.0\r\n"), "{sent}");
        assert_eq!(answer(&mut own, "RTSP/1.0 200 OK\r\nCSeq: 99"), to_client("RTSP/1.0 200 OK\r\nCSeq: 6"));
        assert_eq!(answer(&mut own, "RTSP/1.0 200 OK"), to_client("RTSP/1.0 200 OK\r\nCSeq: 7"));
        assert_eq!(answer(&mut own, "RTSP/1.0 200 OK\r\nCSeq: 99"), to_client("RTSP/1.0 200 OK\r\nCSeq: 99"));
    }

    #[test]
    fn only_methods_that_read_a_stream_are_sent() {
        let mut own = dialogue("");
        for request in [
            "RECORD rtsp://camera/a RTSP/1.0",
            "ANNOUNCE rtsp://camera/a RTSP/1.0",
            "GET / HTTP/1.1",
            "PLAY rtsp://camera/a",
            "PLAY rtsp://camera/a HTTP/1.1",
            "",
        ] {
            assert_eq!(ask(&mut own, request), None, "{request}");
        }
        assert!(ask(&mut own, "RTSP/1.0 200 OK\r\nCSeq: 1").is_some());
    }

    #[test]
    fn credentials_are_sent_after_a_challenge() {
        let mut own = dialogue("user:pw@");
        let request = format!("DESCRIBE {OWN} RTSP/1.0\r\nCSeq: 2\r\nAuthorization: Basic own");
        assert!(!ask(&mut own, &request).unwrap().contains("Authorization"));
        let challenge =
            |number| format!("RTSP/1.0 401 Unauthorized\r\nCSeq: {number}\r\nWWW-Authenticate: Basic realm=\"a\"");
        let Answer::ToCamera(again) = answer(&mut own, &challenge(1)) else { panic!("not asked again") };
        let again = String::from_utf8(again).unwrap();
        assert_eq!(
            again,
            "DESCRIBE rtsp://camera:554/a?b=1 RTSP/1.0\r\nCSeq: 2\r\nAuthorization: Basic dXNlcjpwdw==\r\n\r\n"
        );
        // Wrong ones are sent once: some cameras lock the account after several attempts.
        assert_eq!(
            answer(&mut own, &challenge(2)),
            to_client("RTSP/1.0 401 Unauthorized\r\nCSeq: 2"),
            "the challenge is not for FFmpeg"
        );
        assert!(ask(&mut own, &format!("PLAY {OWN} RTSP/1.0\r\nCSeq: 3")).unwrap().contains("Basic dXNlcjpwdw=="));
        let mut unknown = dialogue("");
        ask(&mut unknown, &request);
        assert_eq!(answer(&mut unknown, &challenge(1)), to_client("RTSP/1.0 401 Unauthorized\r\nCSeq: 2"));
    }

    #[test]
    fn a_session_is_ended_once() {
        let mut own = dialogue("");
        assert_eq!(own.goodbye(), None);
        ask(&mut own, &format!("SETUP {OWN}/1 RTSP/1.0\r\nCSeq: 1"));
        answer(&mut own, "RTSP/1.0 200 OK\r\nCSeq: 1\r\nSession: 77 ;timeout=60");
        ask(&mut own, "PLAY rtsp://camera/a/ RTSP/1.0\r\nCSeq: 2\r\nSession: 77");
        answer(&mut own, "RTSP/1.0 200 OK\r\nCSeq: 2\r\nSession: 77");
        let goodbye = String::from_utf8(own.goodbye().unwrap()).unwrap();
        assert_eq!(goodbye, "TEARDOWN rtsp://camera/a/ RTSP/1.0\r\nCSeq: 3\r\nSession: 77\r\n\r\n");
        assert_eq!(own.goodbye(), None);

        ask(&mut own, &format!("SETUP {OWN}/1 RTSP/1.0\r\nCSeq: 1"));
        answer(&mut own, "RTSP/1.0 200 OK\r\nCSeq: 4\r\nSession: 78");
        ask(&mut own, &format!("TEARDOWN {OWN} RTSP/1.0\r\nCSeq: 2\r\nSession: 78"));
        answer(&mut own, "RTSP/1.0 200 OK\r\nCSeq: 5\r\nSession: 78");
        assert_eq!(own.goodbye(), None);
    }
}
