//! Covers: accepted, refused and aborted uploads, their memory, and the files that they leave.

use std::sync::Arc;

use ocellus_api::ApiConfig;
use ocellus_core::{SystemClock, VideoId, VideoRecord, VideoStatus};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{Server, TOKEN, until};

fn head(id: u64, headers: &str) -> Vec<u8> {
    format!(
        "PUT /videos/{id}/upload/source_file/ HTTP/1.1\r\nhost: a\r\nauthorization: Token {TOKEN}\r\nconnection: close\r\n{headers}\r\n"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_what_was_sent() {
    let server = Server::start().await;
    let id = server.add("a").await;
    // More than one buffer, and no multiple of it.
    for bytes in [(0..3_000_001_u32).map(|n| n as u8).collect::<Vec<_>>(), b"short".to_vec()] {
        let answer = server.upload(id, bytes.clone()).await.expect(201);
        assert!(answer.body.is_empty());
        assert_eq!(std::fs::read(server.archive.source_path(VideoId(id))).unwrap(), bytes);
        let video = server.video(id).await;
        assert_eq!((&video["file_size"], &video["health_status"]["status"]), (&json!(bytes.len()), &json!("DISABLED")));
        assert_eq!(video["finished"], false);
    }
    assert_eq!(server.files(id).iter().filter(|n| n.starts_with("source")).count(), 1);
    server.upload(99, "x").await.finds_no_video();
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_bodies_are_taken() {
    let server = Server::start().await;
    let id = server.add("a").await;
    let mut request = head(id, "transfer-encoding: chunked\r\n");
    request.extend_from_slice(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_eq!(server.raw(&request).await.unwrap().0, 201);
    assert_eq!(std::fs::read(server.archive.source_path(VideoId(id))).unwrap(), b"abcde");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_that_curl_adds_to_the_path_is_ignored() {
    let server = Server::start().await;
    let id = server.add("a").await;
    let request = String::from_utf8(head(id, "content-length: 5\r\n")).unwrap() + "abcde";
    let request = request.replace("source_file/ ", "source_file/a%20recording.mp4 ");
    assert_eq!(server.raw(request.as_bytes()).await.unwrap().0, 201);
    assert_eq!(std::fs::read(server.archive.source_path(VideoId(id))).unwrap(), b"abcde");
}

/// The body of a form; of each part the file name, if any, and the content.
fn form(parts: &[(Option<&str>, &[u8])]) -> Vec<u8> {
    let part = |(name, content): &(Option<&str>, &[u8])| {
        let name = name.map(|n| format!("; filename=\"{n}\"")).unwrap_or_default();
        let head = format!("--edge\r\nContent-Disposition: form-data; name=\"x\"{name}\r\n\r\n");
        [head.as_bytes(), *content, b"\r\n"].concat()
    };
    parts.iter().flat_map(part).chain(*b"--edge--\r\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_file_of_a_form_is_taken() {
    let config = ApiConfig { max_upload_bytes: Some(3_000_000), ..ApiConfig::default() };
    let server = Server::with(config, Arc::new(SystemClock)).await;
    let id = server.add("a").await;
    let path = format!("/videos/{id}/upload/source_file/");
    let send = |body: Vec<u8>| {
        let request = server.request(Method::PUT, &path).header("authorization", format!("Token {TOKEN}"));
        server.send(request.header("content-type", "multipart/form-data; boundary=edge").body(body))
    };
    let file: Vec<u8> = (0..2_500_000_u32).map(|n| n as u8).collect();
    send(form(&[(None, b"secret"), (Some("a.mp4"), &file), (None, b"")])).await.expect(201);
    assert_eq!(std::fs::read(server.archive.source_path(VideoId(id))).unwrap(), file);

    send(form(&[(None, b"secret")])).await.refuses("body");
    send(form(&[(Some("a.mp4"), b"1"), (Some("b.mp4"), b"2")])).await.refuses("body");
    send(form(&[(Some("a.mp4"), b"")])).await.refuses("body");
    send(form(&[(Some("a.mp4"), b"half")])[..60].to_vec()).await.refuses("body");
    send(form(&[(Some("a.mp4"), &vec![0; 3_000_001])])).await.expect(413);
    assert_eq!(
        std::fs::read(server.archive.source_path(VideoId(id))).unwrap(),
        file,
        "what was refused changed nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_uploads_keep_the_old_file() {
    let config = ApiConfig { max_upload_bytes: Some(1000), ..ApiConfig::default() };
    let server = Server::with(config, Arc::new(SystemClock)).await;
    let id = server.add("a").await;
    server.upload(id, "first").await.expect(201);
    let (video, files) = (server.video(id).await, server.files(id));

    server.upload(id, "").await.refuses("body");
    assert_eq!(
        server
            .raw(&head(id, "transfer-encoding: chunked\r\n").iter().chain(b"0\r\n\r\n").copied().collect::<Vec<_>>())
            .await
            .unwrap()
            .0,
        400
    );
    let path = format!("/videos/{id}/upload/source_file/");
    let with = |name: &str, value: &str| {
        server
            .request(Method::PUT, &path)
            .header("authorization", format!("Token {TOKEN}"))
            .header(name, value)
            .body("x")
    };
    server.send(with("content-range", "bytes 0-0/5")).await.refuses("Content-Range");
    server.send(with("content-type", "Multipart/form-data")).await.refuses("Content-Type");
    server.send(with("content-type", "application/x-www-form-urlencoded")).await.refuses("Content-Type");
    let packed = server.send(with("content-encoding", "gzip")).await.expect(415).json();
    assert!(packed["desc"].as_str().unwrap().contains("curl -T FILE"), "{packed}");
    assert_eq!(server.upload(id, vec![0; 1001]).await.expect(413).json()["code"], "TOO_LARGE");
    let mut endless = head(id, "transfer-encoding: chunked\r\n");
    endless.extend_from_slice(b"5dc\r\n");
    endless.extend_from_slice(&[0; 1500]);
    endless.extend_from_slice(b"\r\n0\r\n\r\n");
    assert_eq!(server.raw(&endless).await.unwrap().0, 413);

    assert_eq!((server.video(id).await, server.files(id)), (video, files));
    assert_eq!(std::fs::read(server.archive.source_path(VideoId(id))).unwrap(), b"first");
    server.upload(id, vec![0; 1000]).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_upload_leaves_nothing() {
    let server = Server::start().await;
    let id = server.add("a").await;
    server.upload(id, "first").await.expect(201);
    let (video, files) = (server.video(id).await, server.files(id));
    for headers in ["content-length: 10000000\r\n", "transfer-encoding: chunked\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(&head(id, headers)).await.unwrap();
        let piece = if headers.starts_with("content") {
            vec![7; 2 << 20]
        } else {
            [b"200000\r\n".to_vec(), vec![7; 2 << 20]].concat()
        };
        stream.write_all(&piece).await.unwrap();
        until("the upload has begun", async || server.files(id).len() > files.len()).await;
        drop(stream);
        until("the part file is gone", async || server.files(id) == files).await;
        assert_eq!(server.video(id).await, video);
    }
    assert_eq!(std::fs::read(server.archive.source_path(VideoId(id))).unwrap(), b"first");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_a_queued_or_running_video_is_not_replaced() {
    let server = Server::start().await;
    let id = server.add("a").await;
    server.upload(id, "first").await.expect(201);
    for status in [VideoStatus::Awaiting, VideoStatus::Starting, VideoStatus::InProgress] {
        let set = |v: &mut VideoRecord| {
            v.status = status;
            Ok(())
        };
        server.archive.update(VideoId(id), set).unwrap();
        let answer = server.upload(id, "second").await.expect(409).json();
        assert_eq!(answer["code"], "CONFLICT");
    }
    assert_eq!(std::fs::read(server.archive.source_path(VideoId(id))).unwrap(), b"first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_begins_during_an_upload_keeps_its_file() {
    let server = Server::start().await;
    let id = server.add("a").await;
    let set = |status: VideoStatus| {
        let change = move |v: &mut VideoRecord| {
            v.status = status;
            Ok(())
        };
        server.archive.update(VideoId(id), change).unwrap();
    };
    let source = server.archive.source_path(VideoId(id));
    let mut refused = 0;
    // Whichever of the two comes first: from the moment that the job runs its file stays.
    for round in 0..100_u32 {
        let (upload, begun) = tokio::join!(server.upload(id, round.to_string()), async {
            // Later in each round, so that the job begins at different steps of the upload.
            for _ in 0..round * 10 {
                tokio::task::yield_now().await;
            }
            tokio::task::block_in_place(|| set(VideoStatus::InProgress));
            std::fs::read(&source).ok()
        });
        assert_eq!(std::fs::read(&source).ok(), begun, "round {round}");
        match upload.status.as_u16() {
            201 => assert_eq!(begun, Some(round.to_string().into_bytes())),
            409 => refused += 1,
            other => panic!("{other}: {}", upload.json()),
        }
        set(VideoStatus::Disabled);
    }
    assert!(refused > 0);
    assert!(!server.files(id).iter().any(|name| name.contains("part")), "{:?}", server.files(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_at_once_do_not_mix() {
    let server = Server::start().await;
    let id = server.add("a").await;
    let bodies = [vec![1_u8; 2_500_000], vec![2; 2_500_000], vec![3; 2_500_000]];
    let answers = futures_util::future::join_all(bodies.iter().map(|b| server.upload(id, b.clone()))).await;
    for answer in answers {
        answer.expect(201);
    }
    let kept = std::fs::read(server.archive.source_path(VideoId(id))).unwrap();
    assert!(bodies.contains(&kept));
    assert_eq!(server.files(id).iter().filter(|n| n.starts_with("source")).count(), 1);
}

/// Bytes of this process that are in memory.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_takes_constant_memory() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 300;
    let server = Server::start().await;
    let id = server.add("a").await;
    let piece = vec![7; PIECE];
    let before = resident();
    let mut most = before;
    let mut stream = server.connect().await;
    stream.write_all(&head(id, &format!("content-length: {}\r\n", PIECE * PIECES))).await.unwrap();
    for _ in 0..PIECES {
        stream.write_all(&piece).await.unwrap();
        most = most.max(resident());
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(server.video(id).await["file_size"], PIECE * PIECES);
    // Other tests run beside this one; a body that was gathered would show as 300 MiB.
    assert!(most - before < 100 << 20, "{} MiB", (most - before) >> 20);
}
