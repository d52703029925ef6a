//! The `main` of a process of the cluster.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{Config, Shutdown, config, telemetry, trace};

/// Exit code for a configuration that cannot be used.
pub const BAD_CONFIG: u8 = 64;

/// What a process starts with.
pub struct Context {
    /// The configuration, checked.
    pub config: Config,
    /// Where it was read, for a process that can read it again.
    pub config_file: PathBuf,
    /// Begins on SIGTERM and SIGINT.
    pub shutdown: Shutdown,
    /// For the ops port.
    pub metrics: PrometheusHandle,
}

#[derive(Parser)]
struct Arguments {
    /// The cluster's configuration (TOML).
    #[arg(long, env = "SLUICE_CONFIG", default_value = "sluice.toml")]
    config: PathBuf,
}

/// Reads the arguments and the configuration, starts telemetry, runs `body`, and says how it ended.
///
/// `service` is its name, here and in traces. Exit code 0: ended as asked. 1: failed, the reason is logged. 64: the
/// configuration is unusable.
pub fn run<F, R>(service: &'static str, about: &'static str, body: F) -> ExitCode
where
    F: FnOnce(Context) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let command = Arguments::command().name(service).about(about).version(env!("CARGO_PKG_VERSION"));
    let arguments = Arguments::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let config = match config::load(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            report(&error.into());
            return ExitCode::from(BAD_CONFIG);
        }
    };
    match start(service, config, arguments.config, body) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn start<F, R>(service: &'static str, config: Config, config_file: PathBuf, body: F) -> anyhow::Result<()>
where
    F: FnOnce(Context) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let metrics = telemetry::init()?;
    let collector = trace::start(&config.telemetry, service)?;
    let ended = tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        body(Context { config, config_file, shutdown, metrics }).await
    });
    if let Some(collector) = collector {
        collector.close();
    }
    ended
}

fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
