//! addTrustedContracts and removeTrustedContracts.

use alloy_primitives::{Address, Log};
use anyhow::Result;
use contracts::raiden::abi;

use crate::behaviours;
use crate::chain::OWNER;
use crate::world::World;

behaviours! {
    the_owner_trusts_contracts_and_passes_accounts_over,
    the_owner_takes_trust_back,
    nobody_else_edits_the_list,
}

fn add(contracts: &[Address]) -> abi::addTrustedContractsCall {
    abi::addTrustedContractsCall { _trusted_contracts: contracts.to_vec() }
}

fn remove(contracts: &[Address]) -> abi::removeTrustedContractsCall {
    abi::removeTrustedContractsCall { _trusted_contracts: contracts.to_vec() }
}

fn log(w: &World, contract: Address, trusted: bool) -> Log {
    w.log(abi::TrustedContract { _trusted_contract_address: contract, _trusted_status: trusted })
}

async fn the_owner_trusts_contracts_and_passes_accounts_over(w: &World) -> Result<()> {
    let (delegate, account) = (w.delegate().await?, w.stranger.address());
    let mined = w.accepts(OWNER, add(&[account, delegate, Address::ZERO, w.token])).await?;
    assert_eq!(mined.logs, [log(w, delegate, true), log(w, w.token, true)]);
    for (contract, trusted) in [(delegate, true), (w.token, true), (account, false), (Address::ZERO, false)] {
        assert_eq!(w.says(abi::trusted_contractsCall(contract)).await?, trusted, "{contract}");
    }
    // Trusted again, it is said again.
    assert_eq!(w.accepts(OWNER, add(&[delegate])).await?.logs, [log(w, delegate, true)]);
    assert_eq!(w.accepts(OWNER, add(&[])).await?.logs, []);
    Ok(())
}

async fn the_owner_takes_trust_back(w: &World) -> Result<()> {
    let delegate = w.delegate().await?;
    w.accepts(OWNER, add(&[delegate, w.token])).await?;
    let mined = w.accepts(OWNER, remove(&[w.stranger.address(), delegate, delegate])).await?;
    assert_eq!(mined.logs, [log(w, delegate, false)]);
    assert!(!w.says(abi::trusted_contractsCall(delegate)).await?);
    assert!(w.says(abi::trusted_contractsCall(w.token)).await?);
    // What is not trusted is not said to be distrusted.
    assert_eq!(w.accepts(OWNER, remove(&[delegate])).await?.logs, []);
    Ok(())
}

async fn nobody_else_edits_the_list(w: &World) -> Result<()> {
    let delegate = w.delegate().await?;
    w.trust(delegate).await?;
    for other in [w.payer.address(), w.payee.address(), delegate] {
        w.refuses(other, add(&[w.token]), "caller is not the owner").await?;
        w.refuses(other, remove(&[delegate]), "caller is not the owner").await?;
        w.refuses(other, add(&[]), "caller is not the owner").await?;
    }
    assert!(w.says(abi::trusted_contractsCall(delegate)).await?);
    Ok(())
}
