//! `serve`: the server.

use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use super::output::{CommandResult, Failure};
use crate::config::{Sources, data_folder};
use crate::http;
use crate::server;

/// The options of `serve`.
#[derive(Args)]
pub(super) struct Options {
    /// A settings file, over conf/default.toml; may repeat, later ones win, and COUNTERSIGN__… of the environment over all
    #[arg(long)]
    config: Vec<PathBuf>,
    /// The folder that the server writes to: records and live state; beside the first settings file where it is not named
    #[arg(long)]
    data: Option<PathBuf>,
}

/// Runs until SIGINT or SIGTERM.
pub(super) fn run(options: &Options) -> CommandResult {
    log();
    let data = options.data.clone().unwrap_or_else(|| data_folder(&options.config));
    http::block_on(serve(Sources::new(options.config.clone()).on(&data), data))
}

async fn serve(sources: Sources, data: PathBuf) -> CommandResult {
    // First of all: who asks to stop while the server is being put together is heard when it is.
    let stopped = asked_to_stop()?;
    let server = server::start(&sources, &data).await?;
    let (issuer, listen) = (&server.settings().issuer, &server.settings().listen);
    match server.serves() {
        true => tracing::info!("serving {issuer} on {}, operators on {}", listen.public, listen.ops),
        false => tracing::warn!("not ready: what the configuration would end waits; operators on {}", listen.ops),
    }
    let watched = server.watch(sources);
    tokio::select! {
        () = watched => {}
        () = stopped => {}
        // What it did not finish is found by the next start, as after a crash.
        thread = server.dead_thread() => {
            let what = format!("the thread \"{thread}\" is dead, and nothing can be issued without it; see the log");
            return Err(Failure::new(what));
        }
    }
    tracing::info!("stopping: requests under way are finished first");
    server.stop().await;
    Ok(true)
}

/// From this call on SIGINT and SIGTERM no longer kill; what is returned resolves on the first of them.
pub(super) fn asked_to_stop() -> Result<impl Future<Output = ()>, Failure> {
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
