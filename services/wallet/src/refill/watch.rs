//! Looks what is left, tells operators, and adds the jobs.

use std::time::Instant;

use alloy_primitives::U256;
use channel::{Amount, Portion, Refill, refill};
use ledger::{JobKind, NewJob};
use runtime::telemetry::with_causes;
use tokio_util::sync::CancellationToken;

use super::alerts::Alerts;
use super::{Level, Tank};
use crate::desk::Desk;
use crate::error::WalletError;

/// Looks again and again, until the term ends.
pub(crate) async fn watch(desk: &Desk, term: &CancellationToken) {
    let tanks = desk.kept.tanks();
    let mut alerts = Alerts::default();
    while !term.is_cancelled() && !tanks.is_empty() {
        for tank in &tanks {
            if let Err(error) = look(desk, tank, &mut alerts).await {
                let (key, error) = (tank.key(desk.chain_id), with_causes(&error));
                tracing::warn!(job.key = key, error, "what is left cannot be looked at");
            }
        }
        term.run_until_cancelled(tokio::time::sleep(desk.kept.poll)).await;
    }
    tanks.iter().for_each(|tank| tank.show(desk, false));
}

async fn look(desk: &Desk, tank: &Tank<'_>, alerts: &mut Alerts) -> Result<(), WalletError> {
    let (key, policy) = (tank.key(desk.chain_id), tank.policy());
    let level = tank.level(desk, None).await?;
    let step = level.as_ref().map(|Level { balance, refills }| refill(balance, &policy, &refills.today));
    let left = level.map(|Level { balance, .. }| balance.deposit.saturating_sub(balance.spent));
    let is_low = left.is_some_and(|left| left < policy.threshold);
    tank.show(desk, is_low);
    let trouble = match tank {
        _ if left.is_none() => Some("it is not open: nothing can be added"),
        Tank::Gas(gas, _) if is_low && gas.funding.is_none() => Some("there is no account to refill it from"),
        _ if step == Some(Refill::Capped) => Some("all that may be added in a day was"),
        Tank::Gas(..) if is_low && !tank.can_fund(desk).await? => Some("the account to refill it from has too little"),
        _ => None,
    };
    if alerts.is_to_be_told(&key, trouble, Instant::now()) {
        let left = left.unwrap_or_default();
        tracing::error!(job.key = key, %left, low = %policy.threshold, trouble, "too little is left");
    }
    let home = match tank {
        Tank::Gas(gas, account) if gas.funding.is_some() => gas.accounts.get(account),
        Tank::Gas(..) => None,
        Tank::Outbound(outbound) => Some(&outbound.home),
    };
    if let (Some(Refill::By(_)), Some(home)) = (step, home) {
        let deployment = home.clone();
        desk.ledger.enqueue(&NewJob { kind: JobKind::Refill, key, deployment, channel: None, amount: None }).await?;
    }
    Ok(())
}

impl Tank<'_> {
    /// Whether the account that gives gas has what a whole refill takes.
    async fn can_fund(&self, desk: &Desk) -> Result<bool, WalletError> {
        let Tank::Gas(gas, _) = self else { return Ok(true) };
        let Some(funding) = &gas.funding else { return Ok(false) };
        let needs = match gas.policy.portion {
            Portion::UpTo(high) => high.saturating_sub(gas.policy.threshold),
            Portion::By(amount) => amount,
        };
        Ok(desk.rpc.balance(funding.address()).await? > U256::from(Amount::units(needs)))
    }

    /// Shows operators whether too little is left.
    fn show(&self, desk: &Desk, is_low: bool) {
        let low = f64::from(u8::from(is_low));
        match self {
            Tank::Gas(_, account) => {
                let labels = [("chain", desk.chain_id.to_string()), ("account", account.to_string())];
                metrics::gauge!("wallet_gas_low", &labels).set(low);
            }
            Tank::Outbound(outbound) => {
                metrics::gauge!("wallet_outbound_low", "outbound" => outbound.name.clone()).set(low);
            }
        }
    }
}
