//! Files beside the database: the writer's lock, and what is archived, whole or not there at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// The right to write to a store, until it is dropped, or the process dies.
#[derive(Debug)]
pub(crate) struct WriterLock(File);

impl WriterLock {
    /// Takes it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if somebody has it.
    pub(crate) fn take(store: &Path) -> Result<Self, StoreError> {
        if store.is_dir() {
            return Err(StoreError::NotAStore { path: store.into(), reason: "it is a folder".into() });
        }
        let path = beside(store, "-writer");
        let failed = |error: &std::io::Error| StoreError::of_io(error, "lock", &path);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Whoever holds the lock may not have said yet who it is; some systems let nobody read meanwhile.
                let known = file.take(200).read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
                let holder = if known { holder.trim().to_owned() } else { "another handle".into() };
                return Err(StoreError::Locked { path: store.into(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let says = format!("process {}", std::process::id());
        let say = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(says.as_bytes()));
        say.map_err(|error| failed(&error))?;
        Ok(Self(file))
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // Closing it would do as well, unless a child process has inherited it.
        let _ = self.0.unlock();
    }
}

/// A file, or a folder, beside a store, named after it.
pub(crate) fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Makes a folder, and all above it, and has them outlast a loss of power.
pub(crate) fn make_folder(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(StoreError::of_io(&error, "make the folder", path)),
    }
    sync_folder_of(path)
}

/// Has a file's name, or its absence, outlast a loss of power.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), StoreError> {
    // Windows has no such call, and keeps names in its own journal.
    if cfg!(windows) {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let sync = File::open(parent).and_then(|folder| folder.sync_all());
    sync.map_err(|error| StoreError::of_io(&error, "write to the disk the folder", parent))
}

/// Writes a file that is there as a whole, on the disk, or not at all: under another name first. `write` gives it back.
pub(crate) fn write_whole<T>(
    path: &Path,
    write: impl FnOnce(File) -> Result<(File, T), StoreError>,
) -> Result<T, StoreError> {
    let unfinished = beside(path, ".unfinished");
    let made = (|| {
        let file =
            File::create(&unfinished).map_err(|error| StoreError::of_io(&error, "make", &unfinished))?;
        let (file, result) = write(file)?;
        file.sync_all().map_err(|error| StoreError::of_io(&error, "write to the disk", &unfinished))?;
        fs::rename(&unfinished, path).map_err(|error| StoreError::of_io(&error, "rename", &unfinished))?;
        sync_folder_of(path)?;
        Ok(result)
    })();
    if made.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    made
}

/// Removes a file, if it is there.
pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::of_io(&error, "remove", path))
        }
        _ => Ok(()),
    }
}
