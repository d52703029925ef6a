//! The REST interface: which question a path under `/api/1` is, as in the original.
//!
//! ```text
//! GET    /                                 for browsers: a page to look after a channel
//! GET    /stats                            what the payee's channels come to, the ABIs, where to look for events from
//! GET    /channels/            ?status=    payers with the blocks of their channels        (308 from /channels)
//! GET    /channels/{sender}    ?status=    a payer's channels
//! GET    /channels/{sender}/{block}        one channel
//! DELETE /channels/{sender}/{block}        the closing signature for ?balance=
//! GET    /login, /logout, /admin           for the operator, by HTTP basic authentication
//! DELETE /admin/channels/{sender}/{block}  closes on chain
//! GET    /cm                               "OK", not under /api/1
//! ```
//! What is ours: `?deployment=` chooses among several (the first by name), lists come in pages (`?after=`, and a `Link` to
//! the next), and what the framework of the original answers in HTML is JSON.

use alloy_primitives::{B256, hex};
use bytes::Bytes;
use channel::ChannelId;
use http::header::{ALLOW, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use serde_json::json;

use super::{GATEWAY_PATH, close, page, read, reply};
use crate::{Answer, Command, Listing, Operation};

/// Says that somebody is there.
const ALIVE: &str = "/cm";

/// Where it all is.
pub(super) const ROOTS: [&str; 2] = [GATEWAY_PATH, ALIVE];

pub(super) fn command(head: &Parts, body: &Bytes) -> Result<Command, Box<Answer>> {
    let path = head.uri.path();
    if path == ALIVE {
        only(head, &[Method::GET])?;
        return Err(Answer::json(StatusCode::OK, &"OK").into());
    }
    let rest = path.strip_prefix(GATEWAY_PATH).and_then(|rest| rest.strip_prefix('/')).ok_or_else(reply::not_found)?;
    let segments: Vec<&str> = rest.split('/').collect();
    match segments[..] {
        [""] if page::is_wanted(&head.headers) => {
            only(head, &[Method::GET])?;
            Ok(Command::Manage { deployment: parameter(head, "deployment") })
        }
        ["stats"] => {
            only(head, &[Method::GET])?;
            Ok(Command::Statistics { deployment: parameter(head, "deployment") })
        }
        ["channels"] => Err(moved(head).into()),
        ["channels", sender] => {
            only(head, &[Method::GET])?;
            // What is no address lists all, as in the original.
            list(head, sender).map(Command::List)
        }
        ["channels", sender, block] => one(head, body, sender, block),
        ["login"] => operation(head, Operation::LogIn),
        ["logout"] => operation(head, Operation::LogOut),
        ["admin"] => operation(head, Operation::Greet),
        ["admin", "channels", sender, block] => {
            let block = read::digits(block).ok_or_else(reply::not_found)?;
            only(head, &[Method::DELETE])?;
            let sender = read::address_in(sender).ok_or_else(|| reply::bad("Invalid sender address"))?;
            Ok(Command::Operate(Operation::Close(read::opening(sender, block).map_err(reply::bad)?)))
        }
        _ => Err(reply::not_found().into()),
    }
}

fn one(head: &Parts, body: &Bytes, sender: &str, block: &str) -> Result<Command, Box<Answer>> {
    let block = read::digits(block).ok_or_else(reply::not_found)?;
    only(head, &[Method::GET, Method::DELETE])?;
    if head.method == Method::DELETE {
        return close::command(head, body, sender, block);
    }
    let opening = read::address_in(sender).and_then(|sender| read::opening(sender, block).ok());
    opening.map(Command::Show).ok_or_else(|| reply::shown(None).into())
}

fn list(head: &Parts, sender: &str) -> Result<Listing, Box<Answer>> {
    let about = |name: &str, what: &str| Answer::json(StatusCode::BAD_REQUEST, &json!({ "message": { name: what } }));
    let open = match parameter(head, "status").as_deref() {
        None | Some("open" | "opened") => Some(true),
        Some("closed") => Some(false),
        Some("all") => None,
        Some(_) => return Err(about("status", "filter channels by a status: open, opened, closed or all").into()),
    };
    let key = |text: String| hex::decode_to_array(text).map(|bytes| ChannelId(B256::new(bytes)));
    let after = parameter(head, "after").map(key).transpose();
    let after = after.map_err(|_| about("after", "the key of a channel, as the link to the next page has it"))?;
    Ok(Listing { deployment: parameter(head, "deployment"), payer: read::address_in(sender), open, after })
}

fn operation(head: &Parts, operation: Operation) -> Result<Command, Box<Answer>> {
    only(head, &[Method::GET])?;
    Ok(Command::Operate(operation))
}

fn parameter(head: &Parts, name: &str) -> Option<String> {
    read::parameter(head.uri.query().unwrap_or_default(), name).map(str::to_owned)
}

fn moved(head: &Parts) -> Answer {
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::try_from(format!("{GATEWAY_PATH}/channels/{query}"));
    let mut answer = Answer::empty(StatusCode::PERMANENT_REDIRECT);
    answer.headers.extend(location.ok().map(|location| (LOCATION, location)));
    answer
}

/// Lets these methods through (HEAD where GET is); the others get their answer.
fn only(head: &Parts, methods: &[Method]) -> Result<(), Box<Answer>> {
    let asked = if head.method == Method::HEAD { &Method::GET } else { &head.method };
    if methods.contains(asked) {
        return Ok(());
    }
    let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if methods.contains(&Method::GET) {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    let mut answer = match head.method {
        Method::OPTIONS => Answer::empty(StatusCode::OK),
        _ => {
            let message = json!({ "message": "The method is not allowed for the requested URL." });
            Answer::json(StatusCode::METHOD_NOT_ALLOWED, &message)
        }
    };
    answer.headers.extend(HeaderValue::try_from(names.join(", ")).ok().map(|names| (ALLOW, names)));
    Err(answer.into())
}
