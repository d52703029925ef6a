//! Where payments are taken: a deployment, who speaks for its contract, and which dialect its payers speak.

use std::sync::Arc;

use anyhow::Context;
use channel::{Amount, ChannelId, Signature, Terms, VerifiedVoucher, Voucher};
use contracts::{Contract, Deployment, Opening};
use http::HeaderMap;
use protocols::{Payment, Protocol};
use runtime::config;

use crate::page::Pages;

/// A place where payments are taken.
pub(crate) struct Till {
    /// The deployment's name.
    pub(crate) name: Arc<str>,
    pub(crate) deployment: Deployment,
    pub(crate) contract: &'static dyn Contract,
    pub(crate) protocol: &'static dyn Protocol,
    letterhead: HeaderMap,
    pub(crate) terms: Terms,
    pub(crate) pages: Pages,
    /// Whether its token knows the ERC-223 transfer that carries data.
    pub(crate) erc223: bool,
}

/// What is asked for one request, and where it is paid.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) till: Arc<Till>,
    pub(crate) price: Amount,
    /// The price before its last change, which is taken too from who was quoted it.
    pub(crate) former: Option<Amount>,
}

impl Till {
    pub(crate) fn open(name: &str, config: &config::Deployment, paywall: &config::Paywall) -> anyhow::Result<Till> {
        let protocol = protocols::ALL.iter().find(|protocol| protocol.fits(config.kind));
        let protocol = *protocol.with_context(|| format!("no protocol fits the contract of deployments.{name}"))?;
        let deployment = config.to_contract(name);
        Ok(Till {
            name: name.into(),
            letterhead: protocol.letterhead(&deployment),
            deployment,
            contract: config.kind.contract(),
            protocol,
            terms: config.terms(),
            pages: Pages::new(protocol, name, config, paywall)?,
            erc223: config.token_standard == config::TokenStandard::Erc223,
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
        self.quote_at(self.price)
    }

    /// The same at another price.
    pub(crate) fn quote_at(&self, price: Amount) -> protocols::Offer<'_> {
        protocols::Offer { letterhead: &self.till.letterhead, price }
    }
}
