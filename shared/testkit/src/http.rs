//! HTTP to ourselves: never through a proxy that the environment names.

use std::time::Duration;

use anyhow::Result;
use reqwest::Client;

/// Longer than anything on this machine takes, short enough that a test fails rather than hangs.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client for servers on this machine. It belongs to the runtime it is first used in.
pub fn client() -> Result<Client> {
    Ok(Client::builder().no_proxy().timeout(TIMEOUT).build()?)
}
