//! `DATA/ops.sock`: whoever reaches it is known by the user id that the kernel tells.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::files;

const SOCKET: &str = "ops.sock";

/// Somebody who may read everything in the ledger. Made only from a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Auditor(());

/// Binds the socket in the data folder `data`; one that a killed server left behind is replaced.
pub(super) fn bind(data: &Path) -> io::Result<UnixListener> {
    files::bind(&data.join(SOCKET))
}

/// The user whose the socket is: ourselves, or the owner of the data folder where the superuser serves it.
pub(super) fn owner(socket: &UnixListener) -> io::Result<u32> {
    let address = socket.local_addr()?;
    let path = address.as_pathname().ok_or_else(|| io::Error::other("the socket has no path"))?;
    Ok(fs::metadata(path)?.uid())
}

/// An auditor, if the peer is the user that we run as, or the superuser.
pub(super) fn auditor(peer: Option<u32>, ours: u32) -> Option<Auditor> {
    peer.filter(|peer| *peer == ours || *peer == 0).map(|_| Auditor(()))
}
