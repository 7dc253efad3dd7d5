//! Instructions for trying the same by hand, with tokens that stay fresh while quickstart runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::output::Failure;
use crate::demo::{Federation, Issuers, RESEARCH};
use crate::files::{self, Access};
use crate::oauth::{Clock, GrantType, TokenType};
use crate::store::SystemClock;

/// The tokens live an hour.
const REFRESH: Duration = Duration::from_mins(20);

/// Says how, and keeps the tokens in the folder fresh; never returns.
pub(super) async fn keep_fresh(data: &Path, federation: &Federation, issuers: &Issuers, json: bool) -> Result<(), Failure> {
    write(data, federation, issuers)?;
    if !json {
        say!("{}", instructions(data, federation));
    }
    loop {
        tokio::time::sleep(REFRESH).await;
        write(data, federation, issuers)?;
    }
}

fn write(data: &Path, federation: &Federation, issuers: &Issuers) -> Result<(), Failure> {
    let now = SystemClock.now();
    let write = |name: &str, text: &str| files::replace(&tokens(data).join(name), text.as_bytes(), Access::Owner);
    write("alice.id_token", &issuers.id_token(&federation.idp, "alice", "sales", now)?)?;
    write("researcher.svid", &issuers.svid(&federation.issuer, now)?)?;
    write("orchestrator.pem", issuers.orchestrator_pem())?;
    Ok(())
}

fn instructions(data: &Path, federation: &Federation) -> String {
    let (folder, issuer) = (tokens(data).display().to_string(), &federation.issuer);
    let exchange = GrantType::TokenExchange.as_str();
    let (jwt, id_token) = (TokenType::Jwt, TokenType::IdToken);
    format!(
        r#"
Try it by hand, in another terminal:

  # a workload trades its own attestation, no secret and no registration step
  curl -s {issuer}/token \
    -d grant_type={exchange} \
    -d subject_token_type={jwt} \
    --data-urlencode subject_token@{folder}/researcher.svid \
    -d resource={RESEARCH}

  # alice's ID token, with the orchestrator acting
  countersign token exchange --server {issuer} --client-id orchestrator --key {folder}/orchestrator.pem \
    --subject-token {folder}/alice.id_token --subject-token-type {id_token} --resource {RESEARCH} > {folder}/first

  # what the token says, in words
  countersign token inspect - < {folder}/first

The configuration that is in force is in {}/conf: change it and it is reloaded.
Serving on {issuer} until Ctrl-C."#,
        data.display()
    )
}

/// The folder for tokens to try things with by hand.
fn tokens(data: &Path) -> PathBuf {
    data.join("tokens")
}
