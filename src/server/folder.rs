//! A data folder as a command names it, and where the settings and the keys of its server are.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::config::{Config, Fingerprint, Loaded, Settings, Sources};
use crate::crypto::Digest;
use crate::store::{self, ServedWith};

/// A data folder, with the settings files and the key folder that a command names besides. What it does not name is found by the
/// data folder, which remembers what it was last served with.
#[derive(Clone, Debug)]
pub struct DataFolder {
    /// The data folder.
    pub data: PathBuf,
    /// The settings files; where there are some, they count and not the remembered ones.
    pub config: Vec<PathBuf>,
    /// The key folder; where it is there, it counts and not the remembered one, nor the one that the settings name.
    pub keys: Option<PathBuf>,
}

impl DataFolder {
    /// The files and variables that its configuration is read from.
    ///
    /// # Errors
    /// When a settings file that is remembered is not where it was.
    pub fn sources(&self) -> Result<Sources, Failure> {
        let served = if self.config.is_empty() { self.served()? } else { None };
        let Some(served) = served else { return Ok(Sources::new(self.config.clone()).on(&self.data)) };
        if let Some(gone) = served.settings.iter().find(|file| !file.exists()) {
            return Err(self.moved("settings file", gone, "the settings file with --config FILE"));
        }
        let mut sources = Sources { default_file: PathBuf::new(), ..Sources::new(served.settings).on(&self.data) };
        let folders = served.folders.iter().map(|(name, path)| (format!("COUNTERSIGN__FILES__{}", name.to_uppercase()), path));
        sources.environment.extend(folders.map(|(name, path)| (name, path.display().to_string())));
        Ok(sources)
    }

    /// The configuration of its server, with the key folder that is meant. The keys may belong to another data folder.
    ///
    /// # Errors
    /// Every complaint about the configuration; a settings file or key folder that is not where it was.
    pub fn configuration_of_any(&self) -> Result<Config, Failure> {
        Ok(self.read()?.0)
    }

    /// The configuration of its server, with the key folder that is meant, which belongs to this data folder.
    ///
    /// # Errors
    /// Every complaint about the configuration; what is not where it was; keys that belong to another data folder.
    pub fn configuration(&self) -> Result<Config, Failure> {
        Ok(self.configuration_as_read()?.0)
    }

    /// The same with the fingerprint and the digest of the very files that it was read from.
    pub(super) fn configuration_as_read(&self) -> Result<(Config, Fingerprint, Digest), Failure> {
        let read = self.read()?;
        self.require_own(&read.0.settings.keys.dir)?;
        Ok(read)
    }

    fn read(&self) -> Result<(Config, Fingerprint, Digest), Failure> {
        let Loaded { config, fingerprint, digest, .. } = self.sources()?.load();
        let mut config = config.map_err(Failure::configuration)?;
        if let Some(keys) = self.named_keys()? {
            config.settings.keys.dir = keys;
        }
        Ok((config, fingerprint, digest))
    }

    /// The key folder that is meant where `config` is its configuration; it belongs to this data folder.
    ///
    /// # Errors
    /// When it is not where it was; keys that belong to another data folder.
    pub fn keys_of(&self, config: &Config) -> Result<PathBuf, Failure> {
        let keys = self.named_keys()?.unwrap_or_else(|| config.settings.keys.dir.clone());
        self.require_own(&keys).map(|()| keys)
    }

    /// Its key folder, which belongs to it.
    ///
    /// # Errors
    /// As of [`Self::configuration`].
    pub fn key_folder(&self) -> Result<PathBuf, Failure> {
        match self.named_keys()? {
            Some(keys) => self.require_own(&keys).map(|()| keys),
            None => Ok(self.configuration()?.settings.keys.dir),
        }
    }

    /// The key folder that the command names, or else, where it names no settings either, the one that is remembered.
    fn named_keys(&self) -> Result<Option<PathBuf>, Failure> {
        if self.keys.is_some() || !self.config.is_empty() {
            return Ok(self.keys.clone());
        }
        match self.served()?.map(|served| served.keys) {
            Some(keys) if !keys.is_dir() => {
                Err(self.moved("key folder", &keys, "the key folder with --keys DIR, or the settings file with --config FILE"))
            }
            keys => Ok(keys),
        }
    }

    /// Refuses keys that belong to another data folder.
    fn require_own(&self, keys: &Path) -> Result<(), Failure> {
        let Err(reason) = store::require_own(keys, &self.data) else { return Ok(()) };
        match self.served().ok().flatten().filter(|served| served.keys != keys) {
            Some(served) => Err(Failure::new(format!("{reason}. It was last served with the keys in {}", served.keys.display()))),
            None => Err(reason.into()),
        }
    }

    fn served(&self) -> Result<Option<ServedWith>, Failure> {
        Ok(ServedWith::of(&self.data)?)
    }

    fn moved(&self, what: &str, gone: &Path, name: &str) -> Failure {
        Failure::new(format!(
            "{} was last served with the {what} {}, which is not there any more; name {name}. The next start of the server \
             remembers the new place",
            self.data.display(),
            gone.display()
        ))
    }
}

/// Remembers in the data folder `data` what it is served with from now on.
pub(super) fn remember(sources: &Sources, settings: &Settings, data: &Path) -> Result<(), Failure> {
    let files: Vec<PathBuf> = sources.settings_files().into_iter().map(Path::to_owned).collect();
    let folders = &settings.files;
    let folders = [
        ("trust", &*folders.trust.value),
        ("agents", &*folders.agents.value),
        ("apis", &*folders.apis.value),
        ("policies", &*folders.policies.value),
    ];
    Ok(ServedWith::new(&files, &folders, &settings.keys.dir)?.remember(data)?)
}
