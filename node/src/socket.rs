//! A UNIX socket that only its owner opens.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Others could reach the socket, or put another in its place.
    #[error("{} must be a folder of ours that is closed to group and others (mode {mode:o})", path.display())]
    OpenFolder {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Somebody listens there.
    #[error("a process listens on {} already", path.display())]
    Listened {
        /// The socket.
        path: PathBuf,
    },
    /// What lies there is no socket, and is left alone.
    #[error("{} is there and is no socket", path.display())]
    NoSocket {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// Listens where only our own user can come: in a folder closed to others, on a socket closed to others.
///
/// # Errors
///
/// [`SocketError`].
pub fn listen(socket: &Path) -> Result<UnixListener, SocketError> {
    let failed = |source| SocketError::Listen { path: socket.to_owned(), source };
    let folder = socket.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let metadata = fs::metadata(folder).map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(SocketError::OpenFolder { path: folder.to_owned(), mode });
    }
    match fs::symlink_metadata(socket) {
        Ok(found) if !found.file_type().is_socket() => return Err(SocketError::NoSocket { path: socket.to_owned() }),
        Ok(_) if std::os::unix::net::UnixStream::connect(socket).is_ok() => {
            return Err(SocketError::Listened { path: socket.to_owned() });
        }
        Ok(_) => fs::remove_file(socket).map_err(failed)?, // left by a process that was killed
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(socket).map_err(failed)?;
    fs::set_permissions(socket, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Whether our own user is at the other end.
#[must_use]
pub fn is_ours(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own)
}
