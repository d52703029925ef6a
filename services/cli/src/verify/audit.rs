//! Takes the records in their order, and has each looked at by who knows about it.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use channel::{Amount, Event};
use ledger::{ChannelRecord, Counts, DeploymentRecord, Record, SaleRecord, TRAIL_VERSION};
use runtime::config::Deployment;

use super::chain::Chain;
use super::journal::Journal;
use super::{Findings, books};

/// An audit under way.
pub(super) struct Audit {
    configured: BTreeMap<String, Deployment>,
    offline: bool,
    deployments: BTreeMap<String, Audited>,
    /// The channel whose events are coming in.
    current: Option<(ChannelRecord, Vec<Event>)>,
    journal: Journal,
    counts: Counts,
    /// Whether the trail lacks what had ended before some day.
    partial: bool,
    whole: bool,
    findings: Findings,
}

/// A deployment of the trail.
pub(super) struct Audited {
    pub(super) record: DeploymentRecord,
    pub(super) contracts: contracts::Deployment,
    /// The chain as it was when the ledger had read it; `None` when it is not asked.
    pub(super) chain: Option<Chain>,
    spent: Amount,
    sold: Amount,
}

impl Audit {
    pub(super) fn new(configured: BTreeMap<String, Deployment>, offline: bool) -> Audit {
        Audit {
            configured,
            offline,
            deployments: BTreeMap::new(),
            current: None,
            journal: Journal::default(),
            counts: Counts::default(),
            partial: false,
            whole: false,
            findings: Findings::default(),
        }
    }

    pub(super) async fn take(&mut self, record: Record) -> anyhow::Result<()> {
        self.counts.count(&record);
        if let Record::Event(event) = record {
            let Some((channel, events)) = &mut self.current else { bail!("an event without a channel") };
            ensure!(event.event.channel == channel.id, "an event among those of another channel");
            if !event.orphaned {
                events.push(event.event);
            }
            return Ok(());
        }
        self.close_channel().await?;
        match record {
            Record::Trail(head) => {
                let version = head.version;
                ensure!(version == TRAIL_VERSION, "this is version {version} of the format, not {TRAIL_VERSION}");
                self.partial = head.since.is_some();
            }
            Record::Deployment(record) => self.open_deployment(record).await?,
            Record::Channel(channel) => self.current = Some((*channel, Vec::new())),
            Record::Sale(sale) => self.add_sale(&sale),
            Record::Transaction(transaction) => {
                self.journal.take(*transaction, &self.deployments, &mut self.findings).await?;
            }
            Record::End(counts) => {
                ensure!(counts == self.counts, "the trail lacks lines: it says {counts:?}, and has {:?}", self.counts);
                self.whole = true;
            }
            Record::Event(_) => {}
        }
        Ok(())
    }

    async fn open_deployment(&mut self, record: DeploymentRecord) -> anyhow::Result<()> {
        let DeploymentRecord { name, chain_id, contract, token, payee, .. } = &record;
        let Some(configured) = self.configured.get(name) else {
            self.findings.note(format!("deployment {name} is not in the configuration: nothing of it was looked at"));
            return Ok(());
        };
        let theirs = (configured.chain_id, configured.contract, configured.token, configured.payee);
        if theirs != (*chain_id, *contract, *token, *payee) {
            self.findings.differs(format!(
                "deployment {name}: the ledger has chain {chain_id}, contract {contract}, token {token}, payee {payee}; \
                 the configuration another"
            ));
            return Ok(());
        }
        let contracts = configured.to_contract(name);
        let chain = match (&record.read_to, self.offline) {
            (Some(block), false) => Chain::read(configured, &contracts, *block, &mut self.findings).await?,
            _ => None,
        };
        let audited = Audited { contracts, chain, spent: Amount::ZERO, sold: Amount::ZERO, record };
        self.deployments.insert(audited.record.name.clone(), audited);
        Ok(())
    }

    /// All records of the channel are there: it can be looked at.
    async fn close_channel(&mut self) -> anyhow::Result<()> {
        let Some((channel, events)) = self.current.take() else { return Ok(()) };
        let Some(deployment) = self.deployments.get_mut(&channel.deployment) else { return Ok(()) };
        for epoch in &channel.epochs {
            deployment.spent = deployment.spent.saturating_add(epoch.spent);
        }
        books::check(&channel, &events, deployment, &mut self.findings);
        self.journal.expect(&channel, &events);
        match &mut deployment.chain {
            Some(chain) => chain.check(&channel, &events, &deployment.contracts, &mut self.findings).await,
            None => Ok(()),
        }
    }

    fn add_sale(&mut self, sale: &SaleRecord) {
        if let Some(deployment) = self.deployments.get_mut(&sale.deployment) {
            deployment.sold = deployment.sold.saturating_add(sale.amount);
        }
    }

    /// What was looked at, and what was found.
    pub(super) async fn finish(mut self) -> anyhow::Result<(String, Findings)> {
        ensure!(self.whole, "the trail was cut off: its last line is missing");
        self.journal.finish(&self.deployments, self.partial, &mut self.findings).await?;
        for (name, deployment) in &mut self.deployments {
            let Audited { spent, sold, .. } = deployment;
            if self.partial {
                self.findings.note("the export begins at a day: sums and what is missing in it were not looked at");
            } else if spent != sold {
                self.findings
                    .differs(format!("deployment {name}: {spent} was spent over all channels, {sold} was sold"));
            }
            if let Some(chain) = &mut deployment.chain {
                chain.finish(self.partial, &mut self.findings).await?;
            } else if self.offline {
                self.findings.note("no node was asked");
            }
        }
        let Counts { channels, events, sales, transactions } = self.counts;
        let checked = format!("{channels} channels, {events} events, {sales} sales, {transactions} transactions");
        Ok((checked, self.findings))
    }
}
