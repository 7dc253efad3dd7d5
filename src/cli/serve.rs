//! `serve`: the server.

use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use super::launch;
use super::output::{Failed, Outcome};
use crate::config::Sources;
use crate::http;

/// The options of `serve`.
#[derive(Args)]
pub(super) struct Options {
    /// A settings file, over conf/default.toml; may repeat, later ones win, and COUNTERSIGN__… of the environment over all
    #[arg(long)]
    config: Vec<PathBuf>,
    /// What the server writes: records and live state
    #[arg(long, default_value = "data")]
    data: PathBuf,
}

/// Runs until SIGINT or SIGTERM.
pub(super) fn run(options: &Options) -> Outcome {
    log();
    http::block_on(serve(Sources::new(options.config.clone()), options.data.clone()))
}

async fn serve(sources: Sources, data: PathBuf) -> Outcome {
    // First of all: who asks to stop while the server is being put together is heard when it is.
    let stopped = asked_to_stop()?;
    let server = launch::start(&sources, &data).await?;
    let listen = &server.settings.listen;
    tracing::info!("serving {} on {}, operators on {}", server.settings.issuer, listen.public, listen.ops);
    let watched = server.watch(sources);
    tokio::select! {
        () = watched => {}
        () = stopped => {}
    }
    tracing::info!("stopping: requests under way are finished first");
    server.stop().await;
    Ok(true)
}

/// From this call on SIGINT and SIGTERM no longer kill; what is returned resolves on the first of them.
pub(super) fn asked_to_stop() -> Result<impl Future<Output = ()>, Failed> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// One line per event on standard error.
pub(super) fn log() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(LevelFilter::INFO).with_target(false).init();
}
