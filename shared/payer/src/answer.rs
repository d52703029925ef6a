use channel::Amount;
use reqwest::Response;

use crate::error::PayerError;
use crate::refusal::ServerRefusal;
use crate::state::ChannelKey;

/// What came back, and what it cost.
#[derive(Debug)]
pub struct Answer {
    /// The server's answer; its body is still to be read.
    pub response: Response,
    /// What it cost. What the redirects before it cost is in theirs.
    pub receipt: Receipt,
    /// The redirects that were followed, the first one first.
    pub redirects: Vec<Redirect>,
    /// Why the redirect in `response` was not followed, although that was asked for.
    pub stopped: Option<PayerError>,
}

/// A redirect that was followed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Redirect {
    /// Its status.
    pub status: u16,
    /// Where it led.
    pub to: String,
    /// What the request that it answered cost.
    pub receipt: Receipt,
}

impl Answer {
    pub(crate) fn new(response: Response, receipt: Receipt) -> Answer {
        Answer { response, receipt, redirects: Vec::new(), stopped: None }
    }

    /// Why the server refused what it answered with a failure, if it is one of ours.
    pub fn refusal(&self) -> Option<ServerRefusal> {
        ServerRefusal::of(self.response.headers())
    }

    /// What all requests cost, those that were redirected included.
    pub fn cost(&self) -> Amount {
        let costs = self.redirects.iter().map(|redirect| redirect.receipt.cost);
        costs.fold(self.receipt.cost, Amount::saturating_add)
    }
}

/// What a request cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Receipt {
    /// Charged, as far as the answer shows.
    pub cost: Amount,
    /// Sent, but perhaps not charged: the answer is a failure, or was bought before. The next request is tried with it.
    pub in_doubt: Amount,
    /// From which channel.
    pub channel: Option<ChannelKey>,
    /// What the channel's receiver has in all.
    pub balance: Amount,
    /// What the channel holds.
    pub deposit: Amount,
    /// Deposited on the way.
    pub deposited: Amount,
    /// How often the server was asked.
    pub exchanges: u32,
}

impl Receipt {
    /// What can still be paid from the channel.
    pub fn left(&self) -> Amount {
        self.deposit.saturating_sub(self.balance)
    }
}
