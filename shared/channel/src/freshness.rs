/// What bounds how long we may sell without hearing from the chain. Times are seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The shortest time between a close request and its settlement.
    pub window: u64,
    /// How much of the window we keep for noticing a close and having the answer mined.
    pub budget: u64,
}

/// Until when it is safe to sell on a chain whose head has this block time and was seen at `seen_at`.
///
/// A close that we have not heard of was requested after the head at the earliest, and cannot settle before the window
/// is over. All times in seconds since 1970.
pub fn safe_until(head_time: u64, seen_at: u64, freshness: &Freshness) -> u64 {
    let usable = freshness.window.saturating_sub(freshness.budget);
    head_time.min(seen_at).saturating_add(usable)
}
