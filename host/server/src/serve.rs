//! `ocellus serve`: builds the house from the bottom up, serves, and takes it down in the other order.

use std::{
    io::Write,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use ocellus_api::Api;
use ocellus_core::{Clock, NetworkPolicy, SystemClock};
use ocellus_detect::{Detectors, Device, Embedders};
use ocellus_pipeline::{Engine, EngineConfig};
use ocellus_runtime::{Limits, Plugins};
use ocellus_store::Archive;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::{
    assets,
    config::{Config, LogFormat, ServeArguments},
    memory, token,
};

pub(crate) fn run(arguments: ServeArguments) -> Result<()> {
    let config = arguments.resolve()?;
    log_to_stderr(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<()> {
    let begun = Instant::now();
    std::fs::create_dir_all(&config.data).with_context(|| format!("cannot make the data folder {}", config.data.display()))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);

    let (archive, opened) =
        Archive::open(&config.data, Arc::clone(&clock)).with_context(|| format!("cannot open the archive in {}", config.data.display()))?;
    if let Some(reason) = &opened.index_rebuilt {
        warn!(reason, videos = opened.videos, "the index was rebuilt from the archive: {reason}");
    }
    info!(videos = opened.videos, "archive {} with {} videos", config.data.display(), opened.videos);

    let token_path = config.data.join("admin.token");
    let (token, made) = token::read_or_make(&token_path)?;
    if made {
        info!("made an admin token: {}", token_path.display());
    }

    let onnxruntime = folder(config.onnxruntime, "onnxruntime")?;
    let device = Device::choose(config.device, onnxruntime.as_deref()).context("--device")?;
    info!("networks run on {}", device.describe());
    let detectors = folder(config.detectors, "detectors")?;
    let embedders = folder(config.embedders, "embedders")?;
    let plugins = folder(config.plugins, "plugins")?
        .context("there is no folder of plugins: cargo xtask build makes them, --plugins names another folder")?;
    let plugin_limits = Limits { traces: Some(config.data.join("plugin-faults")), ..config.plugin_limits };
    // Nothing is served yet that this could hold up.
    let (networks, plugins) = thread::scope(|scope| {
        // One after the other, and the larger ones while there is nothing else: preparing a network takes several times the memory
        // that it then has.
        let networks = scope.spawn(|| -> Result<_> {
            let embedders = load_embedders(embedders, &device)?;
            memory::give_back();
            Ok((load_detectors(detectors, &device)?, embedders))
        });
        let plugins = Plugins::open(&plugins, plugin_limits).with_context(|| format!("cannot read the plugins in {}", plugins.display()));
        (networks.join(), plugins)
    });
    let (detectors, embedders) = networks.map_err(|_| anyhow!("the thread that loads networks panicked"))??;
    let plugins = plugins?;
    memory::give_back();
    tokio::spawn(tidy());

    // Before the engine: jobs must not be led to where the server itself listens.
    let listener = TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr()?;
    let network = NetworkPolicy::new(config.allow_network, Some(address));
    let engine_config = EngineConfig { jobs: config.jobs, network, outbox: config.outbox };
    let engine = Engine::start(engine_config, archive, detectors, embedders, plugins, Arc::clone(&clock))?;
    let router = ocellus_api::router(Api { engine: engine.clone(), token, config: config.api, clock });

    info!(start_ms = begun.elapsed().as_millis() as u64, "ready");
    // The one line on standard output: scripts wait for it.
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush()).context("cannot write to standard output")?;

    let mut terminated = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        info!("stopping; running jobs go on at the next start");
        tokio::spawn(async {
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(130);
        });
    };
    ocellus_api::serve(listener, router, stop).await.context("serving")?;
    engine.shutdown().await;
    info!("stopped");
    Ok(())
}

/// Jobs that ended leave room behind, now and then.
async fn tidy() {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    minute.tick().await;
    loop {
        minute.tick().await;
        let _ = tokio::task::spawn_blocking(memory::give_back).await;
    }
}

fn load_detectors(folder: Option<PathBuf>, device: &Device) -> Result<Detectors> {
    let Some(dir) = folder else {
        warn!(
            "there is no folder of detectors: nothing will be found in videos (cargo xtask setup fetches them, --detectors names another folder)"
        );
        return Ok(Detectors::default());
    };
    let detectors = Detectors::load(&dir, device).with_context(|| format!("cannot read the detectors in {}", dir.display()))?;
    info!("detectors from {}", dir.display());
    Ok(detectors)
}

fn load_embedders(folder: Option<PathBuf>, device: &Device) -> Result<Embedders> {
    let Some(dir) = folder else { return Ok(Embedders::default()) };
    Embedders::load(&dir, device).with_context(|| format!("cannot read the embedders in {}", dir.display()))
}

/// The folder that the operator named, which must exist, or the one that comes with the program.
fn folder(named: Option<PathBuf>, name: &str) -> Result<Option<PathBuf>> {
    match named {
        Some(dir) if dir.is_dir() => Ok(Some(dir)),
        Some(dir) => anyhow::bail!("--{name}: {} is no folder", dir.display()),
        None => Ok(assets::find(name)),
    }
}

fn log_to_stderr(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log).with_context(|| format!("--log {:?} is no filter", config.log))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match config.log_format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
