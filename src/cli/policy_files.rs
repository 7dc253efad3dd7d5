//! The files that commands about policies read.

use std::path::{Path, PathBuf};

use super::output::Failure;
use crate::config::{Config, Sources};
use crate::files;
use crate::server::DataFolder;

/// A request that is assumed has at most so many bytes.
const REQUEST_BYTES_MAX: u64 = 16 * 1024;

/// The files that a command names, or that the data folder was last served with.
pub(super) fn sources(config: &[PathBuf], data: Option<&Path>) -> Result<Sources, Failure> {
    let folder = data.map(|data| DataFolder { data: data.to_owned(), config: config.to_vec(), keys: None });
    folder.map_or_else(|| Ok(Sources::new(config.to_vec())), |folder| folder.sources())
}

/// The configuration that a command names.
pub(super) fn configuration(config: &[PathBuf]) -> Result<Config, Failure> {
    Sources::new(config.to_vec()).load().config.map_err(Failure::configuration)
}

/// The text of the file of a request.
pub(super) fn request(path: &Path) -> Result<String, Failure> {
    files::read_argument(path, REQUEST_BYTES_MAX).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}
