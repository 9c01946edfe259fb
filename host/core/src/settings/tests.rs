use proptest::prelude::*;

use super::*;

fn schema() -> SettingsSchema {
    SettingsSchema::new(&[], &["simple_iou".into()], &["nested".into(), "roi".into()]).unwrap()
}

fn refused(sent: Value) -> (String, String) {
    let error = schema().complete(Some(&sent)).unwrap_err();
    (error.param().unwrap().to_owned(), error.public().to_owned())
}

#[test]
fn empty_settings_are_the_documented_defaults() {
    let settings = serde_json::to_value(schema().complete(None).unwrap()).unwrap();
    let face = &settings["detectors"]["face"];
    assert_eq!(face["filter_min_quality"], 0.42);
    assert_eq!(face["tracker_type"], "simple_iou");
    assert_eq!(face["roi"], "");
    assert_eq!(settings["detectors"]["body"], Value::Null);
    assert_eq!(settings["detectors"]["car"], Value::Null);
    assert_eq!(settings["play_speed"], -1);
    assert_eq!(settings["disable_drops"], true);
}

#[test]
fn a_float_without_a_fraction_is_an_integer_at_every_depth() {
    let sent = json!({
        "router_timeout_ms": 60.0, "start_stream_timestamp": 1e9, "play_speed": 2.0,
        "detectors": {"face": {"filter_min_size": 60.0, "filter_min_quality": 1.0, "track_miss_interval": 0.5}},
    });
    let settings = schema().complete(Some(&sent)).unwrap();
    assert_eq!((settings.router_timeout_ms, settings.start_stream_timestamp), (60, 1_000_000_000));
    let face = settings.detector(&ObjectType::face()).unwrap();
    assert_eq!((face.filter_min_size, face.track_miss_interval), (60, 0.5));
    assert_eq!(schema().merge(&settings, &sent).unwrap(), settings);
    assert_eq!(refused(json!({"router_timeout_ms": 60.5})).0, "stream_settings.router_timeout_ms");
}

#[test]
fn an_empty_object_is_on_and_null_is_off() {
    let settings = schema().complete(Some(&json!({"detectors": {"car": {}, "face": null}}))).unwrap();
    assert_eq!(settings.active().map(|(t, _)| t.as_str()).collect::<Vec<_>>(), ["car"]);
}

#[test]
fn refusals_name_the_path() {
    assert_eq!(refused(json!({"detectors": {"face": {"roi": "string"}}})).0, "stream_settings.detectors.face.roi");
    assert_eq!(refused(json!({"detectors": {"face": {"colour": 1}}})).0, "stream_settings.detectors.face.colour");
    assert_eq!(refused(json!({"detectors": {"cat": {}}})).0, "stream_settings.detectors.cat");
    assert_eq!(refused(json!({"speed": 1})).0, "stream_settings.speed");
    assert_eq!(refused(json!({"play_speed": 0})).0, "stream_settings.play_speed");
    assert_eq!(refused(json!({"ffmpeg_params": ["a=b", ""]})).0, "stream_settings.ffmpeg_params.1");
    assert_eq!(refused(json!({"detectors": {"face": null}})).0, "stream_settings.detectors");
    assert_eq!(refused(json!([])).0, "stream_settings");
    let (path, text) = refused(json!({"enable_liveness": true}));
    assert!(path == "stream_settings.enable_liveness" && text.contains("attributes.toml"), "{path}: {text}");
    assert!(schema().with_liveness(true).complete(Some(&json!({"enable_liveness": true}))).unwrap().enable_liveness);
    let (path, text) = refused(json!({"stream_data_filter": "roi, nestd"}));
    assert_eq!(path, "stream_settings.stream_data_filter");
    assert!(text.contains("\"nestd\"") && text.contains("nested, roi"), "{text}");
    let (path, text) = refused(json!({"detectors": {"face": {"tracker_type": "deep"}}}));
    assert_eq!(path, "stream_settings.detectors.face.tracker_type");
    assert!(text.contains("simple_iou") && text.contains("\"deep\""), "{text}");
}

#[test]
fn settings_of_plugins_are_validated_by_their_schemas() {
    let speed = json!({
        "type": "object", "additionalProperties": false, "required": ["road"],
        "properties": {"road": {"$ref": "#/$defs/name"}, "limit": {"type": "integer", "minimum": 1, "default": 50}},
        "$defs": {"name": {"type": "string", "pattern": "^[a-z]+$"}}
    });
    let broken = json!({"$ref": "https://example.org/nowhere"});
    let schema = schema().with_plugins(&[("speed".into(), speed), ("broken".into(), broken)]).unwrap();
    assert!(schema.complete(None).unwrap().plugins.is_empty());
    let settings = schema.complete(Some(&json!({"plugins": {"speed": {"road": "elm"}, "broken": {"a": 1}}}))).unwrap();
    assert_eq!(settings.plugins["speed"], json!({"road": "elm", "limit": 50}));
    assert_eq!(settings.plugins["broken"], json!({"a": 1}));
    let patched = schema.merge(&settings, &json!({"plugins": {"speed": {"road": "oak"}}})).unwrap();
    assert_eq!(patched.plugins["speed"], json!({"road": "oak", "limit": 50}));
    for (sent, path) in [
        (json!({"speed": {"road": "Elm"}}), "plugins.speed.road"),
        (json!({"speed": {"road": "elm", "limit": 0}}), "plugins.speed.limit"),
        (json!({"speed": {"road": "elm", "lmit": 1}}), "plugins.speed.lmit"),
        (json!({"speed": 1}), "plugins.speed"),
        (json!({"sped": {}}), "plugins.sped"),
        (json!([]), "plugins"),
    ] {
        let error = schema.complete(Some(&json!({"plugins": sent}))).unwrap_err();
        assert_eq!(error.param(), Some(&*format!("stream_settings.{path}")), "{sent}");
    }
}

#[test]
fn a_router_is_chosen_by_its_name_and_the_default_one_is_not_written() {
    let schema = schema().with_routers(&["http".into(), "to-queue".into()]).unwrap();
    let settings = schema.complete(None).unwrap();
    assert_eq!(settings.router, "http");
    let written = serde_json::to_value(&settings).unwrap();
    assert_eq!(written.get("router"), None);
    assert_eq!(serde_json::from_value::<StreamSettings>(written).unwrap(), settings);
    let chosen = schema.merge(&settings, &json!({"router": "to-queue"})).unwrap();
    assert_eq!(
        (chosen.router.as_str(), &serde_json::to_value(&chosen).unwrap()["router"]),
        ("to-queue", &json!("to-queue"))
    );
    assert_eq!(schema.merge(&chosen, &json!({"play_speed": 2})).unwrap().router, "to-queue");
    let error = schema.complete(Some(&json!({"router": "to-que"}))).unwrap_err();
    assert_eq!(error.param(), Some("stream_settings.router"));
    assert_eq!(error.public(), "There is no router \"to-que\"; installed: http, to-queue.");
    assert_eq!(refused(json!({"router": "to-queue"})).0, "stream_settings.router", "it is not installed");
}

#[test]
fn a_patch_changes_only_what_it_names() {
    let schema = schema();
    let before = schema.complete(Some(&json!({"detectors": {"face": {"jpeg_quality": 50}, "body": {}}}))).unwrap();
    let after = schema
        .merge(&before, &json!({"play_speed": 2, "detectors": {"body": null, "car": {"roi": "1x2+3+4"}}}))
        .unwrap();
    let mut expected = before.clone();
    expected.play_speed = 2.0;
    expected.detectors.insert(ObjectType::body(), None);
    let mut car = schema.complete(Some(&json!({"detectors": {"car": {}}}))).unwrap().detectors[&ObjectType::car()]
        .clone()
        .unwrap();
    car.roi = Some(Region { width: 1, height: 2, x: 3, y: 4 });
    expected.detectors.insert(ObjectType::car(), Some(car));
    assert_eq!(after, expected);
}

#[test]
fn an_installed_detector_adds_its_type() {
    let schema = SettingsSchema::new(&["drone".parse().unwrap()], &["simple_iou".into()], &[]).unwrap();
    let settings = schema.complete(Some(&json!({"detectors": {"drone": {}}}))).unwrap();
    assert_eq!(settings.active().map(|(t, _)| t.as_str()).collect::<Vec<_>>(), ["face", "drone"]);
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{0,6}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = prop_oneof![
            Just("detectors".to_owned()),
            Just("face".to_owned()),
            Just("roi".to_owned()),
            Just("play_speed".to_owned()),
            "[a-z]{1,5}".prop_map(String::from)
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|kv| Value::Object(kv.into_iter().collect()))
        ]
    })
}

proptest! {
    #[test]
    fn any_json_gives_settings_or_an_error_with_a_path(sent in anything()) {
        match schema().complete(Some(&sent)) {
            Ok(settings) => {
                let json = serde_json::to_value(&settings).unwrap();
                prop_assert_eq!(schema().complete(Some(&json)).unwrap(), settings);
            }
            Err(error) => prop_assert!(error.param().unwrap().starts_with("stream_settings")),
        }
    }
}

#[test]
fn a_preset_sets_the_defaults() {
    let types = [ObjectType::face(), ObjectType::body()];
    let preset = json!({
        "imotion_threshold": 0.25,
        "plugins": {"road": {"lane": 2}},
        "detectors": {"body": {"filter_min_size": 24}, "car": {"jpeg_quality": 50}}
    });
    let road = json!({"type": "object", "properties": {"lane": {"type": "integer"}, "name": {"type": "string"}}});
    let schema = SettingsSchema::new(&types, &["simple_iou".into()], &[]).unwrap();
    let schema = schema.with_plugins(&[("road".into(), road)]).unwrap().with_preset(&preset).unwrap();

    let settings = schema.complete(None).unwrap();
    assert_eq!(settings.imotion_threshold, 0.25);
    assert_eq!(settings.plugins["road"], json!({"lane": 2}));
    let body = settings.detector(&ObjectType::body()).unwrap();
    assert_eq!((body.filter_min_size, body.filter_min_quality), (24, 0.6));
    assert_eq!(settings.detector(&ObjectType::face()).unwrap().filter_min_size, 60);
    // No detector for cars is installed.
    assert_eq!(settings.detector(&ObjectType::car()), None);

    let sent = json!({"detectors": {"body": {"filter_min_size": 30}, "car": {}}, "plugins": {"road": {"name": "A1"}}});
    let settings = schema.complete(Some(&sent)).unwrap();
    assert_eq!(settings.detector(&ObjectType::body()).unwrap().filter_min_size, 30);
    assert_eq!(settings.detector(&ObjectType::car()).unwrap().jpeg_quality, 50);
    assert_eq!(settings.plugins["road"], json!({"lane": 2, "name": "A1"}));
}

#[test]
fn a_preset_can_switch_a_type_off_and_an_empty_one_changes_nothing() {
    let preset = json!({"detectors": {"face": null, "body": {}}});
    let types = [ObjectType::body()];
    let schema = || SettingsSchema::new(&types, &["simple_iou".into()], &[]).unwrap();
    let settings = schema().with_preset(&preset).unwrap().complete(None).unwrap();
    assert_eq!(settings.active().map(|(t, _)| t.clone()).collect::<Vec<_>>(), types);
    assert_eq!(schema().with_preset(&json!({})).unwrap().document(), schema().document());
}

#[test]
fn an_invalid_preset_is_refused_with_the_path_of_the_key() {
    for (preset, path) in [
        (json!({"detectors": {"body": {"filter_min_sise": 20}}}), "stream_settings.detectors.body.filter_min_sise"),
        (json!({"detectors": {"face": {"jpeg_quality": 101}}}), "stream_settings.detectors.face.jpeg_quality"),
        (json!({"detectors": {"face": null}}), "stream_settings.detectors"),
        (json!({"stream_data_filter": "nothing"}), "stream_settings.stream_data_filter"),
        (json!([]), "stream_settings"),
    ] {
        let error = schema().with_preset(&preset).unwrap_err();
        assert_eq!(error.param(), Some(path), "{preset}");
    }
}
