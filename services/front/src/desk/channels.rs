//! Channels: pages of them, and one.

use channel::Status;
use contracts::Opening;
use ledger::Standing;
use protocols::{Answer, Details, Listing, Page, Reply};

use super::{Window, since_1970};
use crate::fault::Fault;

/// Channels of one page.
const PAGE: u32 = 1_000;

pub(super) async fn list(window: &Window<'_>, listing: &Listing) -> Result<Answer, Fault> {
    let Some(till) = window.till(listing.deployment.as_deref()) else {
        return Ok(window.reply(&Reply::NoDeployment));
    };
    let which = Standing {
        deployment: till.name.to_string(),
        payer: listing.payer,
        open: listing.open,
        after: listing.after,
        limit: PAGE + 1,
    };
    let _place = window.front.desk.lookups.acquire().await;
    let mut channels = window.front.ledger.standing(&which).await?;
    // One more than a page says that there is another.
    let more = u32::try_from(channels.len()).is_ok_and(|found| found > PAGE);
    if more {
        channels.pop();
    }
    Ok(window.reply(&Reply::Listed(&Page { listing, channels: &channels, more })))
}

/// A channel that is confirmed and not settled.
pub(super) async fn show(window: &Window<'_>, opening: &Opening) -> Result<Answer, Fault> {
    let none = || Ok(window.reply(&Reply::Shown(None)));
    let Some((till, channel, epoch)) = window.find(opening).await? else { return none() };
    if !channel.facts.confirmed || !matches!(channel.facts.status, Status::Open | Status::Closing { .. }) {
        return none();
    }
    let Some(particulars) = window.front.ledger.particulars(channel.id).await? else { return none() };
    let details = Details {
        deployment: &till.deployment,
        channel: &channel,
        epoch: &epoch,
        created_at: since_1970(particulars.created_at),
        changed_at: since_1970(particulars.changed_at),
        pending: &particulars.pending,
    };
    Ok(window.reply(&Reply::Shown(Some(&details))))
}
