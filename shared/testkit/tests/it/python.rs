use std::time::Duration;

use anyhow::Result;
use testkit::{paths, python};

#[tokio::test]
async fn the_original_client_loads_as_it_was_published() -> Result<()> {
    let script = tempfile::NamedTempFile::with_suffix(".py")?;
    std::fs::write(
        script.path(),
        "import microraiden, importlib.metadata as m, sys; print(m.version('microraiden'), sys.argv[1])",
    )?;
    let said = python::run(script.path(), &["hello"], Duration::from_secs(30)).await?;
    assert_eq!(said.trim(), "0.2.6 hello");
    Ok(())
}

#[test]
fn the_original_contracts_are_at_hand() -> Result<()> {
    let contracts: serde_json::Value = serde_json::from_slice(&std::fs::read(paths::original_contracts()?)?)?;
    assert!(contracts["RaidenMicroTransferChannels"]["bytecode"].is_string());
    Ok(())
}
