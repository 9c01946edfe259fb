use super::*;

fn spec() -> VideoSpec {
    VideoSpec { recording: 0, router_url: None, detectors: json!({}) }
}

fn fields(name: &str) -> Fields {
    Fields { name: name.into(), case: 1, timeout_ms: 500 }
}

fn listed(id: u64, name: &str) -> ListedVideo {
    serde_json::from_value(json!({
        "id": id, "name": name, "case": 1, "file_size": 0, "finished": false, "error": null, "face_count": 0, "body_count": 0,
        "car_count": 0, "health_status": {"enabled": false, "status": "WAITING_FOR_SYNC"},
        "stream_settings": {"router_timeout_ms": 500},
    }))
    .unwrap()
}

fn kinds(violations: &Violations) -> Vec<ViolationKind> {
    violations.take().into_iter().map(|violation| violation.kind).collect()
}

/// A model in which videos 1 to `n`, named `1` to `n`, were created.
fn model(n: u64, violations: &Violations) -> Model {
    let mut model = Model::default();
    for id in 1..=n {
        let begun = model.begin(Change::Create { spec: spec(), fields: fields(&id.to_string()) });
        model.end(begun, Outcome::Done(Some(id)), violations);
    }
    model
}

#[test]
fn acknowledged_creations_must_exist_and_those_in_doubt_may() {
    let violations = Violations::default();
    let mut model = model(1, &violations);
    let _unanswered = model.begin(Change::Create { spec: spec(), fields: fields("doubtful") });
    model.observe(&[listed(1, "1"), listed(2, "doubtful")], |_| None, &violations);
    assert_eq!((kinds(&violations), model.ids()), (vec![], vec![1, 2]));
    model.observe(&[listed(2, "doubtful")], |_| None, &violations);
    assert_eq!((kinds(&violations), model.ids()), (vec![ViolationKind::Lost], vec![2]));
    model.observe(&[listed(2, "doubtful"), listed(3, "whose?")], |_| None, &violations);
    assert_eq!(kinds(&violations), [ViolationKind::Lost]);
}

#[test]
fn an_id_is_given_once() {
    let violations = Violations::default();
    let mut model = model(1, &violations);
    let begun = model.begin(Change::Delete { id: 1 });
    model.end(begun, Outcome::Done(None), &violations);
    let begun = model.begin(Change::Create { spec: spec(), fields: fields("again") });
    model.end(begun, Outcome::Done(Some(1)), &violations);
    assert_eq!(kinds(&violations), [ViolationKind::IdAgain]);
}

#[test]
fn deleted_videos_stay_deleted_unless_the_deletion_was_in_doubt() {
    let violations = Violations::default();
    let mut model = model(2, &violations);
    let _unanswered = model.begin(Change::Delete { id: 2 });
    model.observe(&[listed(1, "1"), listed(2, "2")], |_| None, &violations);
    assert_eq!(kinds(&violations), []);
    assert!(model.must_be_there(2), "the deletion did not happen");
    let begun = model.begin(Change::Delete { id: 2 });
    model.end(begun, Outcome::Done(None), &violations);
    model.observe(&[listed(1, "1"), listed(2, "2")], |_| None, &violations);
    assert_eq!(kinds(&violations), [ViolationKind::Lost]);
}

#[test]
fn of_two_deletions_one_is_refused_as_not_found() {
    let violations = Violations::default();
    let mut model = model(1, &violations);
    let (one, two) = (model.begin(Change::Delete { id: 1 }), model.begin(Change::Delete { id: 1 }));
    model.end(two, Outcome::Refused { not_found: true }, &violations);
    model.end(one, Outcome::Done(None), &violations);
    assert_eq!(kinds(&violations), []);
    let mut model = super::tests::model(1, &violations);
    let begun = model.begin(Change::Delete { id: 1 });
    model.end(begun, Outcome::Refused { not_found: true }, &violations);
    assert_eq!(kinds(&violations), [ViolationKind::Lost]);
}

#[test]
fn a_deletion_in_doubt_may_have_ended_the_job() {
    let violations = Violations::default();
    let mut model = model(1, &violations);
    let begun = model.begin(Change::Process { id: 1 });
    model.end(begun, Outcome::Done(None), &violations);
    let _unanswered = model.begin(Change::Delete { id: 1 });
    model.observe(&[listed(1, "1")], |_| None, &violations);
    assert_eq!(kinds(&violations), []);
}

#[test]
fn a_partial_patch_is_a_violation() {
    let violations = Violations::default();
    let mut model = model(1, &violations);
    let _unanswered =
        model.begin(Change::Write { id: 1, fields: Fields { name: "new".into(), case: 2, timeout_ms: 900 } });
    model.observe(&[listed(1, "1")], |_| None, &violations);
    assert_eq!(kinds(&violations), []);
    let _unanswered =
        model.begin(Change::Write { id: 1, fields: Fields { name: "new".into(), case: 2, timeout_ms: 900 } });
    model.observe(&[listed(1, "new")], |_| None, &violations);
    assert_eq!(kinds(&violations), [ViolationKind::Lost]);
}

#[test]
fn a_file_is_the_one_that_was_acknowledged() {
    let violations = Violations::default();
    let mut model = model(1, &violations);
    let (old, new) = (File::of(b"old"), File::of(b"newer"));
    let begun = model.begin(Change::Upload { id: 1, file: old });
    model.end(begun, Outcome::Done(None), &violations);
    let _unanswered = model.begin(Change::Upload { id: 1, file: new });
    model.observe(&[ListedVideo { file_size: 5, ..listed(1, "1") }], |_| Some(new), &violations);
    assert_eq!(kinds(&violations), []);
    model.observe(&[ListedVideo { file_size: 3, ..listed(1, "1") }], |_| Some(old), &violations);
    assert_eq!(kinds(&violations), [ViolationKind::Lost], "back to what was replaced");
    model.observe(&[ListedVideo { file_size: 4, ..listed(1, "1") }], |_| Some(old), &violations);
    assert_eq!(kinds(&violations), [ViolationKind::Lost], "a wrong size in the record");
}

#[test]
fn a_job_that_was_asked_for_is_not_forgotten() {
    let violations = Violations::default();
    let mut model = model(1, &violations);
    let file = File::of(b"file");
    let there = ListedVideo { file_size: 4, ..listed(1, "1") };
    let begun = model.begin(Change::Upload { id: 1, file });
    model.end(begun, Outcome::Done(None), &violations);
    let begun = model.begin(Change::Process { id: 1 });
    model.end(begun, Outcome::Done(None), &violations);
    let queued = ListedVideo { health_status: Health { enabled: true, status: "AWAITING".into() }, ..there.clone() };
    model.observe(&[queued], |_| Some(file), &violations);
    assert_eq!(kinds(&violations), []);
    assert!(model.settled().all(|video| video.job));
    model.observe(&[there], |_| Some(file), &violations);
    assert_eq!(kinds(&violations), [ViolationKind::Lost]);
}
