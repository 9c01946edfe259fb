use super::*;

fn nature() -> Nature {
    Nature { recording: 0, router_url: None, detectors: json!({}) }
}

fn fields(name: &str) -> Fields {
    Fields { name: name.into(), case: 1, timeout_ms: 500 }
}

fn shown(id: u64, name: &str) -> Shown {
    serde_json::from_value(json!({
        "id": id, "name": name, "case": 1, "file_size": 0, "finished": false, "error": null, "face_count": 0, "body_count": 0,
        "car_count": 0, "health_status": {"enabled": false, "status": "WAITING_FOR_SYNC"},
        "stream_settings": {"router_timeout_ms": 500},
    }))
    .unwrap()
}

fn kinds(faults: &Faults) -> Vec<FaultKind> {
    faults.take().into_iter().map(|fault| fault.kind).collect()
}

/// A model in which videos 1 to `n`, named `1` to `n`, were created.
fn model(n: u64, faults: &Faults) -> Model {
    let mut model = Model::default();
    for id in 1..=n {
        let begun = model.begin(Change::Create { nature: nature(), fields: fields(&id.to_string()) });
        model.end(begun, Outcome::Done(Some(id)), faults);
    }
    model
}

#[test]
fn what_was_acknowledged_must_be_there_and_what_is_in_doubt_may() {
    let faults = Faults::default();
    let mut model = model(1, &faults);
    let _unanswered = model.begin(Change::Create { nature: nature(), fields: fields("doubtful") });
    model.observe(&[shown(1, "1"), shown(2, "doubtful")], |_| None, &faults);
    assert_eq!((kinds(&faults), model.ids()), (vec![], vec![1, 2]));
    model.observe(&[shown(2, "doubtful")], |_| None, &faults);
    assert_eq!((kinds(&faults), model.ids()), (vec![FaultKind::Lost], vec![2]));
    model.observe(&[shown(2, "doubtful"), shown(3, "whose?")], |_| None, &faults);
    assert_eq!(kinds(&faults), [FaultKind::Lost]);
}

#[test]
fn an_id_is_given_once() {
    let faults = Faults::default();
    let mut model = model(1, &faults);
    let begun = model.begin(Change::Delete { id: 1 });
    model.end(begun, Outcome::Done(None), &faults);
    let begun = model.begin(Change::Create { nature: nature(), fields: fields("again") });
    model.end(begun, Outcome::Done(Some(1)), &faults);
    assert_eq!(kinds(&faults), [FaultKind::IdAgain]);
}

#[test]
fn what_was_deleted_does_not_come_back_unless_its_deletion_was_in_doubt() {
    let faults = Faults::default();
    let mut model = model(2, &faults);
    let _unanswered = model.begin(Change::Delete { id: 2 });
    model.observe(&[shown(1, "1"), shown(2, "2")], |_| None, &faults);
    assert_eq!(kinds(&faults), []);
    assert!(model.must_be_there(2), "the deletion did not happen");
    let begun = model.begin(Change::Delete { id: 2 });
    model.end(begun, Outcome::Done(None), &faults);
    model.observe(&[shown(1, "1"), shown(2, "2")], |_| None, &faults);
    assert_eq!(kinds(&faults), [FaultKind::Lost]);
}

#[test]
fn of_two_deletions_one_finds_nothing() {
    let faults = Faults::default();
    let mut model = model(1, &faults);
    let (one, two) = (model.begin(Change::Delete { id: 1 }), model.begin(Change::Delete { id: 1 }));
    model.end(two, Outcome::Refused { not_found: true }, &faults);
    model.end(one, Outcome::Done(None), &faults);
    assert_eq!(kinds(&faults), []);
    let mut model = super::tests::model(1, &faults);
    let begun = model.begin(Change::Delete { id: 1 });
    model.end(begun, Outcome::Refused { not_found: true }, &faults);
    assert_eq!(kinds(&faults), [FaultKind::Lost]);
}

#[test]
fn a_deletion_in_doubt_may_have_ended_the_job() {
    let faults = Faults::default();
    let mut model = model(1, &faults);
    let begun = model.begin(Change::Process { id: 1 });
    model.end(begun, Outcome::Done(None), &faults);
    let _unanswered = model.begin(Change::Delete { id: 1 });
    model.observe(&[shown(1, "1")], |_| None, &faults);
    assert_eq!(kinds(&faults), []);
}

#[test]
fn half_a_patch_is_a_fault() {
    let faults = Faults::default();
    let mut model = model(1, &faults);
    let _unanswered =
        model.begin(Change::Write { id: 1, fields: Fields { name: "new".into(), case: 2, timeout_ms: 900 } });
    model.observe(&[shown(1, "1")], |_| None, &faults);
    assert_eq!(kinds(&faults), []);
    let _unanswered =
        model.begin(Change::Write { id: 1, fields: Fields { name: "new".into(), case: 2, timeout_ms: 900 } });
    model.observe(&[shown(1, "new")], |_| None, &faults);
    assert_eq!(kinds(&faults), [FaultKind::Lost]);
}

#[test]
fn a_file_is_the_one_that_was_acknowledged() {
    let faults = Faults::default();
    let mut model = model(1, &faults);
    let (old, new) = (File::of(b"old"), File::of(b"newer"));
    let begun = model.begin(Change::Upload { id: 1, file: old });
    model.end(begun, Outcome::Done(None), &faults);
    let _unanswered = model.begin(Change::Upload { id: 1, file: new });
    model.observe(&[Shown { file_size: 5, ..shown(1, "1") }], |_| Some(new), &faults);
    assert_eq!(kinds(&faults), []);
    model.observe(&[Shown { file_size: 3, ..shown(1, "1") }], |_| Some(old), &faults);
    assert_eq!(kinds(&faults), [FaultKind::Lost], "back to what was replaced");
    model.observe(&[Shown { file_size: 4, ..shown(1, "1") }], |_| Some(old), &faults);
    assert_eq!(kinds(&faults), [FaultKind::Lost], "a wrong size in the record");
}

#[test]
fn a_job_that_was_asked_for_is_not_forgotten() {
    let faults = Faults::default();
    let mut model = model(1, &faults);
    let file = File::of(b"file");
    let there = Shown { file_size: 4, ..shown(1, "1") };
    let begun = model.begin(Change::Upload { id: 1, file });
    model.end(begun, Outcome::Done(None), &faults);
    let begun = model.begin(Change::Process { id: 1 });
    model.end(begun, Outcome::Done(None), &faults);
    let queued = Shown { health_status: Health { enabled: true, status: "AWAITING".into() }, ..there.clone() };
    model.observe(&[queued], |_| Some(file), &faults);
    assert_eq!(kinds(&faults), []);
    assert!(model.settled().all(|video| video.job));
    model.observe(&[there], |_| Some(file), &faults);
    assert_eq!(kinds(&faults), [FaultKind::Lost]);
}
