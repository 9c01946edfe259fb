//! Covers: the list of a video's deliveries, its filter and pages; retries that are refused.

use ocellus_store::{Delivery, DeliveryState};
use serde_json::{Value, json};

use crate::{objects, server::Server};

/// Three deliveries to a router that does not exist: failed, posted, not tried.
async fn with_deliveries(server: &Server) -> (u64, Vec<String>) {
    let (video, job, ids) =
        objects::in_job(server, &["face", "car", "face"], &json!({"router_url": "http://127.0.0.1:1/"})).await;
    let record = |id: &str, state, last_status, reason: Option<&str>| {
        let pending = Delivery::pending(id.parse().unwrap());
        job.record_delivery(&Delivery { state, attempts: 2, last_status, reason: reason.map(Into::into), ..pending })
            .unwrap();
    };
    record(&ids[0], DeliveryState::Failed, Some(415), Some("the receiver answered 415"));
    record(&ids[1], DeliveryState::Posted, Some(202), None);
    (video, ids)
}

fn ids(page: &Value) -> Vec<&str> {
    page["results"].as_array().unwrap().iter().map(|d| d["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_as_documented_and_listed_in_pages() {
    let server = Server::start().await;
    let (video, made) = with_deliveries(&server).await;
    let path = format!("/videos/{video}/deliveries/");
    let list = async |query: &str| server.get(&format!("{path}?{query}")).await.expect(200).json();
    let all = list("").await;
    assert_eq!(ids(&all), made);
    let expected = json!({"id": made[0], "state": "failed", "attempts": 2, "last_status": 415, "reason": "the receiver answered 415", "next_try": null});
    assert_eq!(all["results"][0], expected);
    let expected = json!({"id": made[2], "state": "pending", "attempts": 0, "last_status": null, "reason": null, "next_try": null});
    assert_eq!(all["results"][2], expected);

    assert_eq!(ids(&list("state=posted").await), [&made[1]]);
    assert_eq!(ids(&list("state=failed,pending").await), [&made[0], &made[2]]);
    let first = list("limit=2").await;
    let second = server.get(first["next_page"].as_str().unwrap()).await.expect(200).json();
    assert_eq!((ids(&first), ids(&second)), (vec![&*made[0], &*made[1]], vec![&*made[2]]));

    let shown = server.get(&format!("/videos/{video}/")).await.expect(200).json();
    assert_eq!(shown["health_status"]["statistic"], json!({}), "there was no job that could count");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_queries_and_retries_are_refused() {
    let server = Server::start().await;
    let (video, made) = with_deliveries(&server).await;
    let refused = server.get(&format!("/videos/{video}/deliveries/?state=lost")).await.expect(400).json();
    assert_eq!((&refused["param"], &refused["code"]), (&json!("state"), &json!("BAD_PARAM")));
    assert!(refused["desc"].as_str().unwrap().contains("lost"), "{refused}");
    for path in ["/videos/999/deliveries/", "/videos/x/deliveries/"] {
        server.get(path).await.expect(404);
    }
    for path in ["/videos/999/deliveries/retry/", "/deliveries/999-1-face-1-0/retry/", "/deliveries/nonsense/retry/"] {
        server.post(path, json!({})).await.expect(404);
    }
    let posted = server.post(&format!("/deliveries/{}/retry/", made[1]), json!({})).await.expect(409).json();
    assert_eq!(posted["code"], "CONFLICT");
    let (_, other) = objects::with_objects(&server, &["face"]).await;
    server.post(&format!("/deliveries/{}/retry/", other[0]), json!({})).await.expect(404);
}
