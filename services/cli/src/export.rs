//! `sluice export`: the audit trail as JSON lines, as it is read.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ledger::{Counts, Record};
use serde_json::json;

use crate::database::DatabaseArguments;
use crate::report::Report;

/// `sluice export`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice export --config sluice.toml --out trail.jsonl
  sluice export --since 2026-11-01 --config sluice.toml | gzip > november.jsonl.gz
  sluice verify --export trail.jsonl --config sluice.toml

JSON lines, all of one moment: channels with their counters, vouchers and closing signatures, events, sales, transactions;
docs/operating.md says what is in each. It takes the same memory however many channels there are. Whoever has the file has
the vouchers: a file that is made here is readable by its owner alone.")]
pub(crate) struct Arguments {
    /// Without what had ended before this day (2026-11-01, UTC): all that is open, what was sold and sent since.
    #[arg(long, value_name = "DAY")]
    since: Option<Date>,
    /// Write to this file, which must not be there yet; without it, to the standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    database: DatabaseArguments,
}

/// How often progress is shown.
const SHOWN_EVERY: Duration = Duration::from_secs(2);

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let Arguments { since, out, database } = arguments;
    let since = since.map(|day| day.to_zoned(TimeZone::UTC)).transpose().context("--since is no day")?;
    let (ledger, _) = database.ledger().await?;
    let mut trail = ledger.trail(since.map(|since| since.timestamp()));
    let mut sink = Sink::open(out.as_deref())?;
    let (mut counts, mut shown) = (Counts::default(), Instant::now());
    let mut is_whole = false;
    while let Some(record) = trail.recv().await {
        let record = record.context("the trail cannot be read; nothing of what was written is of use")?;
        counts.count(&record);
        is_whole = matches!(record, Record::End(_));
        if !sink.write(&record)? {
            // Whoever read us has enough.
            return Ok(Report::default());
        }
        if shown.elapsed() >= SHOWN_EVERY {
            shown = Instant::now();
            eprintln!("{}", said(&counts));
        }
    }
    if !is_whole {
        bail!("the trail ended early");
    }
    sink.finish()?;
    let json = json!({ "exported": counts, "file": out, "at": Timestamp::now().to_string() });
    Ok(Report { aside: true, ..Report::new(said(&counts), json) })
}

fn said(counts: &Counts) -> String {
    let Counts { channels, events, sales, transactions } = counts;
    format!("{channels} channels, {events} events, {sales} sales, {transactions} transactions")
}

/// Where the lines go: a file gets its name only when it is whole.
struct Sink {
    to: BufWriter<Box<dyn Write + Send>>,
    file: Option<(PathBuf, PathBuf)>,
}

impl Sink {
    fn open(out: Option<&Path>) -> anyhow::Result<Sink> {
        let Some(path) = out else {
            return Ok(Sink { to: BufWriter::new(Box::new(std::io::stdout())), file: None });
        };
        let (part, file) = crate::private::create(path)?;
        Ok(Sink { to: BufWriter::new(Box::new(file)), file: Some((part, path.to_owned())) })
    }

    /// False when the reader is gone.
    fn write(&mut self, record: &Record) -> anyhow::Result<bool> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        match self.to.write_all(&line) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true).context("cannot write the trail"),
        }
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.to.flush().context("cannot write the trail")?;
        let Some((part, path)) = self.file else { return Ok(()) };
        drop(self.to);
        File::open(&part)?.sync_all()?;
        crate::private::name(&part, &path)
    }
}
