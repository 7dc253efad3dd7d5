//! `quickstart`: the main job on an embedded default, played over HTTP as ordinary clients would.

mod evidence;
mod play;
mod report;
mod try_it;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Instant;

use actix_web::rt;
use clap::Args;

use super::output::{CommandResult, Failure};
use super::serve::asked_to_stop;
use crate::config::Sources;
use crate::demo::{Federation, Issuers, JwksServer, write_configuration};
use crate::files::{self, Access};
use crate::http;
use crate::server::{self, Server};
use play::Play;
use report::StepReport;

/// The options of `quickstart`.
#[derive(Args)]
pub(super) struct Options {
    /// Exit after the last step: 0 only if every step had the expected outcome
    #[arg(long)]
    once: bool,
    /// The port of the public listener; 0 picks free ones
    #[arg(long, default_value_t = 8693)]
    port: u16,
    /// The folder for everything that is written: configuration, throw-away keys, records
    #[arg(long, default_value = "data/quickstart")]
    data: PathBuf,
    /// Print each step as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Runs every step, then serves until Ctrl-C.
pub(super) fn run(options: &Options) -> CommandResult {
    http::block_on(quickstart(options))
}

async fn quickstart(options: &Options) -> CommandResult {
    let started = Instant::now();
    private(&options.data)?;
    let issuers = Issuers::new()?;
    let jwks = JwksServer::start(&issuers)?;
    let (public, ops) = addresses(options.port)?;
    let federation = Federation::new(public, ops, &jwks);
    rt::spawn(jwks.into_server());
    let main = write_configuration(&options.data, &federation, &issuers)?;
    let sources = Sources { default_file: PathBuf::new(), files: vec![main], ..Sources::default() };
    let stopped = asked_to_stop()?;
    let server = server::start(&sources, &options.data).await?;
    let mut play = Play::new(&federation, &issuers, &options.data, StepReport::new(options.json), started)?;
    let ok = served(server, stopped, async {
        play.run().await?;
        if !options.once {
            try_it::keep_fresh(&options.data, &federation, &issuers, options.json).await?;
        }
        Ok(play.all_ok())
    })
    .await?;
    Ok(ok)
}

/// Does `work` while the server answers, then stops it in order.
async fn served(server: Server, stopped: impl Future<Output = ()>, work: impl Future<Output = CommandResult>) -> CommandResult {
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = stopped => Ok(true),
    };
    server.stop().await;
    outcome
}

/// The public address and the operators', one port further; with port 0 two free ones.
fn addresses(port: u16) -> Result<(SocketAddr, SocketAddr), Failure> {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if port != 0 {
        return Ok((local(port), local(port.checked_add(1).unwrap_or(port - 1))));
    }
    let (one, other) = (TcpListener::bind(local(0))?, TcpListener::bind(local(0))?);
    Ok((one.local_addr()?, other.local_addr()?))
}

/// Makes the folder for its owner alone.
fn private(data: &Path) -> Result<(), Failure> {
    files::make_folder(data, Access::Owner)?;
    if fs::read_dir(data)?.next().is_none() {
        files::close_folder(data)?;
    }
    Ok(())
}
