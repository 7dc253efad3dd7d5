//! The highest bundle version of each trust domain, in a small file of the data folder that people can read.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{self, Access};
use crate::keys::SequenceStore;
use crate::oauth::TrustDomain;

/// The file's name in the data folder.
pub const SEQUENCES_FILE: &str = "bundle-sequences.json";

const LOCK: &str = "bundle-sequences.lock";
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const VERSION: u32 = 1;

/// The file in one data folder. The server and `countersign trust forget` may use it at the same time.
#[derive(Debug)]
pub struct SequenceFile {
    folder: PathBuf,
}

/// The content of the file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    highest: BTreeMap<String, u64>,
}

impl SequenceFile {
    /// The file in the data folder `data`, which must be there when it is first written.
    pub fn new(data: &Path) -> Self {
        Self { folder: data.to_owned() }
    }

    /// The path of the file.
    pub fn path(&self) -> PathBuf {
        self.folder.join(SEQUENCES_FILE)
    }

    /// Takes out what is kept of `domain`, whose publisher counts anew: the number, or none when nothing was kept.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn forget(&self, domain: &TrustDomain) -> io::Result<Option<u64>> {
        let _lock = self.lock()?;
        let mut kept = self.kept()?;
        let known = kept.highest.remove(domain.as_str());
        if known.is_some() {
            self.write(&kept)?;
        }
        Ok(known)
    }

    fn kept(&self) -> io::Result<Kept> {
        let Some(text) = files::read_if_there(&self.path(), FILE_BYTES_MAX)? else {
            return Ok(Kept { version: VERSION, highest: BTreeMap::new() });
        };
        let kept: Option<Kept> = serde_json::from_slice(&text).ok().filter(|kept: &Kept| kept.version == VERSION);
        let sound = |kept: &Kept| kept.highest.keys().all(|name| TrustDomain::parse(name).is_ok_and(|td| td.as_str() == name));
        kept.filter(sound).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "is not what was written"))
    }

    fn write(&self, kept: &Kept) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(kept)?;
        text.push(b'\n');
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "there are more trust domains than it takes"));
        }
        files::replace(&self.path(), &text, Access::Owner)
    }

    /// Released when dropped.
    fn lock(&self) -> io::Result<File> {
        let file = files::keep(&self.folder.join(LOCK))?;
        file.lock()?;
        Ok(file)
    }
}

impl SequenceStore for SequenceFile {
    fn read(&self) -> io::Result<HashMap<TrustDomain, u64>> {
        let named = |(name, sequence): (String, u64)| TrustDomain::parse(&name).ok().map(|domain| (domain, sequence));
        Ok(self.kept()?.highest.into_iter().filter_map(named).collect())
    }

    fn keep(&self, domain: &TrustDomain, sequence: u64) -> io::Result<()> {
        let _lock = self.lock()?;
        let mut kept = self.kept()?;
        match kept.highest.insert(domain.as_str().to_owned(), sequence) {
            Some(before) if before == sequence => Ok(()),
            _ => self.write(&kept),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("countersign-sequences-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_is_kept_is_there_for_whoever_comes_next_until_it_is_forgotten() {
        let (folder, td) = (folder("kept"), TrustDomain::parse("td.example").unwrap());
        let other = TrustDomain::parse("other.example").unwrap();
        let file = || SequenceFile::new(&folder);
        assert!(file().read().unwrap().is_empty());
        file().keep(&td, 3).unwrap();
        file().keep(&other, u64::MAX).unwrap();
        file().keep(&td, 7).unwrap();
        let written = std::fs::metadata(file().path()).unwrap().modified().unwrap();
        file().keep(&td, 7).unwrap();
        assert_eq!(std::fs::metadata(file().path()).unwrap().modified().unwrap(), written, "the same is not written again");
        assert_eq!(file().read().unwrap(), HashMap::from([(td.clone(), 7), (other.clone(), u64::MAX)]));
        assert_eq!(file().forget(&td).unwrap(), Some(7));
        assert_eq!(file().forget(&td).unwrap(), None);
        assert_eq!(file().read().unwrap(), HashMap::from([(other, u64::MAX)]));
    }

    #[test]
    fn what_was_not_written_here_is_not_taken_for_nothing() {
        let (folder, td) = (folder("broken"), TrustDomain::parse("td.example").unwrap());
        let file = SequenceFile::new(&folder);
        for text in [
            "",
            "{}",
            "[]",
            r#"{"version":2,"highest":{}}"#,
            r#"{"version":1,"highest":{"td.example":-1}}"#,
            r#"{"version":1,"highest":{"td.example":18446744073709551616}}"#,
            r#"{"version":1,"highest":{"Not A Domain":1}}"#,
            r#"{"version":1,"highest":{"spiffe://td.example":1}}"#,
            r#"{"version":1,"highest":{"td.example":1},"more":1}"#,
            &" ".repeat(2 << 20),
        ] {
            std::fs::write(file.path(), text).unwrap();
            assert!(file.read().is_err() && file.keep(&td, 1).is_err() && file.forget(&td).is_err(), "{text:.60}");
            assert_eq!(std::fs::read_to_string(file.path()).unwrap(), text, "it is left alone");
        }
    }
}
