//! What is sent: the same request again and again, or requests that were signed ahead.

use std::collections::VecDeque;

use bytes::Bytes;

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// Head and body.
    pub bytes: Bytes,
    /// Which channel pays, and up to how much in all; nothing if nobody does.
    pub payment: Option<(usize, u64)>,
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum Supply {
    /// This, for ever.
    Same(Request),
    /// What was signed ahead.
    Lines(Lines),
}

/// Requests in the order in which they must be sent. A line belongs to one connection, unless there are fewer lines than
/// connections: then they share them, and what shares a line may overtake.
#[derive(Clone, Debug, Default)]
pub struct Lines(pub Vec<VecDeque<Request>>);

impl Supply {
    /// The next request of a connection.
    pub(super) fn next(&mut self, connection: usize) -> Option<Request> {
        match self {
            Supply::Same(request) => Some(request.clone()),
            Supply::Lines(lines) => lines.of(connection)?.pop_front(),
        }
    }

    /// It bought nothing: its voucher is sent again before a later one.
    pub(super) fn take_back(&mut self, connection: usize, request: Request) {
        if let Supply::Lines(lines) = self
            && let Some(line) = lines.of(connection)
        {
            line.push_front(request);
        }
    }
}

impl Default for Supply {
    fn default() -> Supply {
        Supply::Lines(Lines::default())
    }
}

impl Lines {
    fn of(&mut self, connection: usize) -> Option<&mut VecDeque<Request>> {
        let lines = self.0.len();
        self.0.get_mut(connection.checked_rem(lines)?)
    }
}
