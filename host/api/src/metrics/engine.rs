//! Metrics of the engine, collected for each scrape.

use ocellus_pipeline::{EngineMetrics, PluginMetrics};
use prometheus::{CounterVec, Gauge, GaugeVec, Opts, Registry, Result, core::Collector};

/// Name and help text of a metric.
struct Described(&'static str, &'static str);

pub(super) fn register(registry: &Registry, engine: &EngineMetrics) -> Result<()> {
    let metrics = Metrics(registry);
    metrics.labelled_gauge(
        Described("ocellus_build_info", "The version that runs; always 1."),
        &["version"],
        [(vec![env!("CARGO_PKG_VERSION").to_owned()], 1.0)],
    )?;
    for (name, help, value) in [
        ("ocellus_videos", "Videos in the archive.", engine.videos as f64),
        ("ocellus_queued_videos", "Videos that wait for a job.", engine.queued as f64),
        ("ocellus_running_jobs", "Jobs that run.", engine.running as f64),
        ("ocellus_max_jobs", "Jobs that may run at the same time.", engine.most as f64),
        ("ocellus_frames_per_second", "Frames per second of all running jobs together.", engine.fps),
        ("ocellus_waiting_deliveries", "Objects that were not delivered yet.", engine.deliveries.waiting as f64),
        ("ocellus_deliveries_in_flight", "Deliveries that a router has to answer.", engine.deliveries.in_flight as f64),
        (
            "ocellus_unreachable_routers",
            "Routers that did not answer when they were last tried.",
            engine.deliveries.unreachable_routers as f64,
        ),
    ] {
        metrics.gauge(Described(name, help), value)?;
    }
    if let Some(disk) = engine.disk {
        metrics.gauge(Described("ocellus_disk_bytes", "Size of the archive's disk."), disk.total_bytes as f64)?;
        metrics.gauge(Described("ocellus_disk_free_bytes", "Room on the archive's disk."), disk.free_bytes as f64)?;
        if let Some(bytes) = disk.source_bytes {
            let described = Described("ocellus_source_bytes", "All source files, as of the last housekeeping.");
            metrics.gauge(described, bytes as f64)?;
        }
    }
    work(&metrics, engine)?;
    plugins(&metrics, &engine.plugins)
}

fn work(metrics: &Metrics<'_>, engine: &EngineMetrics) -> Result<()> {
    let label = |text: &dyn ToString| vec![text.to_string()];
    metrics.counter(
        Described("ocellus_jobs_ended_total", "Jobs that ended, by the status of their video."),
        &["status"],
        engine.ended.iter().map(|(status, count)| (label(status), *count as f64)),
    )?;
    metrics.counter(
        Described("ocellus_frames_total", "Frames that jobs went through: processed, or static (nothing moved)."),
        &["kind"],
        [(label(&"processed"), engine.work.processed as f64), (label(&"static"), engine.work.static_frames as f64)],
    )?;
    metrics.counter(
        Described("ocellus_objects_total", "Objects that jobs made."),
        &["type"],
        engine.work.objects.iter().map(|(object_type, count)| (label(object_type), *count as f64)),
    )?;
    metrics.counter(
        Described(
            "ocellus_stage_cpu_seconds_total",
            "CPU time of jobs' own threads, by the work that it was spent on.",
        ),
        &["stage"],
        engine.cpu_seconds.iter().map(|(stage, seconds)| (vec![format!("{stage:?}").to_lowercase()], *seconds)),
    )?;
    metrics.counter(
        Described("ocellus_delivery_attempts_total", "Attempts to deliver an object, by what became of them."),
        &["result"],
        [
            (label(&"posted"), engine.attempts.posted as f64),
            (label(&"retrying"), engine.attempts.retrying as f64),
            (label(&"failed"), engine.attempts.failed as f64),
        ],
    )?;
    metrics.counter(
        Described(
            "ocellus_decoder_crashes_total",
            "Processes that decode and crashed, stood still or took too much memory.",
        ),
        &[],
        [(Vec::new(), engine.decoder_crashes as f64)],
    )
}

fn plugins(metrics: &Metrics<'_>, plugins: &[PluginMetrics]) -> Result<()> {
    let labels = |plugin: &PluginMetrics| vec![plugin.name.clone(), format!("{:?}", plugin.kind).to_lowercase()];
    type Value = fn(&PluginMetrics) -> f64;
    let all: [(&'static str, &'static str, Value); 3] = [
        ("ocellus_plugin_calls_total", "Calls of a plugin's functions.", |p| p.used.calls as f64),
        ("ocellus_plugin_seconds_total", "Time in calls of a plugin.", |p| p.used.time_ms / 1000.0),
        ("ocellus_plugin_faults_total", "Sessions of a plugin that ended with a fault.", |p| p.used.faults as f64),
    ];
    all.into_iter().try_for_each(|(name, help, value)| {
        metrics.counter(
            Described(name, help),
            &["plugin", "kind"],
            plugins.iter().map(|plugin| (labels(plugin), value(plugin))),
        )
    })
}

/// A registry that is filled once.
struct Metrics<'a>(&'a Registry);

impl Metrics<'_> {
    fn register(&self, collector: impl Collector + 'static) -> Result<()> {
        self.0.register(Box::new(collector))
    }

    fn gauge(&self, Described(name, help): Described, value: f64) -> Result<()> {
        let gauge = Gauge::with_opts(Opts::new(name, help))?;
        gauge.set(value);
        self.register(gauge)
    }

    fn labelled_gauge(
        &self,
        Described(name, help): Described,
        labels: &[&str],
        values: impl IntoIterator<Item = (Vec<String>, f64)>,
    ) -> Result<()> {
        let gauge = GaugeVec::new(Opts::new(name, help), labels)?;
        values.into_iter().for_each(|(labels, value)| gauge.with_label_values(&labels).set(value));
        self.register(gauge)
    }

    fn counter(
        &self,
        Described(name, help): Described,
        labels: &[&str],
        values: impl IntoIterator<Item = (Vec<String>, f64)>,
    ) -> Result<()> {
        let counter = CounterVec::new(Opts::new(name, help), labels)?;
        values.into_iter().for_each(|(labels, value)| counter.with_label_values(&labels).inc_by(value));
        self.register(counter)
    }
}
