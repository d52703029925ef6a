//! The `main` of a process of the cluster.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{Config, Shutdown, config, telemetry};

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
/// Exit code 0: ended as asked. 1: failed, the reason is logged. 64: the configuration is unusable.
pub fn run<F, R>(about: &'static str, body: F) -> ExitCode
where
    F: FnOnce(Context) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let arguments = <Arguments as clap::FromArgMatches>::from_arg_matches(
        &<Arguments as clap::CommandFactory>::command().about(about).version(env!("CARGO_PKG_VERSION")).get_matches(),
    )
    .unwrap_or_else(|error| error.exit());
    let config = match config::load(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            report(&error.into());
            return ExitCode::from(BAD_CONFIG);
        }
    };
    match start(config, arguments.config, body) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn start<F, R>(config: Config, config_file: PathBuf, body: F) -> anyhow::Result<()>
where
    F: FnOnce(Context) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let metrics = telemetry::init()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        body(Context { config, config_file, shutdown, metrics }).await
    })
}

fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
