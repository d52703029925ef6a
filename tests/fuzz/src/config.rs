//! The configuration.

use std::path::Path;

use front::reading::Routes;
use runtime::config::ConfigError;

use crate::sample;

/// TOML, beginning after the sample's if its first byte is `+`. What is refused says where; what is not can be sold.
pub fn read(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let text = text.strip_prefix('+').map_or_else(|| text.to_owned(), |more| format!("{}\n{more}", sample::TOML));
    match runtime::config::parse(&text, Path::new("/nowhere/fuzz.toml")) {
        Ok(config) => {
            assert!(!config.deployments.is_empty());
            assert_eq!(config.contract_deployments().len(), config.deployments.len());
            for deployment in config.deployments.values() {
                let freshness = deployment.freshness();
                assert!(freshness.budget < freshness.window);
            }
            let limits = config.front.limits;
            assert!(limits.connections > 0 && limits.in_flight > 0 && limits.body_bytes > 0);
            // Whether its routes can be sold is the front's word. It says no; it does not break.
            let _ = Routes::new(&config);
            true
        }
        Err(ConfigError::Unreadable { .. }) => panic!("nothing was read"),
        Err(error) => {
            assert!(error.to_string().contains("fuzz.toml"), "{error}");
            false
        }
    }
}
