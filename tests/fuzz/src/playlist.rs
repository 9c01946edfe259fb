//! Target `playlist`: a web server's response: its status line, headers and body, for example a
//! playlist. URLs in it get the same response.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{LazyLock, Mutex},
};

use ocellus_media::{Input, Location};

use crate::media;

static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// Address of the server that gives the answer.
static ADDRESS: LazyLock<String> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
    address
});

fn answer(mut stream: TcpStream) {
    let Ok(read) = stream.try_clone() else { return };
    let _ = BufReader::new(read).lines().map_while(Result::ok).find(String::is_empty);
    let answer = ANSWER.lock().map(|answer| answer.clone()).unwrap_or_default();
    // Clients leave when they have read enough.
    let _ = stream.write_all(&answer);
}

pub(crate) fn run(bytes: &[u8]) {
    let address = &*ADDRESS;
    // Inputs have this in place of the server's address.
    let text = String::from_utf8_lossy(bytes).replace("{host}", address);
    *ANSWER.lock().expect("the server does not panic") = format!("HTTP/1.1 {text}").into_bytes();
    media::decode(&Input { threads: 1, ..Input::new(Location::Url(format!("http://{address}/list.m3u8"))) });
}
