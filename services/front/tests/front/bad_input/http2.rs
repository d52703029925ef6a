//! HTTP/2 that is none, frame by frame.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Hears::{self, *};
use super::conversation::Bench;
use Frame::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame, as a client sends it after the preface.
#[derive(Clone, Copy)]
enum Frame {
    /// No settings.
    Settings,
    /// On this stream, a request for `/page` with more fields.
    Get(u32, Fields),
    /// A head of these fields alone.
    Head(u32, Fields),
    /// A head with this `content-length`, and a body to come.
    Post(u32, &'static str),
    /// A whole body.
    Data(u32, &'static str),
    /// A frame: type, flags, stream, payload.
    Raw(u8, u8, u32, &'static [u8]),
    /// A frame whose length is a lie: announced length, type, flags, stream.
    Lie(u32, u8, u8, u32),
    /// The frame before this one, so many times more.
    Again(usize),
    /// Requests, from this stream on, each cancelled at once; so many.
    Cancelled(u32, u32),
}

type Fields = &'static [(&'static str, &'static str)];

const GET: Fields = &[(":method", "GET"), (":scheme", "http"), (":path", "/page"), (":authority", "x")];
const POST: Fields = &[(":method", "POST"), (":scheme", "http"), (":path", "/page"), (":authority", "x")];
const LATE: Fields = &[(":method", "GET"), (":scheme", "http"), ("x-y", "z"), (":path", "/page")];

// Codes of RFC 9113, section 7.
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const ENHANCE_YOUR_CALM: u32 = 11;

const TALK: &[(&str, &[Frame], Hears)] = &[
    // frames
    ("no settings first", &[Get(1, &[])], Answer),
    ("settings of five bytes", &[Raw(4, 0, 0, &[0; 5])], GoAway(PROTOCOL_ERROR)),
    ("settings on a stream", &[Raw(4, 0, 1, &[])], GoAway(PROTOCOL_ERROR)),
    ("a frame above the limit", &[Settings, Lie(1 << 20, 0, 0, 1)], GoAway(FRAME_SIZE_ERROR)),
    ("a ping of four bytes", &[Settings, Raw(6, 0, 0, &[0; 4])], GoAway(PROTOCOL_ERROR)),
    ("a window of zero", &[Settings, Raw(8, 0, 0, &[0; 4])], GoAway(PROTOCOL_ERROR)),
    ("a window above 31 bits", &[Settings, Raw(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff])], GoAway(FLOW_CONTROL_ERROR)),
    ("a promise from a client", &[Settings, Raw(5, 4, 1, &[0, 0, 0, 2])], GoAway(PROTOCOL_ERROR)),
    ("a continuation of nothing", &[Settings, Raw(9, 4, 1, &[])], GoAway(PROTOCOL_ERROR)),
    ("padding above the frame", &[Settings, Raw(1, 0x0d, 1, &[9, 0])], GoAway(PROTOCOL_ERROR)),
    // streams
    ("a head on stream 0", &[Settings, Get(0, &[])], GoAway(PROTOCOL_ERROR)),
    ("a head on an even stream", &[Settings, Get(2, &[])], GoAway(PROTOCOL_ERROR)),
    ("a body without a head", &[Settings, Data(1, "hello")], GoAway(PROTOCOL_ERROR)),
    ("a stream that goes back", &[Settings, Get(5, &[]), Get(3, &[])], GoAway(PROTOCOL_ERROR)),
    ("a body after the end", &[Settings, Get(1, &[]), Data(1, "hello")], GoAway(PROTOCOL_ERROR)),
    // heads
    ("an index that is not there", &[Settings, Raw(1, 5, 1, &[0xff, 0xff, 0x7f])], GoAway(PROTOCOL_ERROR)),
    ("no method", &[Settings, Head(1, &[(":scheme", "http"), (":path", "/page")])], Reset(PROTOCOL_ERROR)),
    ("no path, which is the root", &[Settings, Head(1, &[(":method", "GET"), (":scheme", "http")])], Answer),
    ("two paths", &[Settings, Get(1, &[(":path", "/free.txt")])], Reset(PROTOCOL_ERROR)),
    ("a name in capitals", &[Settings, Get(1, &[("X-Y", "z")])], GoAway(PROTOCOL_ERROR)),
    ("a pseudo-header too late", &[Settings, Head(1, LATE)], Reset(PROTOCOL_ERROR)),
    ("a pseudo-header of answers", &[Settings, Get(1, &[(":status", "200")])], Reset(PROTOCOL_ERROR)),
    ("a header of HTTP/1", &[Settings, Get(1, &[("transfer-encoding", "chunked")])], Reset(PROTOCOL_ERROR)),
    ("a line's end in a value", &[Settings, Get(1, &[("x-y", "a\r\nb: c")])], GoAway(PROTOCOL_ERROR)),
    ("less than the length", &[Settings, Post(1, "9"), Data(1, "hello")], Reset(PROTOCOL_ERROR)),
    ("more than the length", &[Settings, Post(1, "2"), Data(1, "hello")], Reset(PROTOCOL_ERROR)),
    // floods
    (
        "continuations without end",
        &[Settings, Raw(1, 1, 1, &[]), CONTINUATION, Again(20_000)],
        GoAway(ENHANCE_YOUR_CALM),
    ),
    ("requests cancelled as they are sent", &[Settings, Cancelled(1, 2000)], GoAway(ENHANCE_YOUR_CALM)),
];

/// One header, and more to come.
const CONTINUATION: Frame = Raw(9, 0, 1, &[0, 1, b'a', 1, b'b']);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&lie(length, kind, flags, stream), payload].concat()
}

fn lie(length: u32, kind: u8, flags: u8, stream: u32) -> Vec<u8> {
    [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes()].concat()
}

/// HPACK without any table: literal names and values.
fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

fn bytes(talk: &[Frame]) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    let mut last = Vec::new();
    for next in talk {
        let sent = match *next {
            Settings => frame(4, 0, 0, &[]),
            Get(stream, more) => frame(1, 5, stream, &head(&[GET, more].concat())),
            Head(stream, fields) => frame(1, 5, stream, &head(fields)),
            Post(stream, length) => frame(1, 4, stream, &head(&[POST, &[("content-length", length)]].concat())),
            Data(stream, text) => frame(0, 1, stream, text.as_bytes()),
            Raw(kind, flags, stream, payload) => frame(kind, flags, stream, payload),
            Lie(length, kind, flags, stream) => lie(length, kind, flags, stream),
            Again(times) => last.repeat(times),
            Cancelled(first, count) => (0..count)
                .map(|n| first + 2 * n)
                .flat_map(|stream| [frame(1, 5, stream, &head(GET)), frame(3, 0, stream, &[0, 0, 0, 8])].concat())
                .collect(),
        };
        bytes.extend(&sent);
        last = sent;
    }
    bytes
}

/// The first error that the front says, as the table does.
async fn said(address: std::net::SocketAddr, bytes: Vec<u8>) -> String {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    // Said while it is listened to: who floods is not read to the end.
    let sent = tokio::spawn(async move { writer.write_all(&bytes).await.map(|()| writer) });
    let heard = tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            let mut head = [0; 9];
            if reader.read_exact(&mut head).await.is_err() {
                return format!("{Hangup:?}");
            }
            let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap();
            let mut payload = vec![0; length];
            if reader.read_exact(&mut payload).await.is_err() {
                return format!("{Hangup:?}");
            }
            let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            match head[3] {
                1 => return format!("{Answer:?}"),
                3 => return format!("{:?}", Reset(code(0))),
                7 if code(4) != 0 => return format!("{:?}", GoAway(code(4))),
                _ => {}
            }
        }
    });
    let heard = heard.await.unwrap_or_else(|_| "no error".to_owned());
    sent.abort();
    heard
}

#[tokio::test]
async fn http2_that_is_none() {
    let mut bench = Bench::new(|_| {}).await;
    for (what, talk, hears) in TALK {
        let heard = said(bench.front.address, bytes(talk)).await;
        bench.notes(what, &format!("{hears:?}"), &heard).await;
    }
    bench.done().await;
}
