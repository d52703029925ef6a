use alloy_primitives::hex;
use bytes::Bytes;
use channel::{Amount, Channel, Facts, Key, Status};
use contracts::{Deployment, Opening, raiden};

/// A payer with one channel, who says by the bytes of a request what it pays.
#[derive(Clone, Debug)]
pub struct Payer {
    key: Key,
    deployment: Deployment,
    open_block: u32,
}

impl Payer {
    /// The payer with this key, whose channel was opened in `open_block`.
    pub fn new(key: Key, deployment: Deployment, open_block: u32) -> Payer {
        Payer { key, deployment, open_block }
    }

    /// Its channel, confirmed with a deposit.
    pub fn channel(&self, deposit: Amount) -> Channel {
        let opening = self.opening();
        Channel {
            id: self.deployment.kind.contract().channel_id(&self.deployment, &opening),
            deployment: self.deployment.name.clone(),
            payer: opening.payer,
            params: opening.params,
            facts: Facts { confirmed: true, deposit, status: Status::Open, ..Facts::default() },
            agreed_close: None,
        }
    }

    /// A request with a voucher over `amount`, cumulative: what the payer's SDK sends.
    pub fn request(&self, amount: Amount) -> Bytes {
        let Deployment { contract, payee, .. } = &self.deployment;
        let opening = self.opening();
        let signature = self.key.sign(self.deployment.kind.contract().digest(&self.deployment, &opening, amount));
        let head = format!(
            "GET /goods HTTP/1.1\r\nhost: front.example\r\naccept: */*\r\nrdn-contract-address: {contract}\r\n\
             rdn-receiver-address: {payee}\r\nrdn-sender-address: {}\r\nrdn-open-block: {}\r\nrdn-balance: {amount}\r\n\
             rdn-balance-signature: {}\r\n\r\n",
            opening.payer,
            self.open_block,
            hex::encode_prefixed(signature.as_bytes()),
        );
        head.into()
    }

    fn opening(&self) -> Opening {
        raiden::opening(self.key.address(), self.open_block)
    }
}
