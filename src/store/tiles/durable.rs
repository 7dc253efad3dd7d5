//! Files replaced whole or not at all, and durable.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Changes below one folder. What was replaced is durable once they are settled, together, for each folder is flushed once.
pub(in crate::store) struct Changes {
    top: PathBuf,
    touched: BTreeSet<PathBuf>,
}

impl Changes {
    pub(in crate::store) fn below(top: &Path) -> Self {
        Self { top: top.to_owned(), touched: BTreeSet::new() }
    }

    /// Makes a folder that may be there.
    pub(in crate::store) fn folder(&mut self, path: &Path) -> io::Result<()> {
        if !path.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        // Also what was there: an attempt that failed may have made it and not flushed what it stands in.
        let within = path.ancestors().skip(1).take_while(|ancestor| ancestor.starts_with(&self.top));
        self.touched.extend(within.map(Path::to_owned));
        Ok(())
    }

    /// Puts bytes in place of what may be at each path. The flush comes before the rename: a crash leaves the old or the new. All
    /// are written before the first is flushed, so that one turn of the file system's journal takes them together.
    pub(in crate::store) fn replace(&mut self, files: &[(PathBuf, &[u8])]) -> io::Result<()> {
        let written: io::Result<Vec<_>> = files.iter().map(|(path, bytes)| self.beside(path, bytes)).collect();
        let written = written?;
        written.iter().try_for_each(|(file, _)| file.sync_all())?;
        written.iter().zip(files).try_for_each(|((_, temporary), (path, _))| fs::rename(temporary, path))
    }

    /// Writes a new file in the folder of `path`.
    fn beside(&mut self, path: &Path, bytes: &[u8]) -> io::Result<(File, PathBuf)> {
        let folder = path.parent().unwrap_or(&self.top).to_owned();
        self.folder(&folder)?;
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".new");
        let temporary = folder.join(name);
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        self.touched.insert(folder);
        Ok((file, temporary))
    }

    /// Flushes the folders that were changed: a rename is durable when its folder is.
    pub(in crate::store) fn settle(self) -> io::Result<()> {
        self.touched.iter().try_for_each(|folder| File::open(folder)?.sync_all())
    }
}
