//! Covers: identities by type, of all videos and by what they look like; naming, merging and taking
//! apart, who may, and undoing it; names in other videos.

use ocellus_core::{Cluster, ObjectId, Timestamp};
use ocellus_store::{Embedding, NewToken, Scope, Tokens};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{objects::in_job, server::Server};

/// A video with faces at these places of a line, those of each list one identity: their ids.
async fn faces(server: &Server, groups: &[&[f32]]) -> (u64, Vec<String>) {
    let count = groups.iter().map(|group| group.len()).sum();
    let (video, job, ids) = in_job(server, &vec!["face"; count], &json!({})).await;
    let places = groups.iter().copied().flatten();
    let embeddings: Vec<_> = ids
        .iter()
        .zip(places)
        .map(|(id, place)| {
            // By the colours, where no embedder is installed.
            let (object, embedder) = (id.parse().unwrap(), "appearance/2".into());
            Embedding { object, embedder, vector: vec![*place, 0.0], spread: 0.0 }
        })
        .collect();
    job.append_embeddings(&embeddings).unwrap();
    let mut rest = embeddings.iter().map(|embedding| embedding.object.clone());
    let cluster = |group: &&[f32]| {
        let objects: Vec<ObjectId> = rest.by_ref().take(group.len()).collect();
        Cluster { id: objects[0].clone(), best: objects[0].clone(), objects, first_time: 0.0, last_time: 1.0 }
    };
    job.save_clusters(&groups.iter().map(cluster).collect::<Vec<_>>()).unwrap();
    (video, ids)
}

/// Id, size and name of each identity of a page, and of those that follow it, two at a time.
async fn list(server: &Server, path: &str) -> Vec<Value> {
    let (mut all, mut next) =
        (Vec::new(), Some(format!("{path}{}limit=2", if path.contains('?') { '&' } else { '?' })));
    while let Some(path) = next {
        let page = server.get(&path).await.expect(200).json();
        all.extend(page["results"].as_array().unwrap().iter().map(shown));
        next = page["next_page"].as_str().map(str::to_owned);
    }
    all
}

fn shown(cluster: &Value) -> Value {
    json!([cluster["id"], cluster["size"], cluster["name"]])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_is_as_documented() {
    let server = Server::start().await;
    let (video, ids) = faces(&server, &[&[0.0, 0.1]]).await;
    let id = &ids[0];
    let expected = json!({
        "id": id, "type": "face", "name": null, "named_alike": null, "size": 2, "first_time": 0.0, "last_time": 1.0,
        "best": id, "thumbnail": server.url(&format!("/objects/{id}/thumbnail/")),
        "objects": server.url(&format!("/clusters/{id}/objects/")), "corrections": [], "looks_like_confidence": null,
    });
    let page = json!({"next_page": null, "prev_page": null, "results": [expected]});
    for path in [format!("/videos/{video}/clusters/"), "/clusters/faces/".into()] {
        assert_eq!(server.get(&path).await.expect(200).json(), page, "{path}");
    }
    assert_eq!(server.get(&format!("/clusters/{id}/")).await.expect(200).json(), expected);
    for missing in [&ids[1], "9-1-face-0-0", "x"] {
        assert_eq!(
            server.get(&format!("/clusters/{missing}/")).await.expect(404).json()["desc"],
            "No Cluster matches the given query."
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_are_corrected_and_each_correction_is_undone() {
    let server = Server::start().await;
    let (video, ids) = faces(&server, &[&[0.0, 0.1], &[0.5, 0.6], &[2.0]]).await;
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|n| ids[n].as_str());
    let path = format!("/videos/{video}/clusters/");
    assert_eq!(list(&server, &path).await, [json!([a, 2, null]), json!([c, 2, null]), json!([e, 1, null])]);

    let named = server.patch(&format!("/clusters/{a}/"), json!({"name": " Anna "})).await.expect(200).json();
    assert_eq!((shown(&named), &named["corrections"]), (json!([a, 2, "Anna"]), &json!([1])));
    let merged = server.post(&format!("/clusters/{c}/merge/"), json!({"with": a})).await.expect(200).json();
    assert_eq!((shown(&merged), &merged["corrections"]), (json!([a, 4, "Anna"]), &json!([1, 2])));
    let taken = server.post(&format!("/clusters/{a}/take-out/"), json!({"object": a})).await.expect(200).json();
    assert_eq!((shown(&taken), &taken["corrections"]), (json!([b, 3, "Anna"]), &json!([1, 2, 3])));
    assert_eq!(list(&server, &path).await, [json!([a, 1, null]), json!([b, 3, "Anna"]), json!([e, 1, null])]);
    let members = server.get(&format!("/clusters/{b}/objects/")).await.expect(200).json();
    assert!(members["results"].as_array().unwrap().iter().all(|o| o["cluster"] == b), "{members}");

    let corrections = format!("/videos/{video}/corrections/");
    let listed = server.get(&corrections).await.expect(200).json()["results"].clone();
    let listed: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|k| json!([k["id"], k["kind"], k["name"], k["state"], k["objects"], k["clusters"]]))
        .collect();
    assert_eq!(
        listed,
        [
            json!([1, "name", "Anna", "applied", [a], [a]]),
            json!([2, "merge", null, "applied", [c, a], [b, a]]),
            json!([3, "take_out", null, "applied", [a, b], [a, b]]),
        ]
    );
    let first = server.get(&format!("{corrections}?limit=2")).await.expect(200).json();
    let second = server.get(first["next_page"].as_str().unwrap()).await.expect(200).json();
    assert_eq!(second["results"][0]["id"], 3);

    server.delete(&format!("{corrections}2/")).await.expect(204);
    let expected = [json!([a, 1, null]), json!([b, 1, "Anna"]), json!([c, 2, null]), json!([e, 1, null])];
    assert_eq!(list(&server, &path).await, expected);
    server.delete(&format!("{corrections}3/")).await.expect(204);
    server.delete(&format!("{corrections}1/")).await.expect(204);
    assert_eq!(list(&server, &path).await, [json!([a, 2, null]), json!([c, 2, null]), json!([e, 1, null])]);
    for gone in ["1", "9", "x"] {
        server.delete(&format!("{corrections}{gone}/")).await.expect(404);
    }
    // A new job has other objects: what was corrected waits for them.
    server.patch(&format!("/clusters/{d}/"), json!({"name": "Bo"})).await.expect(404);
    server.patch(&format!("/clusters/{c}/"), json!({"name": "Bo"})).await.expect(200);
    server.archive.start_job(ocellus_core::VideoId(video), &json!({})).unwrap();
    let waiting = server.get(&corrections).await.expect(200).json()["results"][0].clone();
    assert_eq!((&waiting["state"], &waiting["clusters"], &waiting["id"]), (&json!("waiting"), &json!([]), &json!(4)));
    server.patch(&format!("/clusters/{c}/"), json!({"name": "Bo"})).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_that_make_no_sense_are_refused() {
    let server = Server::start().await;
    let (_, ids) = faces(&server, &[&[0.0, 0.1], &[0.5]]).await;
    let (_, others) = faces(&server, &[&[0.0]]).await;
    let [a, b, c] = [0, 1, 2].map(|n| ids[n].as_str());
    for (name, why) in [
        (json!(""), "This field may not be blank."),
        (json!("  "), "This field may not be blank."),
        (json!(1), "Not a valid string."),
        (json!("x".repeat(257)), "Ensure this field has no more than 256 characters."),
    ] {
        assert_eq!(server.patch(&format!("/clusters/{a}/"), json!({"name": name})).await.refuses("name"), why);
    }
    for (body, why) in [
        (json!({}), "This field is required."),
        (json!({"with": 3}), "Give an id, such as 6-1-face-5-0."),
        (json!({"with": a}), "It is the same identity."),
        (json!({"with": b}), "There is no such identity."),
        (json!({"with": others[0]}), "It is of another video. Only identities of one video can be merged."),
        (
            json!({"with": c.replace("face", "car")}),
            "It is of another type. Only identities of one type can be merged.",
        ),
    ] {
        assert_eq!(server.post(&format!("/clusters/{a}/merge/"), body).await.refuses("with"), why);
    }
    for (cluster, body, why) in [
        (a, json!({}), "This field is required."),
        (a, json!({"object": c}), "It is no object of this identity."),
        (c, json!({"object": c}), "It is the only object of this identity."),
    ] {
        assert_eq!(server.post(&format!("/clusters/{cluster}/take-out/"), body).await.refuses("object"), why);
    }
    let none = "No Cluster matches the given query.";
    for missing in [b, "9-1-face-0-0", "x"] {
        for (path, body) in [("merge/", json!({"with": a})), ("take-out/", json!({"object": a}))] {
            let answer = server.post(&format!("/clusters/{missing}/{path}"), body).await;
            if missing != "9-1-face-0-0" || path != "merge/" {
                assert_eq!(answer.expect(404).json()["desc"], none, "{missing} {path}");
            }
        }
    }
    let unchanged = server.patch(&format!("/clusters/{a}/"), json!({})).await.expect(200).json();
    assert_eq!(shown(&unchanged), json!([a, 2, null]));
    server.get("/videos/99/corrections/").await.finds_no_video();
    server.delete("/videos/99/corrections/1/").await.finds_no_video();
    server.get("/videos/1/corrections/?x=1").await.refuses("x");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_operate_may_correct_and_it_is_logged() {
    let server = Server::start().await;
    let (video, ids) = faces(&server, &[&[0.0, 0.1]]).await;
    let token = |name: &str, scope| {
        let new = NewToken { name: name.into(), scope, expires: None, session: None };
        Tokens::new(&server.data()).add(new, &format!("secret-of-{name}"), Timestamp::now()).unwrap();
        format!("Token secret-of-{name}")
    };
    let (reader, operator) = (token("reader", Scope::Read), token("operator", Scope::Operate));
    let cluster = format!("/clusters/{}/", ids[0]);
    let undo = format!("/videos/{video}/corrections/1/");
    let mut made = Vec::new();
    for (method, path, body, status) in [
        (Method::PATCH, &cluster, json!({"name": "Anna"}), 200),
        (Method::POST, &format!("{cluster}take-out/"), json!({"object": ids[1]}), 200),
        (Method::POST, &format!("{cluster}merge/"), json!({"with": ids[1]}), 200),
        (Method::DELETE, &undo, json!({}), 204),
    ] {
        let send = |token: &str| {
            let request = server.request(method.clone(), path).header("authorization", token);
            server.send(request.body(body.to_string()))
        };
        send(&reader).await.expect(403);
        send(&operator).await.expect(status);
        made.push(json!(["operator", method.as_str(), path, status]));
    }
    let audit = std::fs::read_to_string(server.data().join("audit.log")).unwrap();
    let entries = audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let entries = entries.filter(|entry| entry["token"] == "operator");
    let entries: Vec<_> = entries.map(|e| json!([e["token"], e["method"], e["path"], e["status"]])).collect();
    assert_eq!(entries, made);
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_of_all_videos_are_listed_by_type() {
    let server = Server::start().await;
    let (first, a) = faces(&server, &[&[0.0], &[1.0]]).await;
    let (second, b) = faces(&server, &[&[0.1, 0.05], &[5.0]]).await;
    let (third, c) = faces(&server, &[&[0.2]]).await;
    let one = |id: &str, size: u64| json!([id, size, null]);
    let all = [one(&a[0], 1), one(&a[1], 1), one(&b[0], 2), one(&b[2], 1), one(&c[0], 1)];
    assert_eq!(list(&server, "/clusters/faces/").await, all);
    assert_eq!(list(&server, &format!("/clusters/faces/?video_archive={second}")).await, all[2..4]);
    let two = format!("/clusters/faces/?video_archive={third}&video_archive={first}");
    assert_eq!(list(&server, &two).await, [all[0].clone(), all[1].clone(), all[4].clone()]);
    for kind in ["bodies", "cars"] {
        assert_eq!(list(&server, &format!("/clusters/{kind}/")).await, Vec::<Value>::new());
    }

    server.patch(&format!("/clusters/{}/", b[0]), json!({"name": "Bo"})).await.expect(200);
    assert_eq!(list(&server, "/clusters/faces/?named=true").await, [json!([b[0], 2, "Bo"])]);
    assert_eq!(list(&server, &format!("/clusters/faces/?named=true&video_archive={first}")).await, Vec::<Value>::new());
    assert_eq!(list(&server, "/clusters/faces/?named=false").await.len(), 5);

    // The name is known in the videos where somebody looks like the one who has it.
    let known = async |id: &str| {
        let found = server.get(&format!("/clusters/{id}/")).await.expect(200).json()["named_alike"].clone();
        json!([found["name"], found["cluster"], found["similarity"]])
    };
    assert_eq!(known(&a[0]).await, json!(["Bo", b[0], 0.895_025]));
    assert_eq!(known(&c[0]).await, json!(["Bo", b[0], 0.895_025]));
    assert_eq!(known(&a[1]).await, json!([null, null, null]), "it is too far");
    assert_eq!(known(&b[2]).await, json!([null, null, null]), "it is of the same video");
    server.patch(&format!("/clusters/{}/", c[0]), json!({"name": "Cy"})).await.expect(200);
    assert_eq!(known(&c[0]).await, json!([null, null, null]), "it has a name of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_come_by_similarity() {
    let server = Server::start().await;
    let (first, a) = faces(&server, &[&[0.0], &[1.0]]).await;
    let (second, b) = faces(&server, &[&[0.1, 0.05], &[0.5]]).await;
    server.patch(&format!("/clusters/{}/", b[2]), json!({"name": "Bo"})).await.expect(200);
    for (query, expected) in [
        (String::new(), vec![(&a[0], 1.0), (&b[0], 0.972_655)]),
        ("&threshold=0".into(), vec![(&a[0], 1.0), (&b[0], 0.972_655), (&b[2], 0.0625), (&a[1], 0.000_015)]),
        ("&threshold=0.01&named=true".into(), vec![(&b[2], 0.0625)]),
        (format!("&threshold=0.01&video_archive={second}"), vec![(&b[0], 0.972_655), (&b[2], 0.0625)]),
        (format!("&video_archive={first}&video_archive={second}"), vec![(&a[0], 1.0), (&b[0], 0.972_655)]),
    ] {
        for reference in [a[0].clone(), format!("faceevent:{}", a[0])] {
            let path = format!("/clusters/faces/?looks_like={reference}{query}");
            let (mut found, mut next) = (Vec::new(), Some(format!("{path}&limit=1")));
            while let Some(path) = next {
                let page = server.get(&path).await.expect(200).json();
                found.extend(page["results"].as_array().unwrap().iter().map(|cluster| {
                    (cluster["id"].as_str().unwrap().to_owned(), cluster["looks_like_confidence"].as_f64().unwrap())
                }));
                next = page["next_page"].as_str().map(str::to_owned);
            }
            let expected: Vec<_> = expected.iter().map(|(id, similarity)| ((*id).clone(), *similarity)).collect();
            assert_eq!(found, expected, "{path}");
        }
    }
    for (query, param) in [
        ("looks_like=x".to_owned(), "looks_like"),
        ("looks_like=9-1-face-0-0".into(), "looks_like"),
        (format!("looks_like={}&threshold=2", a[0]), "threshold"),
        (format!("looks_like={}&video_archive=99", a[0]), "video_archive"),
        ("named=maybe".into(), "named"),
        ("type=face".into(), "type"),
    ] {
        server.get(&format!("/clusters/faces/?{query}")).await.refuses(param);
    }
    server.get(&format!("/clusters/cars/?looks_like={}", a[0])).await.refuses("looks_like");
}
