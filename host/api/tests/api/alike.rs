//! Covers: events similar to an event: order, threshold, other filters, pages, count, refusals;
//! `POST /detect/` without detectors.

use ocellus_core::VideoId;
use ocellus_store::Embedding;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    objects::in_job,
    server::{Server, TOKEN},
};

/// Two videos with three faces and a car that have embeddings, and a face without one.
async fn faces(server: &Server) -> ([u64; 2], Vec<String>) {
    let (first, job, a) = in_job(server, &["face", "car", "face", "face"], &json!({})).await;
    let (second, other, b) = in_job(server, &["face"], &json!({})).await;
    let put = |job: &ocellus_store::Job, id: &str, number: f32| {
        // Where no embedder is installed, embeddings are of the colours.
        let (object, embedder) = (id.parse().unwrap(), "appearance/2".into());
        job.append_embeddings(&[Embedding { object, embedder, vector: vec![number, 0.0], spread: 0.0 }]).unwrap();
    };
    put(&job, &a[0], 0.0);
    put(&job, &a[1], 0.0);
    put(&job, &a[2], 0.5);
    put(&other, &b[0], 0.125);
    ([first, second], vec![a[0].clone(), a[2].clone(), b[0].clone(), a[1].clone(), a[3].clone()])
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_by_similarity() {
    let server = Server::start().await;
    let ([first, second], faces) = faces(&server).await;
    let [near, far] = [0.840_896, 0.0625];
    for (query, expected) in [
        (String::new(), vec![(0, 1.0), (2, near)]),
        ("&threshold=0".into(), vec![(0, 1.0), (2, near), (1, far)]),
        ("&threshold=0&ordering=id".into(), vec![(0, 1.0), (1, far), (2, near)]),
        ("&threshold=0&ordering=-id".into(), vec![(2, near), (1, far), (0, 1.0)]),
        ("&threshold=0.9".into(), vec![(0, 1.0)]),
        (format!("&video_archive={second}"), vec![(2, near)]),
        (format!("&threshold=0&video_archive={first}"), vec![(0, 1.0), (1, far)]),
        (format!("&threshold=0&id_in={},{}", faces[1], faces[2]), vec![(2, near), (1, far)]),
        ("&created_date_last_n_days=1".into(), vec![]),
    ] {
        let expected: Vec<(String, f64)> =
            expected.iter().map(|(n, s): &(usize, f64)| (faces[*n].clone(), *s)).collect();
        for reference in [faces[0].clone(), format!("faceevent:{}", faces[0])] {
            let query = format!("looks_like={reference}{query}");
            let count = server.get(&format!("/events/faces/count/?{query}")).await.expect(200).json();
            assert_eq!(count, json!({"count": expected.len()}), "{query}");
            let (mut seen, mut next) = (Vec::new(), Some(format!("/events/faces/?{query}&limit=2")));
            while let Some(path) = next {
                let page = server.get(&path).await.expect(200).json();
                seen.extend(page["results"].as_array().unwrap().iter().map(|event| {
                    (event["id"].as_str().unwrap().to_owned(), event["looks_like_confidence"].as_f64().unwrap())
                }));
                next = page["next_page"].as_str().map(str::to_owned);
            }
            assert_eq!(seen, expected, "{query}");
        }
    }
    server.archive.delete(VideoId(second)).unwrap();
    server.get(&format!("/events/faces/?looks_like={}", faces[2])).await.refuses("looks_like");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_references_are_refused() {
    let server = Server::start().await;
    let (_, faces) = faces(&server).await;
    let [face, car, without] = [&faces[0], &faces[3], &faces[4]];
    for (query, param) in [
        ("looks_like=x".to_owned(), "looks_like"),
        ("looks_like=card:1".into(), "looks_like"),
        ("looks_like=detection:6f1c0b9d".into(), "looks_like"),
        (format!("looks_like={car}"), "looks_like"),
        (format!("looks_like={without}"), "looks_like"),
        (format!("looks_like={face}&threshold=2"), "threshold"),
        (format!("looks_like={face}&video_archive=99"), "video_archive"),
    ] {
        server.get(&format!("/events/faces/?{query}")).await.refuses(param);
        server.get(&format!("/events/faces/count/?{query}")).await.refuses(param);
    }
    assert_eq!(
        server.get(&format!("/events/faces/?looks_like={car}")).await.refuses("looks_like"),
        "It is a car, and no face."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_sent_as_a_body_or_as_a_form() {
    let server = Server::start().await;
    let grey = [&b"P6\n16 16\n255\n"[..], &[128; 16 * 16 * 3]].concat();
    let detect = async |path: &str, body: &[u8]| server.call(Method::POST, path, body.to_vec()).await;
    let nothing = json!({"objects": {"face": [], "body": [], "car": []}});
    for path in ["/detect/", "/detect"] {
        assert_eq!(detect(path, &grey).await.expect(200).json(), nothing, "{path}");
        let form = [
            &b"--b\r\nContent-Disposition: form-data; name=\"attributes\"\r\n\r\n{\"face\": {}}\r\n"[..],
            b"--b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.ppm\"\r\n\r\n",
            &grey,
            b"\r\n--b--\r\n",
        ];
        let request = server.request(Method::POST, path).header("authorization", format!("Token {TOKEN}"));
        let request = request.header("content-type", "multipart/form-data; boundary=b").body(form.concat());
        let answer = server.send(request).await;
        assert_eq!(answer.expect(200).json(), nothing, "{path}");
        assert_eq!(
            detect(&format!("{path}?type=face"), &grey).await.refuses("type"),
            "No detector for face is installed."
        );
        detect(&format!("{path}?type=No"), &grey).await.refuses("type");
        for unreadable in [&b"no picture"[..], b""] {
            detect(path, unreadable).await.refuses("body");
        }
        detect(path, &vec![0; (32 << 20) + 1]).await.expect(413);
    }
    assert_eq!(server.get("/detect/").await.expect(405).json()["code"], Value::from("METHOD_NOT_ALLOWED"));
}
