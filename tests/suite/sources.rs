//! Covers: damaged and unusual source files. Each job ends with a status and a sentence for the
//! user, and the next one runs.

use serde_json::{Value, json};

use crate::{media, server::Server};

async fn process(server: &Server, file: &std::path::Path) -> Value {
    let id = server.process_file(json!({}), file).await;
    server.finished(id).await
}

fn assert_failed(video: &Value, status: &str) {
    assert_eq!(video["health_status"]["status"], status, "{video:#}");
    assert_eq!(video["health_status"]["code"], "red");
    assert_eq!(video["active"], false);
    let error = video["error"].as_str().unwrap();
    assert!(error.len() > 10 && !error.contains('/'), "{error:?} is not a sentence for a user");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_a_video_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));

    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "These are notes.\n".repeat(500)).unwrap();
    assert_failed(&process(&server, &text).await, "NOT_STARTED");

    let sound = dir.path().join("sound.m4a");
    media::ffmpeg(&["-f", "lavfi", "-i", "sine=duration=2", "-c:a", "aac"], &sound);
    assert_failed(&process(&server, &sound).await, "NOT_STARTED");

    // A playlist must not make the server read other files.
    let playlist = dir.path().join("list.m3u8");
    std::fs::write(&playlist, "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
        .unwrap();
    assert_failed(&process(&server, &playlist).await, "NOT_STARTED");

    let good = process(&server, &media::pattern(dir.path(), "320x240", 1)).await;
    assert_eq!(good["health_status"]["status"], "COMPLETED", "the next job does not run: {good:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_file_is_processed_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let whole = dir.path().join("whole.mp4");
    media::ffmpeg(
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x240:rate=25:duration=8",
            "-c:v",
            "libx264",
            "-movflags",
            "+faststart",
        ],
        &whole,
    );
    let bytes = std::fs::read(&whole).unwrap();
    let cut = dir.path().join("cut.mp4");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let video = process(&server, &cut).await;
    assert_failed(&video, "INTERRUPTED");
    let frames = video["health_status"]["statistic"]["frames_processed"].as_u64().unwrap();
    assert!((1..200).contains(&frames), "{frames} frames");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_duration_gets_its_measured_length() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let file = dir.path().join("live.mkv");
    media::ffmpeg(
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x240:rate=25:duration=2",
            "-c:v",
            "libx264",
            "-f",
            "matroska",
            "-live",
            "1",
        ],
        &file,
    );
    let video = process(&server, &file).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    let length = video["source_len"].as_f64().unwrap();
    assert!((1.8..2.2).contains(&length), "{length}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_whose_clock_was_set_has_its_true_length() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let part = |name: &str, offset: &str| {
        let file = dir.path().join(name);
        let pattern = "testsrc2=size=320x240:rate=25:duration=1";
        media::ffmpeg(&["-f", "lavfi", "-i", pattern, "-c:v", "libx264", "-output_ts_offset", offset], &file);
        std::fs::read(file).unwrap()
    };
    let both = dir.path().join("both.ts");
    std::fs::write(&both, [part("before.ts", "0"), part("after.ts", "90000")].concat()).unwrap();
    // Played at its own speed, without waiting for the day that the clock jumps.
    let id = server.process_file(json!({"stream_settings": {"play_speed": 1}}), &both).await;
    let video = server.finished(id).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    let statistic = &video["health_status"]["statistic"];
    assert_eq!((&statistic["frames_processed"], &statistic["time_jumps"]), (&json!(50), &json!(1)), "{video:#}");
    let length = video["source_len"].as_f64().unwrap();
    assert!((1.9..2.1).contains(&length), "{length}");
}

#[tokio::test(flavor = "multi_thread")]
async fn oblong_pixels_are_made_square_in_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let file = dir.path().join("oblong.mkv");
    let two = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=160x240:rate=25:duration=1,setsar=2",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x240:rate=25:duration=1",
        "-map",
        "0",
        "-map",
        "1",
        "-c:v",
        "libx264",
    ];
    media::ffmpeg(&two, &file);
    let id = server.process_file(json!({}), &file).await;
    let video = server.finished(id).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    assert_eq!((&video["frame_width"], &video["frame_height"]), (&json!(320), &json!(240)));
    let others = &video["health_status"]["statistic"]["other_video_streams"];
    assert_eq!(others, &json!(["stream 1: h264 320x240"]));
    let screenshot = server.bytes(&format!("/videos/{id}/screenshot/")).await;
    assert_eq!(media::jpeg_size(&screenshot), Some((320, 240)));
}
