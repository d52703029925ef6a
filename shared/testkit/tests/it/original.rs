use std::time::Duration;

use anyhow::Result;
use testkit::{original, paths};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_original_client_for_python_loads_as_it_was_published() -> Result<()> {
    let script = "import microraiden, importlib.metadata as m, sys; print(m.version('microraiden'), sys.argv[1])";
    let said = original::run(original::python()?.args(["-c", script, "hello"]), SOON).await?;
    assert_eq!(said.trim(), "0.2.6 hello");
    Ok(())
}

#[tokio::test]
async fn the_original_client_for_javascript_loads_as_it_was_published() -> Result<()> {
    let script = "const name = '@raiden_network/microraiden'; \
                  console.log(require(`${name}/package.json`).version, typeof require(name).MicroRaiden)";
    let said = original::run(original::node()?.args(["-e", script]), SOON).await?;
    assert_eq!(said.trim(), "0.2.0 function");
    Ok(())
}

#[test]
fn the_original_contracts_are_at_hand() -> Result<()> {
    let contracts: serde_json::Value = serde_json::from_slice(&std::fs::read(paths::original_contracts()?)?)?;
    assert!(contracts["RaidenMicroTransferChannels"]["bytecode"].is_string());
    Ok(())
}
