//! Covers: RTSP streams of cameras: requests with the camera's own URL, authentication, teardown,
//! TLS, addresses that the policy does not allow, `ss`, an interrupt while a camera is silent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

#[path = "../../../tests/suite/rtsp.rs"]
pub(crate) mod camera;
mod common;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use camera::{Behaviour, CLOSED, Login, PASSWORD, Rtsp, USER};
use common::{Media, all};
use ocellus_core::NetworkPolicy;
use ocellus_media::{Decoder, Input, Interrupt, Location, MediaError};
use tokio_rustls::{TlsAcceptor, rustls};

/// A clip as cameras stream it, with this duration.
fn clip(media: &Media, seconds: u32) -> PathBuf {
    let sources = format!("-f lavfi -i testsrc2=s=320x180:r=25:d={seconds} -f lavfi -i sine=d={seconds}");
    media.make(&format!("{sources} -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 5 -bf 0 -c:a aac"), "clip.mp4")
}

fn input(url: &str, options: &[(&str, &str)]) -> Input {
    // Streams play in real time, so that probing is kept short.
    let options = [&[("analyzeduration", "100000")], options].concat();
    let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Input { options, ..Input::new(Location::Url(url.to_owned())) }
}

fn open(url: &str, options: &[(&str, &str)]) -> Result<Decoder, MediaError> {
    Decoder::open(&input(url, options), &Interrupt::new())
}

/// The URL with a user name and password.
fn with_login(camera: &Rtsp, password: &str) -> String {
    camera.url().replace("rtsp://", &format!("rtsp://{USER}:{password}@"))
}

#[test]
fn a_camera_gets_its_own_url_and_a_teardown() {
    let media = Media::new();
    let camera = Rtsp::start(&clip(&media, 20), Behaviour::Camera);
    let mut decoder = open(&camera.url(), &[]).unwrap();
    assert!(decoder.is_live());
    for index in 0..5 {
        assert_eq!(decoder.next_frame().unwrap().unwrap().index(), index);
    }
    drop(decoder);
    let asked = camera.asked_until_closed();
    let (last, requests) = asked.split_last().unwrap();
    assert!(last == CLOSED && requests.last().unwrap().starts_with("TEARDOWN "), "{asked:?}");
    let named = camera.url();
    assert!(requests.iter().all(|line| line.split(' ').nth(1).unwrap().starts_with(&named)), "{asked:?}");
}

#[test]
fn a_recording_is_read_to_its_end() {
    let media = Media::new();
    let camera = Rtsp::start(&clip(&media, 1), Behaviour::Recording(1.0));
    let (frames, error) = all(&mut open(&camera.url(), &[]).unwrap());
    assert!(error.is_none() && (22..=25).contains(&frames.len()), "{} {error:?}", frames.len());
    // The server ignores seeking.
    let (frames, error) = all(&mut open(&camera.url(), &[("ss", "0.4")]).unwrap());
    assert!(error.is_none() && (1..22).contains(&frames.len()), "{} {error:?}", frames.len());
    assert!(frames[0].time() > 0.39, "{}", frames[0].time());
}

#[test]
fn a_login_is_sent_as_the_camera_challenges() {
    let media = Media::new();
    let clip = clip(&media, 1);
    for login in [Login::Basic, Login::Digest] {
        let camera = Rtsp::guarded(&clip, Behaviour::Recording(1.0), login);
        let (frames, error) = all(&mut open(&with_login(&camera, &PASSWORD.replace(':', "%3A")), &[]).unwrap());
        assert!(error.is_none() && frames.len() > 20, "{} {error:?}", frames.len());
        let asked = camera.asked_until_closed();
        assert!(asked.iter().any(|line| line.starts_with("PLAY ") && line.ends_with(" by user")), "{asked:?}");
    }
    let camera = Rtsp::guarded(&clip, Behaviour::Camera, Login::Digest);
    for url in [with_login(&camera, "wrong"), camera.url()] {
        let error = open(&url, &[]).err().unwrap().to_string();
        assert!(error.contains("401, that a user name and password are needed, or that they are wrong"), "{error}");
    }
    let shown = camera.asked().iter().filter(|line| line.ends_with(" by user")).count();
    assert_eq!(shown, 1, "a camera may lock who tries too often: {:?}", camera.asked());
}

#[test]
fn an_address_that_is_not_allowed_is_not_connected_to() {
    let media = Media::new();
    let camera = Rtsp::start(&clip(&media, 1), Behaviour::Camera);
    let network = NetworkPolicy::new(vec!["10.0.0.0/8".parse().unwrap()], None);
    let error = Decoder::open(&Input { network, ..input(&camera.url(), &[]) }, &Interrupt::new()).err().unwrap();
    assert_eq!(error.to_string(), "The host localhost is not allowed by the server's configuration.");
    assert!(camera.asked().is_empty());
}

/// A TLS proxy in front of a camera, with an untrusted certificate.
fn secured(camera: SocketAddr) -> SocketAddr {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            // Fails for a client that does not trust the certificate.
            if let Ok(mut client) = acceptor.accept(client).await {
                let mut camera = tokio::net::TcpStream::connect(camera).await.unwrap();
                // An error of either side ends it, too.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut camera).await;
            }
        }
    };
    std::thread::spawn(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve));
    address
}

#[test]
fn the_certificate_of_a_tls_camera_is_verified() {
    let media = Media::new();
    let camera = Rtsp::start(&clip(&media, 1), Behaviour::Recording(1.0));
    let url = format!("rtsps://localhost:{}/stream", secured(camera.address()).port());
    let error = open(&url, &[]).err().unwrap().to_string();
    assert!(error.contains("the certificate of its server is not trusted (tls_verify=0"), "{error}");
    assert!(camera.asked().is_empty());
    let (frames, error) = all(&mut open(&url, &[("tls_verify", "0")]).unwrap());
    assert!(error.is_none() && frames.len() > 20, "{} {error:?}", frames.len());
    let asked = camera.asked();
    assert!(asked[0].starts_with(&format!("OPTIONS {url}")), "{asked:?}");
}

#[test]
fn an_interrupt_ends_waiting_for_a_camera_that_is_silent() {
    Media::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://{}/", silent.local_addr().unwrap());
    let interrupt = Interrupt::new();
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| Decoder::open(&input(&url, &[]), &interrupt).map(drop));
        let connection = silent.accept().unwrap();
        interrupt.raise();
        assert!(matches!(opening.join().unwrap(), Err(MediaError::Interrupted)));
        drop(connection);
    });
}
