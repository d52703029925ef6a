use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use payer::{Options, Receipt};
use serde_json::json;

use crate::payer_arguments::{LimitArguments, PayerArguments};
use crate::report::{Code, Report, Usage};

/// The most a body read from a file or stdin may be, in bytes: it is kept to be sent again.
const BODY_MAX: u64 = 256 << 20;

const AFTER_HELP: &str = "\
Examples:
  sluice pay --max-price 10 --max-deposit 100 --contract 0x… http://127.0.0.1:8080/file.txt
  sluice pay -X POST -H 'Content-Type: application/json' -d @question.json -o answer.json https://api.example/ask
  sluice pay --retries 3 https://api.example/flaky     (carries an Idempotency-Key: paid once)

The answer's body goes to stdout or -o, what it cost to stderr (with --json as one object).
Exit code 0: served (whatever a status below 500 says); 1: the server failed; 3: over a limit; 4: payment refused.
When no answer comes, repeating the request may pay again, unless it has an --idempotency-key.";

/// `sluice pay`.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// What to ask for.
    url: String,
    /// The method [default: GET, or POST with --data].
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    method: Option<Method>,
    /// A header, "Name: value". Repeatable.
    #[arg(short = 'H', long = "header", value_name = "LINE")]
    headers: Vec<String>,
    /// The body; @FILE reads it from a file, @- from stdin.
    #[arg(short, long, value_name = "DATA")]
    data: Option<String>,
    /// Where to write the body instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the answer's status and headers before its body.
    #[arg(short, long)]
    include: bool,
    /// A name for the request: repeated under the same name it is not paid again.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// How often to repeat the request when no answer comes, or 502, 503 or 504.
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// How long to wait for the server to see an opening or a top-up.
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    wait: u64,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    payer: PayerArguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let request = request(&arguments)?;
    let payer = arguments.payer.payer(&arguments.limits, Some(Duration::from_secs(arguments.wait))).await?;
    let options = Options { idempotency_key: arguments.idempotency_key.clone(), retries: arguments.retries };
    let paid = payer.pay(request, options).await;
    let mut answer = match paid {
        Ok(answer) => answer,
        Err(error) => {
            payer.flush().await?;
            return Err(error.into());
        }
    };
    payer.flush().await?;

    let status = answer.response.status();
    let mut out: Box<dyn Write> = match &arguments.output {
        Some(path) => {
            Box::new(std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?)
        }
        None => Box::new(std::io::stdout().lock()),
    };
    if arguments.include {
        writeln!(out, "{:?} {status}\r", answer.response.version())?;
        for (name, value) in answer.response.headers() {
            writeln!(out, "{name}: {}\r", String::from_utf8_lossy(value.as_bytes()))?;
        }
        writeln!(out, "\r")?;
    }
    while let Some(chunk) = answer.response.chunk().await.context("the answer broke off")? {
        out.write_all(&chunk).context("cannot write the answer")?;
    }
    out.flush().context("cannot write the answer")?;
    Ok(report(status, &answer.receipt))
}

fn report(status: StatusCode, receipt: &Receipt) -> Report {
    let code = match status {
        StatusCode::CONFLICT if !receipt.in_doubt.is_zero() => Code::Refused,
        _ if status.is_server_error() => Code::Failed,
        _ => Code::Done,
    };
    let mut json = json!(receipt);
    json["status"] = json!(status.as_u16());
    Report { text: describe(status, receipt), json, aside: true, code }
}

fn describe(status: StatusCode, receipt: &Receipt) -> String {
    let Some(channel) = &receipt.channel else { return format!("{status}: free") };
    let Receipt { cost, in_doubt, balance, deposit, deposited, .. } = receipt;
    let mut text = match in_doubt.is_zero() {
        true => format!("{status}: paid {cost}"),
        false => format!("{status}: not charged, as it seems; {in_doubt} are kept for the same request"),
    };
    text += &format!("; {balance} of {deposit} used in channel {channel}");
    if !deposited.is_zero() {
        text += &format!("; deposited {deposited}");
    }
    text
}

fn request(arguments: &Arguments) -> anyhow::Result<Request<Bytes>> {
    let body = arguments.data.as_deref().map(body).transpose()?;
    let default = if body.is_some() { Method::POST } else { Method::GET };
    let method = arguments.method.clone().unwrap_or(default);
    let mut request = Request::builder().method(method).uri(&arguments.url);
    let headers = arguments.headers.iter().map(|line| header(line)).collect::<anyhow::Result<Vec<_>>>()?;
    if body.is_some() && !headers.iter().any(|(name, _)| name == CONTENT_TYPE) {
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(body.unwrap_or_default());
    Ok(request.map_err(|_| Usage(format!("{:?} is no address", arguments.url)))?)
}

fn header(line: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let parse = || {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
    };
    Ok(parse().ok_or_else(|| Usage(format!("{line:?} is no header: \"Name: value\"")))?)
}

fn body(data: &str) -> anyhow::Result<Bytes> {
    let mut body = Vec::new();
    match data.strip_prefix('@') {
        None => return Ok(Bytes::copy_from_slice(data.as_bytes())),
        Some("-") => std::io::stdin().take(BODY_MAX).read_to_end(&mut body).context("cannot read stdin")?,
        Some(path) => {
            let file = std::fs::File::open(path).with_context(|| format!("cannot read {path}"))?;
            file.take(BODY_MAX).read_to_end(&mut body).with_context(|| format!("cannot read {path}"))?
        }
    };
    Ok(body.into())
}
