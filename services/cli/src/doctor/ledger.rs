use ::channel::{Channel, Epoch, Mode, Status};
use alloy_primitives::{Address, U256};
use contracts::{Deployment, Kind, raiden};
use ledger::{Ledger, LedgerError};

use super::chain::Seen;
use super::{Finding, Patient};
use crate::database::Cluster;

/// Asks the cluster's ledger.
pub(super) async fn examine(
    cluster: &Cluster,
    patient: &Patient,
    chain_id: u64,
    seen: Option<&Seen>,
    findings: &mut Vec<Finding>,
) {
    if let Err(error) = look(cluster, patient, chain_id, seen, findings).await {
        let next = match &error {
            LedgerError::Schema { .. } => "run `sluice migrate`, or use the `sluice` of the cluster's version",
            _ => "check that the database runs, and its address",
        };
        findings.push(Finding::bad("ledger", format!("{:#}", anyhow::Error::from(error)), next));
    }
}

async fn look(
    cluster: &Cluster,
    patient: &Patient,
    chain_id: u64,
    seen: Option<&Seen>,
    findings: &mut Vec<Finding>,
) -> Result<(), LedgerError> {
    let configured = cluster.deployments.iter().find(|(_, deployment)| {
        (deployment.chain_id, deployment.contract, deployment.payee)
            == (chain_id, patient.key.contract, patient.key.receiver)
    });
    if !cluster.deployments.is_empty() && configured.is_none() {
        let says = "no deployment of the configuration has this chain, contract and receiver";
        findings.push(Finding::bad("ledger", says, "the payer must pay whom the server names, or add a deployment"));
        return Ok(());
    }
    let ledger = Ledger::connect(&cluster.database).await?;
    findings.push(match ledger.encryption().await? {
        Some(by) => Finding::good("ledger", format!("the connection is encrypted ({by})")),
        None => Finding::good("ledger", "the connection is not encrypted"),
    });
    let found = ledger.view(id(patient, chain_id)).await?;
    let name = found.as_ref().map(|(channel, _)| channel.deployment.as_str());
    if let Some(name) = name.or(configured.map(|(name, _)| name.as_str())) {
        watcher(&ledger, name, patient, findings).await?;
    }
    findings.push(match &found {
        None => {
            let next = "wait until the watcher has read its block; compare `from_block` with the open block";
            Finding::bad("ledger", "does not know the channel", next)
        }
        Some((channel, epoch)) => judge(channel, epoch, seen),
    });
    ledger.close().await;
    Ok(())
}

fn id(patient: &Patient, chain_id: u64) -> ::channel::ChannelId {
    let deployment = Deployment {
        name: String::new(),
        kind: Kind::Raiden,
        chain_id,
        contract: patient.key.contract,
        token: Address::ZERO,
        payee: patient.key.receiver,
        challenge_period: 0,
        from_block: 0,
        confirmations: 0,
    };
    let opening = raiden::opening(patient.sender, patient.key.open_block);
    Kind::Raiden.contract().channel_id(&deployment, &opening)
}

/// How far the deployment is followed, and whether anything is sold on it.
async fn watcher(
    ledger: &Ledger,
    name: &str,
    patient: &Patient,
    findings: &mut Vec<Finding>,
) -> Result<(), LedgerError> {
    let bad = |says: String, next: &str| Finding::bad("watcher", says, next);
    let cursor = ledger.cursor(name).await?;
    let safety = ledger.safety().await?.into_iter().find(|safety| safety.deployment == name);
    let mode = safety.map(|safety| safety.horizon).unwrap_or_default().mode();
    findings.push(match cursor {
        None => bad(format!("never read {name}"), "start a watcher for it"),
        Some(cursor) => match cursor.halted {
            Some(why) => bad(format!("{name} is halted: {why}"), "decide what the chain's history is, then resync"),
            None if cursor.block.number < patient.key.open_block.into() => bad(
                format!("{name} is read up to block {} only", cursor.block.number),
                "wait; if it stays there, see the watcher's log and its node",
            ),
            None if mode == Mode::WalletStale => Finding::bad(
                "wallet",
                format!("{name} is stale: no all-clear for too long, so nothing is sold on it"),
                "see the wallet's `/readyz?verbose`: its gas, its node, what is stuck",
            ),
            None if mode != Mode::Selling => bad(
                format!("{name} is stale at block {}: nothing is sold on it", cursor.block.number),
                "see the watcher's log and its node",
            ),
            None => Finding::good("watcher", format!("{name} is read up to block {}", cursor.block.number)),
        },
    });
    Ok(())
}

fn judge(channel: &Channel, epoch: &Epoch, seen: Option<&Seen>) -> Finding {
    let facts = &channel.facts;
    let bad = |says: String, next: &str| Finding::bad("ledger", says, next);
    match facts.status {
        Status::Absent => return bad("its opening is on no block of the chain (any more)".to_owned(), "pay again"),
        Status::Closed => return bad("settled".to_owned(), "pay again: another channel is opened"),
        Status::Closing { requested, .. } => {
            return bad(format!("the payer asked to close at {requested}"), "settle it, or wait for the challenge");
        }
        Status::Open => {}
    }
    if let Some(agreed) = channel.agreed_close {
        return bad(format!("a close at {agreed} was agreed: nothing is sold any more"), "`sluice channel close`");
    }
    if !facts.confirmed {
        let head = seen.map_or_else(String::new, |seen| format!(" (the head is {})", seen.head));
        return bad(format!("its opening is not deep enough yet{head}"), "wait some blocks; see `confirmations`");
    }
    if epoch.authorised > facts.deposit {
        let says = format!("{} is authorised, only {} is deposited and confirmed", epoch.authorised, facts.deposit);
        return bad(says, "top it up, or wait for the top-up's confirmations");
    }
    let missing = seen.filter(|seen| seen.deposit != U256::from(facts.deposit.units()));
    let pending = match missing {
        Some(seen) => format!(" ({} pending; the chain shows {})", facts.pending, seen.deposit),
        None => String::new(),
    };
    let Epoch { authorised, spent, held, .. } = epoch;
    let (deposit, credit) = (facts.deposit, epoch.credit());
    Finding::good(
        "ledger",
        format!(
            "open, deposit {deposit}{pending}, authorised {authorised}, spent {spent}, held {held}, credit {credit}"
        ),
    )
}
