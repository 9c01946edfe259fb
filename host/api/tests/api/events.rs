//! Covers: objects as events: their fields, their types, pages and refusals.

use serde_json::{Value, json};

use crate::{
    objects::{in_job, with_objects},
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_as_documented() {
    let server = Server::start().await;
    let (video, made) = with_objects(&server, &["face"]).await;
    let id = &made[0];
    let page = server.get(&format!("/events/faces/?video_archive={video}")).await.expect(200).json();
    let time = "2025-03-28T11:55:13.000000Z";
    let expected = json!({
        "id": id, "created_date": time, "bs_type": "overall",
        "video_archive": video, "camera": null, "camera_group": 1, "case": null,
        "thumbnail": server.url(&format!("/objects/{id}/thumbnail/")), "fullframe": server.url(&format!("/objects/{id}/fullframe/")),
        "frame_coords_left": 1, "frame_coords_top": 2, "frame_coords_right": 30, "frame_coords_bottom": 40,
        "quality": 0.123457,
        "detector_params": {
            "score": 0.9, "quality": 0.123457, "track_duration_seconds": 0.666667, "end_of_track": true,
            "liveness_score": 0.9,
            "track": {"id": format!("{video}-1-face-0"), "first_timestamp": time, "last_timestamp": time},
        },
        "features": {
            "colour": {"name": "red", "confidence": null},
            "body": {"name": "van", "confidence": 0.75},
            "liveness": {"name": "real", "confidence": 0.9},
        },
        "cluster": null,
        "matched": false, "matched_card": null, "matched_object": null, "matched_lists": [], "matched_cluster": null,
        "verbose_matched_card": null, "confidence": 0.0, "cluster_confidence": 0.0, "looks_like_confidence": null,
        "episode": null, "acknowledged": false, "acknowledged_by": null, "acknowledged_date": null,
        "external_detector": false, "temperature": null, "meta": {},
    });
    assert_eq!(page, json!({"next_page": null, "prev_page": null, "results": [expected]}));
    assert_eq!(server.get(&format!("/events/faces/{id}/")).await.expect(200).json(), expected);
    for none in
        [format!("/events/bodies/{id}/"), format!("/events/faces/{video}-1-face-9-0/"), "/events/faces/x/".into()]
    {
        assert_eq!(server.get(&none).await.expect(404).json()["desc"], "No Object matches the given query.");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_by_type_in_pages() {
    let server = Server::start().await;
    let (video, made) = with_objects(&server, &["face", "car", "face", "body"]).await;
    let list = async |path: &str| server.get(path).await.expect(200).json();
    let ids = |page: &Value| {
        page["results"].as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (kind, expected) in [("faces", vec![&made[0], &made[2]]), ("bodies", vec![&made[3]]), ("cars", vec![&made[1]])]
    {
        let page = list(&format!("/events/{kind}/?video_archive={video}")).await;
        assert_eq!(ids(&page).iter().collect::<Vec<_>>(), expected, "{kind}");
    }
    let first = list(&format!("/events/faces/?video_archive={video}&limit=1")).await;
    let second = list(first["next_page"].as_str().unwrap()).await;
    assert_eq!((ids(&second), &second["next_page"]), (vec![made[2].clone()], &Value::Null));

    let unprocessed = server.add("new").await;
    assert_eq!(list(&format!("/events/faces/?video_archive={unprocessed}")).await["results"], json!([]));
    for (query, param) in [
        ("video_archive=x", "video_archive"),
        ("cameras=1", "cameras"),
        ("bs_type=best", "bs_type"),
        ("id_in=1", "id_in"),
        ("ordering=created_date", "ordering"),
        ("acknowledged=maybe", "acknowledged"),
        ("created_date_gt=soon", "created_date_gt"),
        ("video_archive=99", "video_archive"),
        ("video_archive=1&limit=0", "limit"),
    ] {
        server.get(&format!("/events/faces/?{query}")).await.refuses(param);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinates_are_relative_to_the_fullframe() {
    let server = Server::start().await;
    let mut settings = server.video(server.add("as it is").await).await["stream_settings"].clone();
    settings["rot"] = "20x30+1+2".into();
    settings["detectors"]["face"]["fullframe_crop_rot"] = true.into();
    let (video, ..) = in_job(&server, &["face"], &json!({"stream_settings": settings})).await;
    let event =
        server.get(&format!("/events/faces/?video_archive={video}")).await.expect(200).json()["results"][0].clone();
    let coordinates = ["left", "top", "right", "bottom"].map(|side| event[format!("frame_coords_{side}")].clone());
    assert_eq!(coordinates, [0, 0, 29, 38].map(Value::from));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_pages_span_videos() {
    let server = Server::start().await;
    let (first, a) = with_objects(&server, &["face", "car", "face"]).await;
    let empty = server.add("without objects").await;
    let (second, b) = with_objects(&server, &["face", "body"]).await;
    server.patch(&format!("/videos/{second}/"), json!({"camera_group": -1, "case": 7})).await.expect(200);
    let faces = [a[0].clone(), a[2].clone(), b[0].clone()];
    // All best shots are of 2025-03-28, 11:55:13.
    for (query, expected) in [
        (String::new(), vec![0, 1, 2]),
        ("ordering=-id".into(), vec![2, 1, 0]),
        (format!("video_archive={second}"), vec![2]),
        (format!("video_archive={first}&video_archive={second}"), vec![0, 1, 2]),
        (format!("video_archive={empty}"), vec![]),
        ("camera_groups=-1".into(), vec![2]),
        ("camera_groups=-1&camera_groups=1".into(), vec![0, 1, 2]),
        (format!("camera_groups=1&video_archive={second}"), vec![]),
        ("case_in=7".into(), vec![2]),
        ("case_in=null".into(), vec![0, 1]),
        (format!("id_in={},{}", a[2], b[0]), vec![1, 2]),
        (format!("id_in={}", a[1]), vec![]),
        ("bs_type=overall".into(), vec![0, 1, 2]),
        ("bs_type=realtime".into(), vec![]),
        ("created_date_gte=2025-03-28T11:55:13Z".into(), vec![0, 1, 2]),
        ("created_date_gt=2025-03-28T11:55:13Z".into(), vec![]),
        ("created_date_lt=2025-03-28T11:55:13Z".into(), vec![]),
        ("created_date_last_n_days=1".into(), vec![]),
        ("matched=false&acknowledged=false".into(), vec![0, 1, 2]),
        ("matched=true".into(), vec![]),
        ("acknowledged=true".into(), vec![]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|n: usize| faces[n].clone()).collect();
        let count = server.get(&format!("/events/faces/count/?{query}")).await.expect(200).json();
        assert_eq!(count, json!({"count": expected.len()}), "{query}");
        for limit in [1, 2, 10] {
            let (mut seen, mut next) = (Vec::new(), Some(format!("/events/faces/?{query}&limit={limit}")));
            let mut last = Value::Null;
            while let Some(path) = next {
                last = server.get(&path).await.expect(200).json();
                let page = last["results"].as_array().unwrap();
                assert!(page.len() <= limit);
                seen.extend(page.iter().map(|e| e["id"].as_str().unwrap().to_owned()));
                next = last["next_page"].as_str().map(str::to_owned);
            }
            assert_eq!(seen, expected, "{query}, {limit} a page");
            // And back to the first.
            let mut back = last["results"].as_array().unwrap().len();
            while let Some(path) = last["prev_page"].as_str().map(str::to_owned) {
                last = server.get(&path).await.expect(200).json();
                back += last["results"].as_array().unwrap().len();
            }
            assert_eq!(back, expected.len(), "{query}, {limit} a page, backwards");
        }
    }
}
