//! Which ledger: a cluster's configuration, or an address.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use ledger::{Ledger, Settings};
use runtime::config::Deployment;

use crate::report::Usage;

/// The ledger.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Ledger")]
pub(crate) struct DatabaseArguments {
    /// The cluster's configuration.
    #[arg(long, env = "SLUICE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address of the database, postgresql://…; overrides the configuration's.
    #[arg(long, env = "SLUICE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
}

/// What is known of a cluster.
pub(crate) struct Cluster {
    pub(crate) database: Settings,
    /// By name; empty when only the database is known.
    pub(crate) deployments: BTreeMap<String, Deployment>,
}

impl DatabaseArguments {
    /// The cluster; `None` when none is named.
    pub(crate) fn cluster(&self) -> anyhow::Result<Option<Cluster>> {
        let config = self.config.as_deref().map(runtime::config::load).transpose()?;
        let mut cluster = match (config, &self.database_url) {
            (Some(config), _) => Cluster { database: config.database, deployments: config.deployments },
            // Only looked at, so whether it can lose its last writes does not matter.
            (None, Some(url)) => {
                Cluster { database: Settings { single_node: true, ..Settings::new(url) }, deployments: BTreeMap::new() }
            }
            (None, None) => return Ok(None),
        };
        if let Some(url) = &self.database_url {
            cluster.database.url.clone_from(url);
        }
        Ok(Some(cluster))
    }

    /// The database's address alone: where it is named, no configuration is read.
    pub(crate) fn url(&self) -> anyhow::Result<String> {
        match &self.database_url {
            Some(url) => Ok(url.clone()),
            None => Ok(self.required()?.database.url),
        }
    }

    /// The cluster that must be named, and its ledger.
    pub(crate) async fn ledger(&self) -> anyhow::Result<(Ledger, Cluster)> {
        let cluster = self.required()?;
        let ledger = Ledger::connect(&cluster.database).await.context("cannot use the ledger")?;
        Ok((ledger, cluster))
    }

    /// The cluster that must be named.
    pub(crate) fn required(&self) -> anyhow::Result<Cluster> {
        let missing = || Usage("no database is named: use --config FILE or --database-url URL".to_owned());
        Ok(self.cluster()?.ok_or_else(missing)?)
    }
}
