use std::fmt;

use alloy_primitives::{Address, B256, U256, keccak256, uint};
use k256::ecdsa::{RecoveryId, Signature as K256Signature, SigningKey, VerifyingKey};

/// The order of secp256k1's group.
const ORDER: U256 = uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256);
const HALF_ORDER: U256 = uint!(0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0_U256);

/// A recoverable ECDSA signature in the one form that every contract accepts: `r ‖ s ‖ v`, s in the lower half, v 27 or 28.
///
/// [`Signature::parse`] takes what `ecrecover` behind µRaiden's contract takes (v 0, 1, 27 or 28 and either s) and brings
/// it to that form, which recovers to the same signer: what is stored is what will be claimed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; 65]);

/// Why bytes do not sign what they claim to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// Not 65 bytes.
    #[error("a signature is 65 bytes, not {0}")]
    Length(usize),
    /// v is none of 0, 1, 27, 28 (EIP-155 forms are refused: the contract would not pay them).
    #[error("v must be 0, 1, 27 or 28, not {0}")]
    RecoveryId(u8),
    /// r or s is zero or not below the group's order.
    #[error("r or s is out of range")]
    Range,
    /// No public key fits.
    #[error("no signer can be recovered")]
    Unrecoverable,
    /// Somebody else signed.
    #[error("signed by {recovered}, expected {expected}")]
    WrongSigner {
        /// Who signed.
        recovered: Address,
        /// Who should have.
        expected: Address,
    },
}

impl Signature {
    /// Reads 65 bytes `r ‖ s ‖ v` and brings them to canonical form.
    ///
    /// # Errors
    /// [`BadSignature`] for a wrong length, a foreign v, or r and s out of range.
    pub fn parse(bytes: &[u8]) -> Result<Signature, BadSignature> {
        let bytes: [u8; 65] = bytes.try_into().map_err(|_| BadSignature::Length(bytes.len()))?;
        let odd = match bytes[64] {
            0 | 27 => false,
            1 | 28 => true,
            v => return Err(BadSignature::RecoveryId(v)),
        };
        let r = U256::from_be_slice(&bytes[..32]);
        let s = U256::from_be_slice(&bytes[32..64]);
        let in_range = |n: U256| !n.is_zero() && n < ORDER;
        if !in_range(r) || !in_range(s) {
            return Err(BadSignature::Range);
        }
        let high = s > HALF_ORDER;
        let low_s = if high { ORDER - s } else { s };
        Ok(Signature::assemble(r, low_s, odd ^ high))
    }

    fn assemble(r: U256, s: U256, odd: bool) -> Signature {
        let mut bytes = [0; 65];
        bytes[..32].copy_from_slice(&r.to_be_bytes::<32>());
        bytes[32..64].copy_from_slice(&s.to_be_bytes::<32>());
        bytes[64] = 27 + u8::from(odd);
        Signature(bytes)
    }

    /// The 65 canonical bytes.
    pub const fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }

    fn is_odd(&self) -> bool {
        self.0[64] == 28
    }

    /// Who signed `digest`.
    ///
    /// Recovery rather than verification against a known key: a known key says nothing about v, and a voucher with the
    /// wrong v is one that the contract does not pay.
    ///
    /// # Errors
    /// [`BadSignature::Unrecoverable`] when no key fits.
    #[cfg(feature = "libsecp")]
    pub fn recover(&self, digest: B256) -> Result<Address, BadSignature> {
        use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};

        let id = if self.is_odd() { RecoveryId::One } else { RecoveryId::Zero };
        RecoverableSignature::from_compact(&self.0[..64], id)
            .and_then(|signature| signature.recover(secp256k1::Message::from_digest(digest.0)))
            .map(|key| address_of(&key.serialize_uncompressed()))
            .map_err(|_| BadSignature::Unrecoverable)
    }

    /// Who signed `digest`, by the pure-Rust implementation.
    ///
    /// # Errors
    /// [`BadSignature::Unrecoverable`] when no key fits.
    #[cfg(not(feature = "libsecp"))]
    pub fn recover(&self, digest: B256) -> Result<Address, BadSignature> {
        self.recover_in_rust(digest)
    }

    /// [`Signature::recover`] by k256: the verifier without the feature `libsecp`, and the second opinion in tests.
    ///
    /// # Errors
    /// [`BadSignature::Unrecoverable`] when no key fits.
    pub fn recover_in_rust(&self, digest: B256) -> Result<Address, BadSignature> {
        let signature = K256Signature::from_slice(&self.0[..64]).map_err(|_| BadSignature::Unrecoverable)?;
        VerifyingKey::recover_from_prehash(digest.as_slice(), &signature, RecoveryId::new(self.is_odd(), false))
            .map(|key| address_of_key(&key))
            .map_err(|_| BadSignature::Unrecoverable)
    }

    /// Checks that `expected` signed `digest`.
    ///
    /// # Errors
    /// [`BadSignature`] when no key fits or another one does.
    pub fn verify(&self, digest: B256, expected: Address) -> Result<(), BadSignature> {
        match self.recover(digest)? {
            recovered if recovered == expected => Ok(()),
            recovered => Err(BadSignature::WrongSigner { recovered, expected }),
        }
    }
}

impl fmt::Debug for Signature {
    /// Only the head: a signature in a log is money in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({:02x}{:02x}{:02x}{:02x}…)", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// A secret key that signs digests (RFC 6979, low s). The key itself is never shown.
#[derive(Clone)]
pub struct Key {
    signing: SigningKey,
    address: Address,
}

impl Key {
    /// The key with these 32 bytes; `None` for zero or anything not below the group's order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Key> {
        let signing = SigningKey::from_slice(bytes).ok()?;
        let address = address_of_key(signing.verifying_key());
        Some(Key { signing, address })
    }

    /// The account that this key speaks for.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Signs a 32-byte digest as it is, without any prefix.
    pub fn sign(&self, digest: B256) -> Signature {
        let (signature, id) = self.signing.sign_prehash_recoverable(digest.as_slice());
        let (r, s) = signature.split_bytes();
        let (r, s) = (U256::from_be_slice(&r), U256::from_be_slice(&s));
        let high = s > HALF_ORDER;
        Signature::assemble(r, if high { ORDER - s } else { s }, id.is_y_odd() ^ high)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.address)
    }
}

fn address_of_key(key: &VerifyingKey) -> Address {
    address_of(key.to_sec1_point(false).as_bytes())
}

/// The last 20 bytes of the hash of the uncompressed point, without its leading 0x04.
fn address_of(uncompressed: &[u8]) -> Address {
    Address::from_slice(&keccak256(&uncompressed[1..])[12..])
}
