//! Channels, as the ledger has them.

use alloy_primitives::Address;
use anyhow::Result;
use channel::{Deadline, EventKind, Step};
use ledger::{Order, When};
use serde_json::{Value, json};

use crate::fixtures::*;
use crate::world::{Ran, sluice};

async fn list(url: &str, arguments: &[&str]) -> Result<Ran> {
    sluice(&[&["list", "channels"], arguments, &["--database-url", url]].concat()).await
}

async fn listed(url: &str, arguments: &[&str]) -> Result<Vec<Value>> {
    let json = list(url, &[&["--json"], arguments].concat()).await?.json()?;
    Ok(json["channels"].as_array().cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_listed_with_every_counter() -> Result<()> {
    let (ledger, url) = ledger_with(1, 100).await;
    // 20 authorised: 7 charged, 5 in flight; of that, 4 claimed.
    let credit = terms(Step::Any);
    let charged = Order { price: amount(7), terms: credit, ..order(voucher(0, 20)) };
    sell(&ledger, charged).await.expect("it is paid for");
    let held =
        Order { price: amount(5), terms: credit, settle: When::Later, request: request(2), ..order(voucher(0, 20)) };
    sell(&ledger, held).await.expect("it is paid for");
    let claimed = event(0, block(2, 0), 0, EventKind::Claimed { taken: amount(4) });
    ledger.advance(&advance(Some(block(1, 0)), block(2, 0), 2, vec![claimed])).await?;

    let channels = listed(&url, &[]).await?;
    let expected = json!({
        "channel": channel_id(0), "deployment": DEPLOYMENT, "payer": payer().address(), "open_block": null,
        "status": "open", "confirmed": true, "requested": null, "agreed_close": null, "deposit": "100", "pending": "0",
        "authorised": "20", "spent": "7", "held": "5", "credit": "8", "published": "4", "claimed": "4",
        "claimable": "16", "exposure": "16",
    });
    assert_eq!(channels, [expected]);
    let text = list(&url, &[]).await?.ok()?;
    let numbers: Vec<&str> = text.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(numbers[4..], ["open", "100", "0", "20", "7", "5", "8", "4", "16", "16"], "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_listed_by_what_is_asked_and_in_pages() -> Result<()> {
    let (ledger, url) = ledger_with(5, 100).await;
    sell(&ledger, order(voucher(3, 1))).await.expect("it is paid for");
    let requested = EventKind::CloseRequested { requested: amount(0), deadline: Deadline::Block(500) };
    let settled = EventKind::Settled { total: amount(0) };
    let events = vec![event(0, block(2, 0), 0, requested), event(1, block(2, 0), 1, settled)];
    ledger.advance(&advance(Some(block(1, 0)), block(2, 0), 2, events)).await?;

    for (arguments, count) in [
        (&[][..], 4),
        (&["--status", "all"], 5),
        (&["--status", "closing"], 1),
        (&["--status", "closed"], 1),
        (&["--status", "absent"], 0),
        (&["--unclaimed"], 1),
        (&["--deployment", "elsewhere"], 0),
        (&["--payer", &Address::ZERO.to_string()], 0),
        (&["--payer", &payer().address().to_string()], 4),
    ] {
        assert_eq!(listed(&url, arguments).await?.len(), count, "{arguments:?}");
    }
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut arguments = vec!["--status", "all", "--limit", "2", "--json"];
        arguments.extend(after.iter().flat_map(|after| ["--after", after.as_str()]));
        let page = list(&url, &arguments).await?.json()?;
        seen.extend(page["channels"].as_array().cloned().unwrap_or_default());
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, listed(&url, &["--status", "all"]).await?);
    Ok(())
}
