//! A log in a folder or behind a URL.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, redirect};
use tokio::runtime::{Builder, Runtime};

use crate::cli::output::Failed;
use crate::ledger::{CHECKPOINT_PATH, ENTRY_BYTES_MAX, LogFiles, TILE_WIDTH};
use crate::store::{LEDGER_FOLDER, LogFolder};

/// No file of a log is longer: a full bundle of the longest entries.
const FILE_BYTES_MAX: usize = TILE_WIDTH as usize * (ENTRY_BYTES_MAX + 2);

/// Where a log is read from.
pub(in crate::cli) enum Source {
    /// A folder; with the records, where it is a server's data folder.
    Folder(LogFolder, Option<PathBuf>),
    /// A web server.
    Web(Web),
}

/// A log behind a URL.
pub(in crate::cli) struct Web {
    prefix: String,
    client: Client,
    runtime: Runtime,
}

impl Source {
    /// The log at `place`: a URL, the folder of a log, or a server's data folder.
    ///
    /// # Errors
    /// When there is no log there.
    pub(in crate::cli) fn open(place: &str) -> Result<Self, Failed> {
        if place.starts_with("http://") || place.starts_with("https://") {
            return Web::new(place).map(Self::Web);
        }
        let (folder, data) = log_folder(Path::new(place))?;
        Ok(Self::Folder(folder, data))
    }

    /// Its folder, where it is in one.
    pub(super) fn folder(&self) -> Option<&LogFolder> {
        if let Self::Folder(folder, _) = self { Some(folder) } else { None }
    }

    /// The data folder whose records it is the log of.
    pub(super) fn data(&self) -> Option<&Path> {
        if let Self::Folder(_, data) = self { data.as_deref() } else { None }
    }
}

/// The folder of the log at `place`, and `place` itself where it is a data folder.
pub(super) fn log_folder(place: &Path) -> Result<(LogFolder, Option<PathBuf>), Failed> {
    let within = place.join(LEDGER_FOLDER);
    if within.join(CHECKPOINT_PATH).exists() {
        return Ok((LogFolder::new(&within), Some(place.to_owned())));
    }
    if place.join(CHECKPOINT_PATH).exists() {
        return Ok((LogFolder::new(place), None));
    }
    Err(Failed::new(format!(
        "there is no log in {}: neither {CHECKPOINT_PATH} nor {LEDGER_FOLDER}/{CHECKPOINT_PATH}",
        place.display()
    )))
}

impl LogFiles for Source {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Folder(folder, _) => folder.read(path),
            Self::Web(web) => web.runtime.block_on(web.get(path)),
        }
    }
}

impl Web {
    fn new(url: &str) -> Result<Self, Failed> {
        let client = Client::builder().redirect(redirect::Policy::none()).timeout(Duration::from_secs(60)).build()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { prefix: url.trim_end_matches('/').to_owned(), client, runtime })
    }

    async fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let url = format!("{}/{path}", self.prefix);
        let mut answer = self.client.get(&url).send().await.map_err(|error| io::Error::other(error.without_url()))?;
        match answer.status().as_u16() {
            200 => {}
            404 => return Ok(None),
            401 | 403 => {
                let what = "the server shows it to auditors only; let it be exported (countersign ledger export) and verify that";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
            }
            status => return Err(io::Error::other(format!("{url} was answered {status}"))),
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| io::Error::other(error.without_url()))? {
            body.extend_from_slice(&chunk);
            if body.len() > FILE_BYTES_MAX {
                return Err(io::Error::other("the answer is longer than any file of a log can be"));
            }
        }
        Ok(Some(body))
    }
}
