//! `DATA/ops.sock`: whoever reaches it is known by the user id that the kernel tells.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

const SOCKET: &str = "ops.sock";

/// Somebody who may read everything in the ledger. Made only from a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Auditor(());

/// Binds the socket in the data folder `data`; one that a killed server left behind is replaced.
pub(super) fn bind(data: &Path) -> io::Result<UnixListener> {
    let path = data.join(SOCKET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The data folder is closed to others, also between these two steps.
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// The user that made the socket: ourselves.
pub(super) fn owner(socket: &UnixListener) -> io::Result<u32> {
    let address = socket.local_addr()?;
    let path = address.as_pathname().ok_or_else(|| io::Error::other("the socket has no path"))?;
    Ok(fs::metadata(path)?.uid())
}

/// An auditor, if the peer is the user that we run as, or the superuser.
pub(super) fn auditor(peer: Option<u32>, ours: u32) -> Option<Auditor> {
    peer.filter(|peer| *peer == ours || *peer == 0).map(|_| Auditor(()))
}
