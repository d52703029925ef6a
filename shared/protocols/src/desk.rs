//! What can be asked of a payee beside what is for sale, and what there is to answer. Which of it a protocol knows, and
//! how it says it, is the protocol's.

use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use channel::{Amount, Channel, ChannelId, CloseRefusal, Epoch, Signature, Totals};
use contracts::{Deployment, Opening};

/// A question, understood.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// To countersign the end of a channel.
    Close {
        /// The channel.
        opening: Opening,
        /// What the payee gets in all.
        amount: U256,
    },
    /// What a deployment is, and what its channels come to.
    Statistics {
        /// By its name in the configuration; `None`: the first one.
        deployment: Option<String>,
    },
    /// A page of channels.
    List(Listing),
    /// One channel.
    Show(Opening),
    /// For those who have the operator's password.
    Operate(Operation),
    /// The page on which a person looks after a channel.
    Manage {
        /// Of which deployment; `None`: the first one.
        deployment: Option<String>,
    },
}

/// Which channels are to be listed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listing {
    /// Of which deployment; `None`: the first one.
    pub deployment: Option<String>,
    /// Of this payer only.
    pub payer: Option<Address>,
    /// Only the open ones, or only those of which a close was asked for or agreed.
    pub open: Option<bool>,
    /// Only those after this one.
    pub after: Option<ChannelId>,
}

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A token to be used instead of the password for a while.
    LogIn,
    /// To forget the token.
    LogOut,
    /// Whether the password is right.
    Greet,
    /// To close a channel without its payer.
    Close(Opening),
}

/// What became of a [`Command`].
#[derive(Clone, Copy, Debug)]
pub enum Reply<'a> {
    /// Nobody answers such questions here.
    Nothing,
    /// The deployment that was named is not there.
    NoDeployment,
    /// [`Command::Close`].
    Closed(Result<&'a Signature, &'a CloseRefusal>),
    /// [`Command::Statistics`].
    Statistics(&'a Statistics<'a>),
    /// [`Command::List`].
    Listed(&'a Page<'a>),
    /// [`Command::Show`]; `None` if there is no such channel.
    Shown(Option<&'a Details<'a>>),
    /// [`Command::Operate`], by somebody who did not prove to be the operator.
    Unauthorized,
    /// [`Operation::LogIn`].
    LoggedIn {
        /// The token.
        token: &'a str,
    },
    /// [`Operation::LogOut`].
    LoggedOut,
    /// [`Operation::Greet`].
    Greeted,
    /// [`Operation::Close`]: it will be closed, or there is nothing to close.
    ForceClosed(&'a Opening),
}

/// A deployment and its channels.
#[derive(Clone, Copy, Debug)]
pub struct Statistics<'a> {
    /// Chain, contract, token and payee.
    pub deployment: &'a Deployment,
    /// Whether its token knows the ERC-223 transfer that carries data.
    pub erc223: bool,
    /// What its channels come to.
    pub totals: Totals,
    /// What the payee has of the token outside of channels, and when that was seen (since 1970); `None` if it never was.
    pub balance: Option<(Amount, Duration)>,
    /// The last block that was read; `None` if none was.
    pub synced: Option<u64>,
}

/// Channels, by payer.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// What was asked for.
    pub listing: &'a Listing,
    /// The channels.
    pub channels: &'a [(Channel, Epoch)],
    /// Whether there are more after them.
    pub more: bool,
}

/// All there is to know about a channel.
#[derive(Clone, Copy, Debug)]
pub struct Details<'a> {
    /// Where it is.
    pub deployment: &'a Deployment,
    /// The channel.
    pub channel: &'a Channel,
    /// Its counters.
    pub epoch: &'a Epoch,
    /// When we first heard of it, since 1970.
    pub created_at: Duration,
    /// When its closing signature was given, or else as before.
    pub changed_at: Duration,
    /// Top-ups that are not deep enough yet, by transaction.
    pub pending: &'a [(B256, Amount)],
}
