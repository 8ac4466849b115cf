//! A file that is read from any place, with one call to the system each time.

use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// A file that is read page by page: as a plain [`File`] each page takes its being opened, moved and closed once more.
#[derive(Clone, Debug)]
pub(crate) struct Positioned {
    file: Arc<File>,
    bytes: u64,
}

impl Positioned {
    pub(crate) fn new(file: File) -> std::io::Result<Self> {
        Ok(Self { bytes: file.metadata()?.len(), file: Arc::new(file) })
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], start: u64) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, start)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], start: u64) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, start)
}

impl Length for Positioned {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Positioned {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(From { file: Arc::clone(&self.file), next: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        // No more room is made than there are bytes, whatever a damaged file says.
        if start.checked_add(length as u64).is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.bytes)));
        }
        let mut bytes = vec![0; length];
        From { file: Arc::clone(&self.file), next: start }.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// A file from some place on.
#[derive(Debug)]
pub(crate) struct From {
    file: Arc<File>,
    next: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = read_at(&self.file, buffer, self.next)?;
        self.next += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn any_part_is_read_and_none_behind_the_end() {
        let mut file = tempfile::tempfile().unwrap();
        let written: Vec<u8> = (0..10_000_u32).map(|byte| byte as u8).collect();
        file.write_all(&written).unwrap();
        let file = Positioned::new(file).unwrap();
        assert_eq!(file.len(), 10_000);
        for (start, length) in [(0, 0), (0, 10_000), (17, 4_000), (9_999, 1), (10_000, 0)] {
            assert_eq!(file.get_bytes(start as u64, length).unwrap(), written[start..start + length]);
        }
        let mut rest = vec![];
        file.get_read(9_000).unwrap().read_to_end(&mut rest).unwrap();
        assert_eq!(rest, written[9_000..]);
        for (start, length) in [(0, 10_001), (10_000, 1), (u64::MAX, 1), (5, usize::MAX)] {
            assert!(file.get_bytes(start, length).is_err());
        }
    }
}
