//! Covers: objects as events: their fields, their types, pages, and what is refused.

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
        "matched": false, "matched_card": null, "confidence": 0.0, "episode": null, "acknowledged": false,
        "external_detector": false, "temperature": null, "meta": {},
    });
    assert_eq!(page, json!({"next_page": null, "prev_page": null, "results": [expected]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_by_type_and_page_by_page() {
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
        ("", "video_archive"),
        ("video_archive=x", "video_archive"),
        ("video_archive=99", "video_archive"),
        ("video_archive=1&limit=0", "limit"),
    ] {
        server.get(&format!("/events/faces/?{query}")).await.refuses(param);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinates_are_those_of_the_picture() {
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
