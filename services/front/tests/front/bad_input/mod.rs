//! Malformed requests, byte for byte over a real socket, and what exactly is answered. The tables are the other files here.
//!
//! After each row the same front still serves a paid request.

mod bodies;
mod commands;
mod conversation;
mod heads;
mod http2;
mod payments;
mod prices;
mod slow;

/// What a client hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hears {
    /// Nothing: the connection is closed.
    Hangup,
    /// This status and an empty body: HTTP itself was broken.
    Bare(u16),
    /// This status, and `{"reason": …}`.
    Fault(u16, &'static str),
    /// This status, and this as a JSON string.
    Says(u16, &'static str),
    /// This status, and this body.
    Body(u16, &'static str),
    /// 402 and this failure header alone; an empty one: none.
    Refused(&'static str),
    /// HTTP/2: an answer like any other.
    Answer,
    /// HTTP/2: this connection error, by its code.
    GoAway(u32),
    /// HTTP/2: this stream error, by its code.
    Reset(u32),
}
