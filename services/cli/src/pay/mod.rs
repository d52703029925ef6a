//! `sluice pay`: one request, paid.

mod body;
mod cost;
mod output;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request};
use payer::Options;

use self::body::Body;
use self::output::Output;
use crate::payer_arguments::{LimitArguments, PayerArguments};
use crate::report::{Report, Usage};

const AFTER_HELP: &str = "\
Examples:
  sluice pay --max-price 10 --max-deposit 100 --contract 0x… http://127.0.0.1:8080/file.txt
  sluice pay -d @question.json -o answer.json https://api.example/ask
  sluice pay -T photo.jpg --cacert ours.pem https://api.example/photos/1
  sluice pay -L --host api.example --host cdn.example https://api.example/moved
  sluice pay --retries 3 https://api.example/flaky     (carries an Idempotency-Key: paid once)

The answer's body goes to stdout or -o. What it cost goes to stderr, with --json as one object: url, status, cost (of this
request), total (with its redirects), in_doubt, channel, balance (spent so far), deposit, left, deposited, exchanges,
redirects, refusal (the server's words), error.

A server that answers 429 or 503 with Retry-After is asked again with the same voucher, for --wait-busy seconds in all: it
charges once. When no answer comes at all, asking again may pay again, unless the request has an --idempotency-key.

Exit codes: 0 served, whatever a status below 500 says; 1 the server failed or broke off, or a redirect was not followed;
2 usage; 3 over a limit; 4 the payment was refused; 5 no chain.";

/// `sluice pay`.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// What to ask for.
    url: String,
    /// The method [default: GET; POST with --data; PUT with --upload-file].
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    method: Option<Method>,
    /// A header, "Name: value". Repeatable.
    #[arg(short = 'H', long = "header", value_name = "LINE")]
    headers: Vec<String>,
    /// The body; @FILE reads it from a file, @- from stdin, as it is. A file's type is guessed by its name.
    #[arg(short, long, value_name = "DATA", visible_alias = "data-binary")]
    data: Option<String>,
    /// Puts a file (or stdin: -) there.
    #[arg(short = 'T', long, value_name = "FILE", conflicts_with = "data")]
    upload_file: Option<PathBuf>,
    /// Where to write the body instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the answer's status and headers before its body.
    #[arg(short, long)]
    include: bool,
    /// Follow redirects, paying where they lead; --max-price holds for all together. Another server than the one in URL is
    /// paid only if --host names it.
    #[arg(short = 'L', long)]
    location: bool,
    /// How many redirects to follow.
    #[arg(long, value_name = "N", default_value_t = 10, requires = "location")]
    max_redirects: u32,
    /// The certificates (PEM) to trust for https instead of the system's.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// A name for the request: repeated under the same name it is not paid again.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// How often to repeat the request when no answer comes, or 502, 503 or 504.
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// How long to wait for the server to see an opening or a top-up.
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    wait: u64,
    /// How long to wait, in all, for a server that says when to come back.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait_busy: u64,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    payer: PayerArguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let request = request(&arguments)?;
    let payer = arguments.payer.payer(&arguments.limits, |settings| {
        settings.patience.confirmed = Duration::from_secs(arguments.wait);
        settings.patience.busy = Duration::from_secs(arguments.wait_busy);
        settings.ca_file = arguments.cacert.clone();
    });
    let payer = payer.await?;
    let options = Options {
        idempotency_key: arguments.idempotency_key.clone(),
        retries: arguments.retries,
        redirects: if arguments.location { arguments.max_redirects } else { 0 },
    };
    let output = Output::open(arguments.output.as_deref())?;
    let paid = payer.pay(request, options).await;
    let flushed = payer.flush().await;
    let mut answer = match paid {
        Ok(answer) => answer,
        Err(error) => {
            output.discard();
            return Err(error.into());
        }
    };
    flushed?;
    let written = output.write(&mut answer.response, arguments.include).await;
    Ok(cost::report(&answer, written.err()))
}

fn request(arguments: &Arguments) -> anyhow::Result<Request<Bytes>> {
    let body = match (&arguments.data, &arguments.upload_file) {
        (Some(data), _) => Body::data(data)?,
        (None, Some(file)) => Body::upload(file)?,
        (None, None) => Body::none(),
    };
    let method = arguments.method.clone().unwrap_or(body.method);
    let mut request = Request::builder().method(method).uri(&arguments.url);
    let headers = arguments.headers.iter().map(|line| header(line)).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(content_type) = body.content_type.filter(|_| !headers.iter().any(|(name, _)| name == CONTENT_TYPE)) {
        request = request.header(CONTENT_TYPE, content_type);
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(body.bytes);
    Ok(request.map_err(|_| Usage(format!("{:?} is no address", arguments.url)))?)
}

fn header(line: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let parse = || {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
    };
    Ok(parse().ok_or_else(|| Usage(format!("{line:?} is no header: \"Name: value\"")))?)
}
