//! A deployment and its shop, for the targets that need one.

use std::path::Path;
use std::sync::OnceLock;

use contracts::Deployment;
use front::reading::Routes;
use runtime::Config;

/// The configuration.
pub(crate) const TOML: &str = include_str!("sample.toml");

pub(crate) fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| runtime::config::parse(TOML, Path::new("/sample.toml")).expect("the sample is usable"))
}

pub(crate) fn deployment() -> &'static Deployment {
    static DEPLOYMENT: OnceLock<Deployment> = OnceLock::new();
    DEPLOYMENT.get_or_init(|| config().contract_deployments().remove(0))
}

pub(crate) fn routes() -> &'static Routes {
    static ROUTES: OnceLock<Routes> = OnceLock::new();
    ROUTES.get_or_init(|| Routes::new(config()).expect("the sample's routes can be sold"))
}
