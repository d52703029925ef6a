/// What bounds how long we may sell without hearing from the chain. Times are seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The shortest time between a close request and its settlement.
    pub window: u64,
    /// How much of the window we keep for noticing a close and having the answer mined.
    pub budget: u64,
}

impl Freshness {
    /// How long we may sell after we last knew that all was well.
    pub fn usable(&self) -> u64 {
        self.window.saturating_sub(self.budget)
    }
}

/// Until when it is safe to sell on a chain whose head has this block time and was seen at `seen_at`.
///
/// A close that we have not heard of was requested after the head at the earliest, and cannot settle before the window
/// is over. All times in seconds since 1970.
pub fn safe_until(head_time: u64, seen_at: u64, freshness: &Freshness) -> u64 {
    head_time.min(seen_at).saturating_add(freshness.usable())
}

/// How a wallet stands that would have to answer dishonest closes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Whether it is the active one.
    pub active: bool,
    /// What its account has, as a node says; `None` when none answers.
    pub account: Option<Means>,
}

/// What an account has to answer closes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    /// Its balance in the chain's own coin, in wei.
    pub balance: u128,
    /// What an answer may cost, in wei.
    pub answer: u128,
    /// What would keep an answer from being mined in good time, if something would.
    pub hindrance: Option<&'static str>,
}

/// Why a wallet cannot promise to answer a dishonest close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotClear {
    /// Another one is active.
    #[error("another wallet is the active one")]
    Standby,
    /// Nothing can be sent.
    #[error("no node answers")]
    Node,
    /// Not enough to pay for the answers it must be able to give.
    #[error("the account has {balance} wei, and {needed} are needed for answers to closes")]
    Gas {
        /// What it has.
        balance: u128,
        /// What it should have.
        needed: u128,
    },
    /// What is sent is not mined in good time.
    #[error("an answer to a close would not be mined in time: {0}")]
    Stuck(&'static str),
}

impl NotClear {
    /// The word for it in metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            NotClear::Standby => "standby",
            NotClear::Node => "node",
            NotClear::Gas { .. } => "gas",
            NotClear::Stuck(_) => "stuck",
        }
    }

    /// All words that [`NotClear::as_str`] knows.
    pub const WORDS: [&str; 4] = ["standby", "node", "gas", "stuck"];
}

/// Whether a wallet that stands so could answer this many closes in good time.
///
/// # Errors
/// What is in the way; of several things, the first.
pub fn all_clear(outlook: &Outlook, answers: u32) -> Result<(), NotClear> {
    if !outlook.active {
        return Err(NotClear::Standby);
    }
    let Means { balance, answer, hindrance } = outlook.account.ok_or(NotClear::Node)?;
    let needed = answer.saturating_mul(answers.into());
    match hindrance {
        _ if balance < needed => Err(NotClear::Gas { balance, needed }),
        Some(hindrance) => Err(NotClear::Stuck(hindrance)),
        None => Ok(()),
    }
}

/// How many more seconds a deployment may be sold on, by each of the two who say so. `None`: they never did, or took it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Horizon {
    /// By the watcher: it read the chain.
    pub watcher: Option<i64>,
    /// By the wallet: it could have answered a close.
    pub wallet: Option<i64>,
    /// Whether the chain broke its finality, so that the deployment is no longer followed.
    pub halted: bool,
}

/// What a front does on a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It sells.
    Selling,
    /// It does not: the watcher did not read the chain for too long.
    WatcherStale,
    /// It does not: the wallet could not have answered a close for too long.
    WalletStale,
    /// It does not, until an operator says so.
    Halted,
}

impl Mode {
    /// All there are.
    pub const ALL: [Mode; 4] = [Mode::Selling, Mode::WatcherStale, Mode::WalletStale, Mode::Halted];

    /// The word for it in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Selling => "selling",
            Mode::WatcherStale => "watcher_stale",
            Mode::WalletStale => "wallet_stale",
            Mode::Halted => "halted",
        }
    }
}

impl Horizon {
    /// What a front does: it sells only while both bounds lie ahead.
    pub fn mode(&self) -> Mode {
        let lies_ahead = |left: Option<i64>| left.is_some_and(|left| left > 0);
        match (self.halted, lies_ahead(self.watcher), lies_ahead(self.wallet)) {
            (true, ..) => Mode::Halted,
            (false, false, _) => Mode::WatcherStale,
            (false, true, false) => Mode::WalletStale,
            (false, true, true) => Mode::Selling,
        }
    }
}
