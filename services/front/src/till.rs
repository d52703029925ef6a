//! Where payments are taken: a deployment, who speaks for its contract, and which dialect its payers speak.

use std::sync::Arc;

use anyhow::Context;
use channel::{Amount, ChannelId, Signature, Terms, VerifiedVoucher, Voucher};
use contracts::{Contract, Deployment, Opening};
use protocols::{Payment, Protocol};
use runtime::config;

/// A place where payments are taken.
pub(crate) struct Till {
    /// The deployment's name.
    pub(crate) name: Arc<str>,
    pub(crate) deployment: Deployment,
    pub(crate) contract: &'static dyn Contract,
    pub(crate) protocol: &'static dyn Protocol,
    pub(crate) terms: Terms,
}

/// What is asked for one request, and where it is paid.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) till: Arc<Till>,
    pub(crate) price: Amount,
}

impl Till {
    pub(crate) fn open(name: &str, config: &config::Deployment) -> anyhow::Result<Till> {
        let protocol = protocols::ALL.iter().find(|protocol| protocol.fits(config.kind));
        Ok(Till {
            name: name.into(),
            deployment: config.to_contract(name),
            contract: config.kind.contract(),
            protocol: *protocol.with_context(|| format!("no protocol fits the contract of deployments.{name}"))?,
            terms: config.terms(),
        })
    }

    /// Checks that the channel's payer signed this payment, in a form that the contract accepts. `None` if not.
    ///
    /// An amount that the ledger cannot hold is more than any deposit that it knows: no signature makes it good.
    pub(crate) fn verify(&self, channel: ChannelId, payment: &Payment) -> Option<VerifiedVoucher> {
        let signature = Signature::parse(&payment.signature).ok()?;
        let amount = Amount::try_from(payment.amount).ok()?;
        let digest = self.contract.digest(&self.deployment, &payment.opening, amount);
        Voucher { channel, epoch: 0, amount, signature }.verify(digest, payment.opening.payer).ok()
    }

    /// The ledger's name of a channel.
    pub(crate) fn channel(&self, opening: &Opening) -> ChannelId {
        self.contract.channel_id(&self.deployment, opening)
    }
}

impl Offer {
    /// As the protocols word it.
    pub(crate) fn quote(&self) -> protocols::Offer<'_> {
        protocols::Offer { deployment: &self.till.deployment, price: self.price }
    }
}
