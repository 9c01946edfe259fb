//! Parser of RTSP messages (RFC 2326): splits a connection's bytes into messages and interleaved
//! packets, and a message into its parts.
//!
//! Unknown bytes are passed on unchanged, since cameras differ.

use bytes::{Bytes, BytesMut};

/// Limit of the bytes of a message's head.
const MOST_HEAD: usize = 64 << 10;
/// Limit of the bytes of its body.
const MOST_BODY: usize = 1 << 20;

/// First byte of an interleaved RTP or RTCP packet (RFC 2326 section 10.12).
const PACKET: u8 = b'$';

/// A part of a connection's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Bytes of an RTP or RTCP packet.
    Packet(Bytes),
    Message(Bytes),
    /// Neither of them.
    Other(Bytes),
}

/// Splitter of the bytes from one end of a connection.
pub(super) struct Parts {
    /// Missing bytes of the present packet.
    left: usize,
    /// Recognizes requests as well as responses.
    requests: bool,
}

impl Parts {
    pub(super) fn of_client() -> Self {
        Self { left: 0, requests: true }
    }

    pub(super) fn of_camera() -> Self {
        Self { left: 0, requests: false }
    }

    /// Takes the next part out of `read`; `None` where it is incomplete.
    pub(super) fn next(&mut self, read: &mut BytesMut) -> Option<Part> {
        let first = *read.first()?;
        if self.left == 0 && first == PACKET {
            let [_, _, high, low] = *read.first_chunk()?;
            self.left = 4 + usize::from(u16::from_be_bytes([high, low]));
        }
        if self.left > 0 {
            let count = self.left.min(read.len());
            self.left -= count;
            return Some(Part::Packet(read.split_to(count).freeze()));
        }
        if self.may_begin_message(read) {
            match extent(read) {
                Extent::Whole(count) => return Some(Part::Message(read.split_to(count).freeze())),
                Extent::Unfinished => return None,
                Extent::TooLong => {}
            }
        }
        let begins = |byte: &u8| *byte == PACKET || *byte == b'R';
        let count = read.iter().skip(1).position(begins).map_or(read.len(), |place| place + 1);
        Some(Part::Other(read.split_to(count).freeze()))
    }

    fn may_begin_message(&self, bytes: &[u8]) -> bool {
        const ANSWER: &[u8] = b"RTSP/";
        let is_answer = bytes.starts_with(ANSWER) || ANSWER.starts_with(bytes);
        is_answer || (self.requests && bytes.first().is_some_and(u8::is_ascii_uppercase))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Extent {
    /// Length in bytes.
    Whole(usize),
    Unfinished,
    TooLong,
}

/// The extent of a message at the start of `bytes`.
fn extent(bytes: &[u8]) -> Extent {
    let Some((head, count)) = bytes.get(..MOST_HEAD.min(bytes.len())).and_then(head) else {
        return if bytes.len() < MOST_HEAD { Extent::Unfinished } else { Extent::TooLong };
    };
    let body = Message::parse(head).number("Content-Length").unwrap_or(0);
    match usize::try_from(body) {
        Ok(body) if body > MOST_BODY => Extent::TooLong,
        Ok(body) if bytes.len() >= count + body => Extent::Whole(count + body),
        Ok(_) => Extent::Unfinished,
        Err(_) => Extent::TooLong,
    }
}

/// The lines before the first empty line, and the length including that line.
fn head(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let mut start = 0;
    for (end, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        if matches!(bytes.get(start..end), Some(b"" | b"\r")) {
            return Some((bytes.get(..start)?, end + 1));
        }
        start = end + 1;
    }
    None
}

/// A request or a response.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// The request line or the status line.
    pub first: &'a [u8],
    /// Lines without line ends.
    headers: Vec<&'a [u8]>,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Parses a message; the body is empty where `bytes` is only the head.
    pub(super) fn parse(bytes: &'a [u8]) -> Self {
        let (head, body) = match head(bytes) {
            Some((head, count)) => (head, bytes.get(count..).unwrap_or_default()),
            None => (bytes, &[][..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let first = lines.next().unwrap_or_default();
        Self { first, headers: lines.filter(|line| !line.is_empty()).collect(), body }
    }

    /// All values of a header.
    pub(super) fn headers(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter_map(move |line| {
            let (found, value) = split_at(line, b':')?;
            found.trim_ascii().eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
        })
    }

    pub(super) fn number(&self, header: &str) -> Option<u32> {
        std::str::from_utf8(self.headers(header).next()?).ok()?.parse().ok()
    }

    /// The three words of the first line.
    pub(super) fn words(&self) -> Option<[&'a [u8]; 3]> {
        let (one, rest) = split_at(self.first, b' ')?;
        let (two, three) = split_at(rest, b' ')?;
        Some([one, two, three])
    }

    /// The message with another first line, without the headers `gone`, and with the headers `new`
    /// before all others.
    pub(super) fn changed(&self, first: &[u8], gone: &[&str], new: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = first.to_vec();
        for (name, value) in new {
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
        }
        let is_gone = |line: &[u8]| {
            split_at(line, b':').is_some_and(|(name, _)| {
                gone.iter().any(|gone| name.trim_ascii().eq_ignore_ascii_case(gone.as_bytes()))
            })
        };
        for line in self.headers.iter().filter(|line| !is_gone(line)) {
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(line);
        }
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(self.body);
        bytes
    }
}

fn split_at(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|byte| *byte == separator)?;
    Some((bytes.get(..place)?, bytes.get(place + 1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All parts of bytes that arrive in pieces of `step`.
    fn parts(mut of: Parts, bytes: &[u8], step: usize) -> Vec<Part> {
        let (mut read, mut found) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(step) {
            read.extend_from_slice(piece);
            while let Some(part) = of.next(&mut read) {
                found.push(part);
            }
        }
        if !read.is_empty() {
            found.push(Part::Other(read.freeze()));
        }
        found
    }

    fn text(part: &Part) -> &[u8] {
        match part {
            Part::Packet(bytes) | Part::Message(bytes) | Part::Other(bytes) => bytes,
        }
    }

    #[test]
    fn packets_and_messages_are_told_apart_wherever_they_are_cut() {
        let answer = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\ncontent-length: 4\r\n\r\n$\n\nR";
        let bytes = [&b"$\0\0\x03RTS"[..], answer, b"$\x01\0\0", b"RTSP/1.0 200 OK\n\n", b"?junk"].concat();
        for step in [1, 2, 3, 7, bytes.len()] {
            let found = parts(Parts::of_camera(), &bytes, step);
            let messages: Vec<_> = found.iter().filter(|part| matches!(part, Part::Message(_))).map(text).collect();
            assert_eq!(messages, [&answer[..], b"RTSP/1.0 200 OK\n\n"], "{step}");
            let packets: Vec<u8> =
                found.iter().filter(|part| matches!(part, Part::Packet(_))).flat_map(text).copied().collect();
            assert_eq!(packets, b"$\0\0\x03RTS$\x01\0\0", "{step}");
        }
        assert!(matches!(&parts(Parts::of_client(), b"PLAY * RTSP/1.0\r\n\r\n", 5)[..], [Part::Message(_)]));
    }

    #[test]
    fn changes_of_a_message_keep_the_rest() {
        let message = Message::parse(b"PLAY u RTSP/1.0\r\nCseq : 7\r\nRange: npt=0-\r\nAUTHORIZATION: x\r\n\r\nbody");
        assert_eq!(message.words(), Some([&b"PLAY"[..], b"u", b"RTSP/1.0"]));
        assert_eq!((message.number("CSeq"), message.number("Session")), (Some(7), None));
        let changed = message.changed(b"PLAY v RTSP/1.0", &["CSeq", "Authorization"], &[("CSeq", b"8")]);
        assert_eq!(changed, b"PLAY v RTSP/1.0\r\nCSeq: 8\r\nRange: npt=0-\r\n\r\nbody");
    }

    #[test]
    fn an_overlong_message_is_passed_on() {
        let long = [&b"RTSP/1.0 200 OK\r\n"[..], &vec![b'x'; MOST_HEAD]].concat();
        assert_eq!(extent(&long), Extent::TooLong);
        assert_eq!(extent(b"RTSP/1.0 200 OK\r\nContent-Length: 9999999\r\n\r\n"), Extent::TooLong);
        let found = parts(Parts::of_camera(), &long, 1000);
        assert_eq!(found.iter().map(|part| text(part).len()).sum::<usize>(), long.len());
    }

    proptest! {
        #[test]
        fn all_bytes_come_out_in_order(bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(PACKET), Just(b'\n'), Just(b'R'), Just(0)], 0..300), step in 1_usize..50) {
            for of in [Parts::of_camera(), Parts::of_client()] {
                let found: Vec<u8> = parts(of, &bytes, step).iter().flat_map(text).copied().collect();
                prop_assert_eq!(&found, &bytes);
            }
        }
    }
}
