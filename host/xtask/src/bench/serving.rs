//! Benchmark of a server with 100,000 videos: start-up, lists and memory, each compared with an
//! empty archive or with `/health/`, which reads none; and uploads.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use ocellus_bench_report::{Figure, Unit};
use serde_json::{Value, json};

use super::{
    clips::Clip,
    report::{Report, median},
    server::{Data, Server},
};
use crate::{
    client::Client,
    shell::{remove_folder, say, target},
};

const VIDEOS: u64 = 100_000;
const ROUNDS: usize = 3;
/// Concurrent clients, each with one persistent connection.
const CLIENTS: usize = 2;
/// Time for which each list is requested.
const REQUEST_TIME: Duration = Duration::from_secs(2);
/// Bytes of an upload.
const UPLOAD: u64 = 512 << 20;

/// Name and path of each list.
const LISTS: [(&str, &str); 4] = [
    ("page of 50", "/videos/?limit=50&ordering=-created_date"),
    ("page of 50 by name", "/videos/?limit=50&ordering=name"),
    ("filter by name, page of 50 (1 in 97)", "/videos/?limit=50&name_contains=CAMERA%2013%20"),
    ("count", "/videos/count/"),
];
/// Served from memory: the upper limit of requests per second.
const HEALTH: &str = "/health/";

pub(super) fn measure(report: &Report<'_>) -> Result<()> {
    let (full, empty) = (Data::empty("archive")?, Data::empty("data")?);
    fill(&full)?;
    let name = |what: &str| format!("server, {VIDEOS} videos: {what}");

    let lost = Server::start(&full, 1)?.start_up;
    let (mut full_starts, mut empty_starts, mut full_memory, mut empty_memory) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        for (data, starts, memory) in
            [(&full, &mut full_starts, &mut full_memory), (&empty, &mut empty_starts, &mut empty_memory)]
        {
            let server = Server::start(data, 1)?;
            // The first round creates the empty archive.
            if round > 0 {
                starts.push(server.start_up);
                memory.push(server.own_memory());
            }
        }
    }
    let beside = "an empty archive";
    report.add(
        &Figure::new(name("start-up"), median(&full_starts), Unit::Seconds).beside(beside, median(&empty_starts)),
    )?;
    report.add(
        &Figure::new(name("start-up, index lost"), lost, Unit::Seconds).beside("index there", median(&full_starts)),
    )?;

    let server = Server::start(&full, 1)?;
    check(&server)?;
    let mut rates = LISTS.map(|_| Vec::new());
    let mut limits = Vec::new();
    for _ in 0..ROUNDS {
        limits.push(rate(&server.api, HEALTH)?);
        for ((_, path), rates) in LISTS.into_iter().zip(&mut rates) {
            rates.push(rate(&server.api, path)?);
        }
    }
    let limit = median(&limits);
    for ((what, _), rates) in LISTS.into_iter().zip(rates) {
        report.add(&Figure::new(name(what), median(&rates), Unit::RequestsPerSecond).beside(HEALTH, limit))?;
    }
    let after = Figure::new(name("memory after lists"), server.own_memory(), Unit::Megabytes);
    report.add(&after.beside(format!("{beside}, unasked"), median(&empty_memory)))?;
    report.add(
        &Figure::new(name("memory"), median(&full_memory), Unit::Megabytes).beside(beside, median(&empty_memory)),
    )?;
    drop(server);
    upload(report, &empty)
}

/// Writes the records of all videos as copies of one that the server wrote, and removes the index.
fn fill(data: &Data) -> Result<()> {
    say("Making", &format!("an archive of {VIDEOS} videos"));
    let server = Server::start(data, 1)?;
    let created_id = server.api.create(&json!({"camera_group": 1, "name": "camera 1 of 1"}))?;
    drop(server);
    let folder = |id: u64| data.path().join(format!("archive/{:03}/{id}", id / 1000));
    let first = folder(created_id).join("video.json");
    let mut record: Value =
        serde_json::from_slice(&fs::read(&first).with_context(|| format!("cannot read {}", first.display()))?)?;
    let created: jiff::Timestamp = record
        .get("created_date")
        .and_then(Value::as_str)
        .context("the record has no date")?
        .parse()
        .context("created_date")?;
    let fields = record.as_object_mut().context("the record is not an object")?;
    // Files without a checksum, as release 0.1 wrote them, may be edited.
    fields.retain(|key, _| key != "format" && key != "checksum");
    for id in created_id + 1..=VIDEOS {
        fields.insert("id".into(), id.into());
        fields.insert("name".into(), format!("camera {} of {id}", id % 97).into());
        fields.insert(
            "created_date".into(),
            (created + jiff::SignedDuration::from_secs(60 * i64::try_from(id)?)).to_string().into(),
        );
        fs::create_dir_all(folder(id))?;
        fs::write(folder(id).join("video.json"), serde_json::to_vec_pretty(&fields)?)?;
    }
    remove_folder(&data.path().join("index"))
}

/// Fails if a video is missing from the count or a list.
fn check(server: &Server) -> Result<()> {
    let count: Value = server.api.get("/videos/count/")?;
    if count.get("count").and_then(Value::as_u64) != Some(VIDEOS) {
        bail!("the server counts {count} of {VIDEOS} videos");
    }
    for (what, path) in LISTS.into_iter().filter(|(_, path)| path.contains("limit=50")) {
        let page: Value = server.api.get(path)?;
        if page.get("results").and_then(Value::as_array).map(Vec::len) != Some(50) {
            bail!("{what}: {path} does not list 50 videos");
        }
    }
    Ok(())
}

/// Responses per second.
fn rate(api: &Client, path: &str) -> Result<f64> {
    let start = Instant::now();
    let ask = || -> Result<u32> {
        let api = api.with_own_connections();
        let mut answers = 0;
        while start.elapsed() < REQUEST_TIME {
            api.read(path)?;
            answers += 1;
        }
        Ok(answers)
    };
    let answers = thread::scope(|scope| -> Result<u32> {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().map(|client| client.join().ok().context("a client panicked")?).sum()
    })?;
    Ok(f64::from(answers) / start.elapsed().as_secs_f64())
}

fn upload(report: &Report<'_>, data: &Data) -> Result<()> {
    let folder = target().join("bench");
    let (from, copy) = (folder.join("upload.bin"), folder.join("upload.copy"));
    let block: Vec<u8> = (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(&from, block.repeat((UPLOAD >> 20) as usize))?;
    let server = Server::start(data, 1)?;
    let (mut copying, mut uploading) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        fs::copy(&from, &copy)?;
        fs::File::open(&copy)?.sync_all()?;
        copying.push(start.elapsed().as_secs_f64());
        fs::remove_file(&copy)?;
        let start = Instant::now();
        let video = server.video(&Clip { name: "upload".into(), file: from.clone() }, &["face"], 0.0)?;
        uploading.push(start.elapsed().as_secs_f64());
        server.api.delete(&format!("/videos/{video}/"))?;
    }
    fs::remove_file(from)?;
    let rate = |seconds: &[f64]| UPLOAD as f64 / 1e6 / median(seconds);
    report.add(
        &Figure::new("upload of 537 MB", rate(&uploading), Unit::MegabytesPerSecond)
            .beside("copying and syncing", rate(&copying)),
    )
}
