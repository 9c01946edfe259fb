//! Covers: every filter of the list and of the count, every ordering, and their refusals.

use std::{sync::Arc, time::Duration};

use ocellus_api::ApiConfig;
use ocellus_core::ManualClock;
use serde_json::{Value, json};

use crate::server::Server;

fn ids(page: &Value) -> Vec<u64> {
    page["results"].as_array().unwrap().iter().map(|v| v["id"].as_u64().unwrap()).collect()
}

/// Five videos, a day between them; then it is the day after the last, Tuesday 2025-03-25 at noon.
async fn five() -> Server {
    let clock = Arc::new(ManualClock::new("2025-03-20T12:00:00Z".parse().unwrap()));
    let server = Server::with(ApiConfig::default(), Arc::clone(&clock) as Arc<dyn ocellus_core::Clock>).await;
    for (group, case, name) in [
        (1, json!(null), json!("Alpha 100%")),
        (-1, json!(7), json!("beta_x")),
        (1, json!(8), json!("ÉTÉ")),
        (1, json!(7), json!(null)),
        (-1, json!(null), json!("alphabet")),
    ] {
        let router = name.is_null().then_some("http://192.0.2.7/objects");
        let video = json!({"camera_group": group, "case": case, "name": name, "router_url": router});
        server.post("/videos/", video).await.expect(201);
        clock.advance(Duration::from_secs(86_400));
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_combined_by_and() {
    let server = five().await;
    // 2025-03-20 is a Thursday: videos 1 to 4 lie in the week before, 3 and 4 on its weekend.
    for (query, expected) in [
        ("", &[1, 2, 3, 4, 5][..]),
        ("camera_groups=1", &[1, 3, 4]),
        ("camera_groups=1&camera_groups=-1", &[1, 2, 3, 4, 5]),
        ("camera_groups=5", &[]),
        ("camera_groups=", &[1, 2, 3, 4, 5]),
        ("case_in=7,8", &[2, 3, 4]),
        ("case_in=null", &[1, 5]),
        ("case_in=null,8", &[1, 3, 5]),
        ("id_in=2&id_in=5,77", &[2, 5]),
        ("id_in[]=2&id_in%5B%5D=5.0", &[2, 5]),
        ("name_contains=ALPHA", &[1, 5]),
        ("name_contains=%25", &[1]),
        ("name_contains=_", &[2]),
        ("name_contains=%C3%A9t", &[3]),
        ("created_date_gt=2025-03-22T12:00:00Z", &[4, 5]),
        ("created_date_gte=2025-03-22T12:00:00Z", &[3, 4, 5]),
        ("created_date_lt=2025-03-22T12:00:00Z", &[1, 2]),
        ("created_date_lte=2025-03-22T15:00:00%2B03:00", &[1, 2, 3]),
        ("created_date_gte=2025-03-21&created_date_lt=2025-03-22", &[2]),
        ("created_date_last_n_days=1", &[5]),
        ("created_date_last_n_days=2.5", &[4, 5]),
        ("created_date_nth_full_week=1", &[1, 2, 3, 4]),
        ("created_date_nth_work_week=1", &[1, 2]),
        ("created_date_nth_full_week=9", &[1, 2, 3, 4]),
        ("created_date_nth_full_week=1.0", &[1, 2, 3, 4]),
        ("camera_groups=1&case_in=7&name_contains=", &[4]),
        ("status=WAITING_FOR_SYNC", &[1, 2, 3, 4, 5]),
        ("status=COMPLETED,INPROGRESS", &[]),
        ("status=COMPLETED&status=WAITING_FOR_SYNC&camera_groups=-1", &[2, 5]),
        ("has_router=true", &[4]),
        ("has_router=false&camera_groups=1", &[1, 3]),
        ("whatever=1", &[1, 2, 3, 4, 5]),
    ] {
        assert_eq!(ids(&server.get(&format!("/videos/?{query}")).await.expect(200).json()), expected, "{query}");
        assert_eq!(
            server.get(&format!("/videos/count/?{query}")).await.expect(200).json(),
            json!({"count": expected.len()}),
            "{query}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orderings() {
    let server = five().await;
    for (ordering, expected) in [
        ("", [1, 2, 3, 4, 5]),
        ("id", [1, 2, 3, 4, 5]),
        ("-id", [5, 4, 3, 2, 1]),
        ("created_date", [1, 2, 3, 4, 5]),
        ("-created_date", [5, 4, 3, 2, 1]),
        ("name", [4, 1, 5, 2, 3]),
        ("-name", [3, 2, 5, 1, 4]),
        ("id,name", [1, 2, 3, 4, 5]),
        ("-id,name", [5, 4, 3, 2, 1]),
        ("name,id", [4, 1, 5, 2, 3]),
        ("-name,-created_date", [3, 2, 5, 1, 4]),
    ] {
        assert_eq!(
            ids(&server.get(&format!("/videos/?ordering={ordering}")).await.expect(200).json()),
            expected,
            "{ordering}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_ten_items_by_default() {
    let server = Server::start().await;
    for n in 0..11 {
        server.add(&format!("v{n}")).await;
    }
    assert_eq!(ids(&server.get("/videos/").await.expect(200).json()).len(), 10);
    assert_eq!(ids(&server.get("/videos/?limit=99999999999999999999").await.expect(200).json()).len(), 11);
    assert_eq!(ids(&server.get("/videos/?limit=2.0").await.expect(200).json()).len(), 2);
    assert_eq!(ids(&server.get("/videos/?limit=1000").await.expect(200).json()).len(), 11);
    assert_eq!(ids(&server.get("/videos/?limit=").await.expect(200).json()).len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_the_parameter() {
    let server = five().await;
    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("ordering=name,-id", "ordering"),
        ("ordering=id,size", "ordering"),
        ("limit=x", "limit"),
        ("ordering=size", "ordering"),
        ("ordering=--id", "ordering"),
        ("page=nonsense", "page"),
        ("page=%00", "page"),
    ] {
        server.get(&format!("/videos/?{query}")).await.refuses(param);
    }
    for (query, param) in [
        ("id_in=x", "id_in"),
        ("status=done", "status"),
        ("camera_groups=1,,y", "camera_groups"),
        ("created_date_lt=then", "created_date_lt"),
        ("created_date_nth_work_week=0", "created_date_nth_work_week"),
        ("created_date_last_n_days=inf", "created_date_last_n_days"),
    ] {
        server.get(&format!("/videos/?{query}")).await.refuses(param);
        server.get(&format!("/videos/count/?{query}")).await.refuses(param);
    }
    // A cursor belongs to the ordering that it was made for.
    let next =
        server.get("/videos/?limit=2&ordering=name").await.expect(200).json()["next_page"].as_str().unwrap().to_owned();
    server.get(&next.replace("ordering=name", "ordering=-id")).await.refuses("page");
    assert!(next.rsplit_once("page=").unwrap().1.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{next}");
    assert!(next.starts_with(&server.url("/videos/?")) && next.contains("limit=2&ordering=name&page="), "{next}");
}
