//! Covers: `GET /metrics`: its content type, its form, and that labels do not grow with requests.

use reqwest::Method;

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_described_and_labels_are_routes() {
    let server = Server::start().await;
    let id = server.add("a").await;
    for path in [format!("/videos/{id}/"), "/videos/77/".into(), "/videos/78/".into(), "/nothing/".into()] {
        server.get(&path).await;
    }
    server.call(Method::from_bytes(b"BREW").unwrap(), "/videos/", "").await.expect(405);
    let answer = server.get("/metrics").await.expect(200);
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4");
    let text = String::from_utf8(answer.body).unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(text.contains(&format!("# HELP {family} ")) && text.contains(&format!("# TYPE {family} ")), "{line}");
    }
    for line in [
        "ocellus_http_requests_total{method=\"GET\",route=\"/videos/{id}/\",status=\"200\"} 1",
        "ocellus_http_requests_total{method=\"GET\",route=\"/videos/{id}/\",status=\"404\"} 2",
        "ocellus_http_requests_total{method=\"other\",route=\"/videos/\",status=\"405\"} 1",
        "ocellus_videos 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
    assert!(!text.contains("/videos/7") && !text.contains("BREW"), "{text}");
}
