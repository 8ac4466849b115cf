//! Signed checkpoints: who has the key says that the chain was so, so that even whoever can write the whole store anew
//! cannot change what was before.

use ed25519_dalek::{Signer, SigningKey, Verifier, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::archive::hex;
use crate::body::Hash;
use crate::error::StoreError;
use crate::log::EventLog;

/// What is signed begins with it, so that no signature of anything else fits.
const CONTEXT: &[u8] = b"cepheid store checkpoint 1\0";

/// A signature of the chain as it was after an entry, as an entry says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The entry that it is after.
    pub entry: u64,
    /// The chain's hash there, in hexadecimal, as the others.
    pub chain: String,
    /// The public key.
    pub key: String,
    /// Ed25519 of the entry's number and the hash.
    pub signature: String,
}

fn signed(entry: u64, chain: &Hash) -> Vec<u8> {
    [CONTEXT, &entry.to_le_bytes(), chain].concat()
}

impl EventLog {
    /// Signs the chain as it is now; the signature is its next entry. `secret` is a key of Ed25519.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn sign(&self, secret: &[u8; 32]) -> Result<Signature, StoreError> {
        let key = SigningKey::from_bytes(secret);
        self.change(|commit| {
            let (entry, chain) = (commit.heads.entry as u64, commit.heads.chain);
            let signature = Signature {
                entry,
                chain: hex(&chain),
                key: hex(key.verifying_key().as_bytes()),
                signature: hex(&key.sign(&signed(entry, &chain)).to_bytes()),
            };
            let said = serde_json::to_string(&signature).expect("plain data can be written as JSON");
            commit.note("sign", &said)?;
            Ok(signature)
        })
    }
}

impl Signature {
    /// Whether it is one of that chain there, by its own key.
    pub(crate) fn fits(&self, chain: &Hash) -> bool {
        let parts = || {
            let key = VerifyingKey::from_bytes(&bytes(&self.key)?).ok()?;
            let signature = ed25519_dalek::Signature::from_bytes(&bytes(&self.signature)?);
            key.verify(&signed(self.entry, chain), &signature).ok()
        };
        self.chain == hex(chain) && parts().is_some()
    }
}

fn bytes<const N: usize>(hexadecimal: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if hexadecimal.len() != 2 * N || !hexadecimal.is_ascii() {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hexadecimal[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(bytes)
}
