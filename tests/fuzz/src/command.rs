//! A request to the protocol's own paths.

use bytes::Bytes;
use contracts::raiden;
use http::{Method, Request, Uri};
use protocols::raiden::Raiden;
use protocols::{Answer, Command, Operation, Protocol};

use crate::head;

/// `METHOD URI` on the first line, the body after it. What is understood, asked again in each way there is, is the same; what
/// is not is the client's fault.
pub fn read(input: &[u8]) -> bool {
    let (line, body) = head::first_line(input);
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let Some((method, uri)) = line.split_once(' ') else { return false };
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method.as_bytes()), uri.parse::<Uri>()) else { return false };
    match command(method, uri, body) {
        Ok(understood) => {
            for (method, uri, body) in ways(&understood) {
                let uri = uri.parse().expect("a path");
                assert_eq!(command(method, uri, body.as_bytes()).as_ref(), Ok(&understood));
            }
            true
        }
        Err(answer) => {
            assert!(!answer.status.is_server_error(), "{answer:?}");
            false
        }
    }
}

/// The ways to ask for it.
fn ways(command: &Command) -> Vec<(Method, String, String)> {
    match command {
        Command::Close { opening, amount } => {
            let path = path(opening);
            vec![
                (Method::DELETE, path.clone(), format!("balance={amount}")),
                (Method::DELETE, path.clone(), format!("{{\"balance\": {amount}}}")),
                (Method::DELETE, path.clone(), format!("{{\"balance\": \"{amount}\"}}")),
                (Method::DELETE, format!("{path}?balance={amount}"), String::new()),
            ]
        }
        Command::Show(opening) => {
            vec![(Method::GET, path(opening), String::new()), (Method::HEAD, path(opening), String::new())]
        }
        Command::Operate(Operation::Close(opening)) => {
            let path = path(opening).replace("/channels/", "/admin/channels/");
            vec![(Method::DELETE, path, String::new())]
        }
        _ => vec![],
    }
}

fn path(opening: &contracts::Opening) -> String {
    let block = raiden::open_block(&opening.params).expect("it was made from 32 bits");
    format!("/api/1/channels/{}/{block}", opening.payer)
}

fn command(method: Method, uri: Uri, body: &[u8]) -> Result<Command, Box<Answer>> {
    let mut head = Request::new(()).into_parts().0;
    (head.method, head.uri) = (method, uri);
    Raiden.command(&head, &Bytes::copy_from_slice(body))
}
