//! Covers: searches by a picture without detectors: refusals, and the parameters that they name.

use reqwest::Method;

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn searches_that_cannot_be_made_are_refused() {
    let server = Server::start().await;
    let video = server.add("a").await;
    let search = async |path: &str, body: &[u8]| server.call(Method::POST, path, body.to_vec()).await;
    for (path, param) in [
        ("/search/?type=No", "type"),
        ("/search/?threshold=1.5", "threshold"),
        ("/search/?limit=0", "limit"),
        ("/search/", "body"),
    ] {
        search(path, b"no picture").await.refuses(param);
    }
    search("/search/", b"").await.refuses("body");
    // A valid picture, but no detector.
    let grey = [&b"P6\n16 16\n255\n"[..], &[128; 16 * 16 * 3]].concat();
    assert_eq!(search("/search/?type=face", &grey).await.refuses("type"), "No detector for face is installed.");
    assert_eq!(
        search(&format!("/videos/{video}/search/"), &grey).await.refuses("body"),
        "The picture shows nothing that can be looked for."
    );
    search("/videos/99/search/", &grey).await.finds_no_video();
    search("/search/", &vec![0; (32 << 20) + 1]).await.expect(413);
}
