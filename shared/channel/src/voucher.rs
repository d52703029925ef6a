use alloy_primitives::{Address, B256};

use crate::{Amount, BadSignature, ChannelId, Signature};

/// A signed cumulative authorisation: "of this channel you may take up to `amount` in all".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voucher {
    /// The channel it draws on.
    pub channel: ChannelId,
    /// The channel's epoch (MPE nonce, Obyte period); 0 where the contract knows none.
    pub epoch: u64,
    /// Cumulative, in base units.
    pub amount: Amount,
    /// By the channel's signer, over the contract's digest.
    pub signature: Signature,
}

/// A voucher whose signature was checked. There is no other way to get one than [`Voucher::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedVoucher(Voucher);

impl Voucher {
    /// Checks that `signer` signed `digest`, the contract's digest of this very voucher.
    ///
    /// # Errors
    /// [`BadSignature`] when the signature does not recover to `signer`.
    pub fn verify(self, digest: B256, signer: Address) -> Result<VerifiedVoucher, BadSignature> {
        self.signature.verify(digest, signer)?;
        Ok(VerifiedVoucher(self))
    }
}

impl std::ops::Deref for VerifiedVoucher {
    type Target = Voucher;

    fn deref(&self) -> &Voucher {
        &self.0
    }
}
