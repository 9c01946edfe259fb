//! `ocellus serve`: opens the archive, the networks, the plugins, the engine and the API in that
//! order, serves, and shuts them down in reverse.

use std::{
    io::Write,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use ocellus_api::{Access, Api, ApiConfig, ConnectionLimits, picture_urls};
use ocellus_core::{Clock, NetworkPolicy, SystemClock, Timestamp};
use ocellus_detect::{AttributeClassifiers, Detectors, Device, Embedders};
use ocellus_media::{DecoderFault, DecoderLimits};
use ocellus_pipeline::{Engine, EngineConfig, OutboxConfig};
use ocellus_runtime::{Limits, Plugins, Setup};
use ocellus_store::{Archive, AuditLog, Tokens, UPLOAD_LIFE};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    assets, certificate, compile,
    config::{Config, ServeArguments},
    decode::{self, IsolationChoice},
    descriptors,
    import::Import,
    log::Log,
    memory, service_manager, token,
};

pub(crate) fn run(arguments: ServeArguments) -> Result<()> {
    // Files of the server and of its compiler processes may hold data that other users must not
    // read.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let config = arguments.resolve()?;
    let log = Log::to_stderr(&config.log, config.log_format, config.api.log.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let outcome = runtime.block_on(serve(config));
    drop(runtime);
    log.finish();
    outcome
}

async fn serve(config: Config) -> Result<()> {
    let begun = Instant::now();
    let connections = config.connections.within(descriptors::raise_limit());
    std::fs::create_dir_all(&config.data)
        .with_context(|| format!("cannot create the data folder {}", config.data.display()))?;
    let (tls, _watch) = match &config.tls {
        Some((certificate, key)) => {
            certificate::follow(certificate, key).map(|(tls, watch)| (Some(tls), Some(watch)))?
        }
        None => (None, None),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);

    let (archive, opened) = Archive::open(&config.data, Arc::clone(&clock))
        .with_context(|| format!("cannot open the archive in {}", config.data.display()))?;
    if let Some(reason) = &opened.index_rebuilt {
        warn!(reason, videos = opened.videos, "the index was rebuilt from the archive: {reason}");
    }
    info!(videos = opened.videos, "opened the archive in {}", config.data.display());

    let token_path = config.data.join("admin.token");
    let (token, created) = token::read_or_create(&token_path)?;
    if created {
        info!("created an admin token in {}", token_path.display());
    }
    let tokens = Tokens::new(&config.data);
    let access = Access::new(token, tokens.clone(), AuditLog::new(&config.data));

    let url_signer = token::url_signer(&config.data.join("url.key"))?;

    let onnxruntime = folder(config.onnxruntime, "onnxruntime")?;
    ocellus_detect::cache_autotune_in(&config.data.join("gpu"));
    let device = Device::choose(config.device, onnxruntime.as_deref()).context("--device")?;
    info!("networks run on {}", device.describe());
    let devices = config.decoding.bring_up().context("--decoding")?;
    let devices: Vec<_> = devices.into_iter().map(|device| format!("{device}, ")).collect();
    info!("videos are decoded by {}software", devices.concat());
    isolate_decoders(config.isolation, config.decoder_limits, config.decoder_fault)?;
    let plugins = folder(config.plugins, "plugins")?
        .with_context(|| format!("no folder plugins was found {}; --plugins names one", assets::PLACES))?;
    let plugin_limits = Limits { traces: Some(config.data.join("plugin-faults")), ..config.plugin_limits };
    let setup = Setup {
        shipped: plugins,
        user: Some(config.data.join("plugins")),
        compiled: Some(config.data.join("compiled-plugins")),
        compiler: Some(compile::program()?),
    };
    let plugins = Plugins::open(setup, plugin_limits)?;
    memory::trim();
    // Before the networks, whose loading cannot be interrupted if the address is taken; and before
    // the engine, whose network policy keeps jobs from the server's own address.
    let listener = config.listen.bind().await?;
    let address = listener.local_addr()?;
    let metrics_listener = match &config.metrics_listen {
        Some(address) => Some(address.bind().await.context("--metrics-listen")?),
        None => None,
    };
    // After the plugins: loading a network takes several times its memory, and compiling adds to
    // it.
    let folders = NetworkFolders {
        detectors: folder(config.detectors, "detectors")?,
        embedders: folder(config.embedders, "embedders")?,
        attributes: folder(config.attributes, "attributes")?,
    };
    let (Networks { detectors, embedders, classifiers }, loading) = networks(folders, &device)?;
    // Before the engine, which starts queued jobs at once.
    if let Err(error) = check_defaults(config.defaults.as_ref(), &detectors, &classifiers, &plugins) {
        finish_loading(loading).await?;
        return Err(error).context("--defaults");
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let public_url = match &config.api.public_url {
        Some(url) => Some(url.trim_end_matches('/').to_owned()),
        // Others cannot reach an unspecified address, such as 0.0.0.0.
        None => (!address.ip().is_unspecified()).then(|| format!("{scheme}://{address}")),
    };
    let picture_urls = public_url.map(|url| picture_urls(url, url_signer.clone(), Arc::clone(&clock)));
    let network = NetworkPolicy::new(config.allow_network, Some(address));
    let engine_config = EngineConfig {
        jobs: config.jobs,
        network,
        outbox: OutboxConfig { picture_urls, ..config.outbox },
        give_back: memory::trim,
        decoding: config.decoding,
        defaults: config.defaults,
        retention: config.retention,
    };
    let import = match &config.import {
        Some((folder, quiet)) => {
            let camera_group = config.api.camera_groups.first().copied().unwrap_or(1);
            Some(Import::open(folder, &config.data, *quiet, camera_group)?)
        }
        None => None,
    };
    let engine = Engine::start(engine_config, archive, detectors, embedders, classifiers, plugins, Arc::clone(&clock))?;
    tokio::spawn(tidy(engine.clone(), tokens.clone()));
    tokio::spawn(keep_house(engine.clone()));
    if let Some(import) = import {
        tokio::spawn(import.run(engine.clone()));
    }
    let api_config = ApiConfig { https: tls.is_some(), url_signer: Some(url_signer), ..config.api };
    let api = Arc::new(Api::new(engine.clone(), access, api_config, clock)?);
    let router = ocellus_api::router(Arc::clone(&api));

    // Handled before the address is printed: a script may send a signal right after it.
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    info!(start_ms = begun.elapsed().as_millis() as u64, connections = connections.connections, "the server is ready");
    // The one line on standard output: scripts wait for it.
    let url = format!("{scheme}://{address}");
    let mut stdout = std::io::stdout();
    if let Err(error) = writeln!(stdout, "listening on {url}").and_then(|()| stdout.flush()) {
        warn!(%error, "listening on {url}, which cannot be written to standard output");
    }

    service_manager::ready();
    let stopped = CancellationToken::new();
    let metrics = metrics_listener.map(|listener| {
        let router = ocellus_api::metrics_router(api);
        let (limits, stop) = (ConnectionLimits { connections: 16, ..connections }, stopped.clone());
        tokio::spawn(async move { ocellus_api::serve(listener, None, router, limits, stop.cancelled()).await })
    });

    let compiling = engine.plugins().clone();
    let closing = engine.clone();
    let stop = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        service_manager::stopping();
        compiling.stop_compiling();
        info!("stopping; running jobs continue at the next start");
        // Ends requests that wait for a job or a slow source, which would keep their connections
        // open.
        closing.close();
        tokio::spawn(async move {
            interrupted.recv().await;
            std::process::exit(130);
        });
    };
    ocellus_api::serve(listener, tls, router, connections, stop).await;
    stopped.cancel();
    if let Some(metrics) = metrics {
        metrics.await?;
    }
    engine.shutdown().await;
    write_uses(&tokens);
    finish_loading(loading).await?;
    info!("stopped");
    Ok(())
}

/// Waits for the thread that loads networks: ONNX Runtime's library must not be unloaded meanwhile.
async fn finish_loading(loading: JoinHandle<()>) -> Result<()> {
    if tokio::task::spawn_blocking(|| loading.join()).await?.is_err() {
        error!("the thread that loads networks panicked");
    }
    Ok(())
}

/// Refuses defaults of new videos that the server would refuse from a client.
fn check_defaults(
    defaults: Option<&Value>,
    detectors: &Detectors,
    classifiers: &AttributeClassifiers,
    plugins: &Plugins,
) -> ocellus_core::Result<()> {
    let Some(defaults) = defaults else { return Ok(()) };
    let schema = ocellus_pipeline::settings_schema(&detectors.types(), classifiers.has_liveness(), plugins)?;
    schema.with_preset(defaults).map(drop)
}

/// Every minute releases the memory of ended jobs and of networks that are not in use, deletes
/// resumable uploads that have expired, and stores when tokens were last used.
async fn tidy(engine: Engine, tokens: Tokens) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    minute.tick().await;
    loop {
        minute.tick().await;
        let (engine, tokens) = (engine.clone(), tokens.clone());
        let work = move || {
            engine.tidy();
            if let Err(error) = engine.archive().expire_resumables(Timestamp::now() - UPLOAD_LIFE) {
                warn!(%error, "expired uploads cannot be removed: {error}");
            }
            write_uses(&tokens);
        };
        let _ = tokio::task::spawn_blocking(work).await;
    }
}

/// At the start and then every minute removes the sources that are beyond the operator's limits.
async fn keep_house(engine: Engine) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    loop {
        minute.tick().await;
        if let Err(error) = engine.keep_house().await {
            warn!("housekeeping failed: {error}");
        }
    }
}

fn write_uses(tokens: &Tokens) {
    if let Err(error) = tokens.write_uses() {
        warn!("the times when tokens were last used cannot be stored: {error}");
    }
}

/// Folders of networks; `None` where there is no such folder.
struct NetworkFolders {
    detectors: Option<PathBuf>,
    embedders: Option<PathBuf>,
    attributes: Option<PathBuf>,
}

struct Networks {
    detectors: Detectors,
    embedders: Embedders,
    classifiers: AttributeClassifiers,
}

/// The networks in the folders, and the thread that loads them: jobs wait for it, the API does not.
fn networks(folders: NetworkFolders, device: &Device) -> Result<(Networks, JoinHandle<()>)> {
    let NetworkFolders { detectors, embedders, attributes } = folders;
    let (embedders, load_embedders) = match embedders {
        Some(dir) => {
            let (embedders, load) = Embedders::open(&dir, device)
                .with_context(|| format!("cannot read the embedders in {}", dir.display()))?;
            (embedders, Some(load))
        }
        None => (Embedders::default(), None),
    };
    let (classifiers, load_classifiers) = match attributes {
        Some(dir) => {
            let (classifiers, load) = AttributeClassifiers::open(&dir, device)
                .with_context(|| format!("cannot read the attribute networks in {}", dir.display()))?;
            (classifiers, Some(load))
        }
        None => (AttributeClassifiers::default(), None),
    };
    let (detectors, load_detectors) = match detectors {
        Some(dir) => {
            let (detectors, load) = Detectors::open(&dir, device)
                .with_context(|| format!("cannot read the detectors in {}", dir.display()))?;
            info!("reading detectors from {}", dir.display());
            (detectors, Some(load))
        }
        None => {
            warn!(
                "no folder detectors was found {}, so nothing will be found in videos; --detectors names one",
                assets::PLACES
            );
            (Detectors::default(), None)
        }
    };
    let load = move || {
        let begun = Instant::now();
        // One after the other, returning memory in between: loading a network takes several times
        // the memory that it has afterwards.
        if let Some(load) = load_embedders {
            load();
            memory::trim();
        }
        if let Some(load) = load_classifiers {
            load();
            memory::trim();
        }
        if let Some(load) = load_detectors {
            load();
            memory::trim();
        }
        info!(load_ms = begun.elapsed().as_millis() as u64, "the networks are loaded");
    };
    let loading = thread::Builder::new().name("load-networks".into()).spawn(load).context("cannot start a thread")?;
    Ok((Networks { detectors, embedders, classifiers }, loading))
}

/// The folder that the operator named, which must exist, or the one that ships with the program.
fn folder(named: Option<PathBuf>, name: &str) -> Result<Option<PathBuf>> {
    match named {
        Some(dir) if dir.is_dir() => Ok(Some(dir)),
        Some(dir) => anyhow::bail!("--{name}: {} is no folder", dir.display()),
        None => Ok(assets::find(name)),
    }
}

/// Makes each video be decoded in a process of its own, unless the operator chose otherwise. Where
/// that is not possible and was not chosen explicitly, the server decodes itself and logs a
/// warning.
fn isolate_decoders(choice: Option<IsolationChoice>, limits: DecoderLimits, fault: Option<DecoderFault>) -> Result<()> {
    if choice.unwrap_or_default() == IsolationChoice::None {
        return Ok(());
    }
    let program = decode::program(limits, fault)?;
    match ocellus_media::isolate(program) {
        Ok(in_force) => {
            let (seccomp, landlock, network) = (in_force.seccomp, in_force.landlock, in_force.network);
            info!(seccomp, landlock, network, "each video is decoded in a process of its own");
        }
        Err(error) if choice.is_some() => return Err(error).context("--isolation process"),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            warn!(error, "videos are decoded in the server, since a process of their own cannot be started");
        }
    }
    Ok(())
}
