//! `[review]`: the API server of a cluster that is asked about its tokens.

use url::Url;

use super::keys::take_reach;
use crate::config::reader::TableReader;
use crate::keys::{KeySource, Reach};
use crate::net::may_fetch;
use crate::trust::{ReviewSource, TrustKind};

/// The API server of a rule of kind `kubernetes`, where there is one. It is reached as the keys are, unless the table says
/// otherwise. None when anything in it is wrong.
pub(super) fn take(
    rule: &mut TableReader<'_>,
    kind: Option<TrustKind>,
    keys: Option<&KeySource>,
) -> Option<Option<ReviewSource>> {
    if kind.is_some_and(|kind| kind != TrustKind::Kubernetes) {
        rule.refuse("review", "belongs to kind \"kubernetes\"");
        return Some(None);
    }
    if !rule.has("review") {
        return Some(None);
    }
    let mut reader = rule.take_table("review")?;
    reader.need(&["api"]);
    let api = reader.take_parsed("api", address);
    reader.refuse("insecure_reason", "is not for [review]: tokens are sent there");
    let own = ["networks", "ca_file", "token_file", "proxy"].into_iter().any(|key| reader.has(key));
    let reach = if own { take_reach(&mut reader, true) } else { Some(reach_of(keys)) };
    let location = reader.location().clone();
    let context = reader.context();
    reader.finish();
    let (api, reach) = (api?.value, reach?);
    if reach.token_file.is_none() {
        let sentence = "`token_file` is missing in [review], and in [keys]: an API server reviews tokens for the logged in only";
        context.error(location, sentence);
        return None;
    }
    Some(Some(ReviewSource { api, reach }))
}

fn reach_of(keys: Option<&KeySource>) -> Reach {
    match keys {
        Some(KeySource::Remote(location, _)) => location.reach().cloned().unwrap_or_default(),
        _ => Reach::default(),
    }
}

/// The address of an API server, perhaps below a path.
fn address(text: &str) -> Result<Url, &'static str> {
    const WANTED: &str = "must be the https address of the API server, as in \"https://kubernetes.default.svc\"";
    let url = Url::parse(text).map_err(|_| WANTED)?;
    let bare = url.query().is_none() && url.fragment().is_none() && url.scheme() == "https";
    if bare && may_fetch(&url, false) { Ok(url) } else { Err(WANTED) }
}
