//! The bytes of a snapshot around its body: letters, version, length and checksum, and the body packed.

use std::io::{Cursor, Read};

use sha2::{Digest, Sha256};

use super::snapshot::refuse;
use crate::error::EngineError;

const LETTERS: &[u8; 8] = b"CEPHSNAP";
/// The newest version, and the one that is written.
const SNAPSHOT_VERSION: u32 = 5;
/// The oldest version that is read.
const OLDEST_VERSION: u32 = 1;
const HEAD_BYTES: usize = 8 + 4 + 8 + 32;
/// Packed bytes are at most this many times as long when unpacked: more is no snapshot, but an attack.
const UNPACKED_TIMES_MAX: u64 = 4096;

/// The bytes of a snapshot with such a body.
pub(super) fn pack(plain: &[u8]) -> Vec<u8> {
    let packed = zstd::bulk::compress(plain, 3).expect("memory can be written to");
    let mut bytes = Vec::with_capacity(HEAD_BYTES + packed.len());
    bytes.extend_from_slice(LETTERS);
    bytes.extend_from_slice(&SNAPSHOT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&(plain.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&checksum(SNAPSHOT_VERSION, &packed));
    bytes.extend_from_slice(&packed);
    bytes
}

/// The version and the body of a snapshot.
///
/// # Errors
/// [`EngineError::SnapshotVersion`]; [`EngineError::InvalidSnapshot`] if they are not what was packed.
pub(super) fn unpack(bytes: &[u8]) -> Result<(u32, Vec<u8>), EngineError> {
    if bytes.len() < HEAD_BYTES || &bytes[..8] != LETTERS {
        return refuse("it does not begin like one");
    }
    let version = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"));
    if !(OLDEST_VERSION..=SNAPSHOT_VERSION).contains(&version) {
        return Err(EngineError::SnapshotVersion { found: version, supported: SNAPSHOT_VERSION });
    }
    let length = u64::from_le_bytes(bytes[12..20].try_into().expect("eight bytes"));
    let packed = &bytes[HEAD_BYTES..];
    if checksum(version, packed) != bytes[20..HEAD_BYTES] {
        return refuse("its checksum is wrong: it has been cut short or changed");
    }
    if length > (packed.len() as u64).saturating_mul(UNPACKED_TIMES_MAX) {
        return refuse("it would be too long when unpacked");
    }
    let mut plain = vec![];
    let decoder = zstd::stream::read::Decoder::new(Cursor::new(packed));
    let read = decoder.and_then(|decoder| decoder.take(length + 1).read_to_end(&mut plain));
    if read.is_err() || plain.len() as u64 != length {
        return refuse("it cannot be unpacked");
    }
    Ok((version, plain))
}

/// That of what was packed; since version 5 of the version, too.
fn checksum(version: u32, packed: &[u8]) -> [u8; 32] {
    let mut sum = Sha256::new();
    if version >= 5 {
        sum.update(version.to_le_bytes());
    }
    sum.update(packed);
    sum.finalize().into()
}
