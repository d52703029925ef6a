//! What is asked of a batch, and where its answer goes.

use std::time::Instant;

use channel::{Amount, Capture, Channel, ChannelId, CloseRefusal, Epoch, HoldId, Signature};
use tokio::sync::oneshot;

use crate::{LedgerError, Order, Receipt, Refused};

/// A question, and the place where its answer is awaited.
pub(crate) struct Ask<Q, A> {
    pub(super) question: Q,
    asked: Instant,
    answer: Option<Result<A, LedgerError>>,
    reply: oneshot::Sender<Result<A, LedgerError>>,
}

/// One thing to do to one channel. Boxed, because it is handed on a few times.
pub(crate) enum Entry {
    Sell(Box<Ask<Order, Sale>>),
    Settle(Box<Ask<Settle, Capture>>),
    Agree(Box<Ask<Agree, Agreement>>),
    Publish(Box<Ask<Publish, Option<(Amount, Signature)>>>),
}

pub(crate) type Sale = Result<Receipt, Refused>;

pub(crate) type Agreement = Result<(Channel, Epoch), CloseRefusal>;

/// Where an answer is awaited.
pub(super) type Answer<A> = oneshot::Receiver<Result<A, LedgerError>>;

/// End this hold.
pub(crate) struct Settle {
    pub(crate) channel: ChannelId,
    pub(crate) hold: HoldId,
    pub(crate) ending: Ending,
}

#[derive(Clone, Copy)]
pub(crate) enum Ending {
    Capture(Amount),
    Release,
    /// Release it if its time is over, by the database's clock.
    Expire,
}

/// Agree to close with this final amount.
pub(crate) struct Agree {
    pub(crate) channel: ChannelId,
    pub(crate) amount: Amount,
}

/// Vouchers of the channel can be read on chain from now on.
pub(crate) struct Publish {
    pub(crate) channel: ChannelId,
    pub(crate) which: Which,
}

/// Which vouchers.
#[derive(Clone, Copy)]
pub(crate) enum Which {
    /// Those up to this amount.
    UpTo(Amount),
    /// All, unless that would disturb a call.
    AllIfQuiet,
    /// All.
    All,
}

impl<Q, A> Ask<Q, A> {
    pub(super) fn new(question: Q) -> (Box<Ask<Q, A>>, Answer<A>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Ask { question, asked: Instant::now(), answer: None, reply }), answer)
    }

    /// Keeps the answer until the commit. An entry that runs again is answered anew.
    pub(super) fn answer(&mut self, answer: Result<A, LedgerError>) {
        self.answer = Some(answer);
    }

    fn deliver(self) {
        // Who no longer waits needs no answer.
        let _ = self.reply.send(self.answer.unwrap_or(Err(LedgerError::OutcomeUnknown)));
    }

    fn fail(self, error: LedgerError) {
        let _ = self.reply.send(Err(error));
    }
}

impl Entry {
    pub(super) fn channel(&self) -> ChannelId {
        match self {
            Entry::Sell(ask) => ask.question.voucher.channel,
            Entry::Settle(ask) => ask.question.channel,
            Entry::Agree(ask) => ask.question.channel,
            Entry::Publish(ask) => ask.question.channel,
        }
    }

    /// When it was asked.
    pub(super) fn asked(&self) -> Instant {
        match self {
            Entry::Sell(ask) => ask.asked,
            Entry::Settle(ask) => ask.asked,
            Entry::Agree(ask) => ask.asked,
            Entry::Publish(ask) => ask.asked,
        }
    }

    /// True for a sale that nobody waits for any more. Anything else is done all the same.
    pub(super) fn is_abandoned(&self) -> bool {
        matches!(self, Entry::Sell(ask) if ask.reply.is_closed())
    }

    /// Gives the answer, after the commit.
    pub(super) fn deliver(self) {
        match self {
            Entry::Sell(ask) => ask.deliver(),
            Entry::Settle(ask) => ask.deliver(),
            Entry::Agree(ask) => ask.deliver(),
            Entry::Publish(ask) => ask.deliver(),
        }
    }

    /// Gives an error instead.
    pub(super) fn fail(self, error: LedgerError) {
        match self {
            Entry::Sell(ask) => ask.fail(error),
            Entry::Settle(ask) => ask.fail(error),
            Entry::Agree(ask) => ask.fail(error),
            Entry::Publish(ask) => ask.fail(error),
        }
    }
}
