//! Jobs: listed, shown, tried again, given up.

use anyhow::Result;
use ledger::{JobId, JobKind, Ledger, NewJob};
use serde_json::{Value, json};

use crate::fixtures::{DEPLOYMENT, amount, channel_id, ledger_with};
use crate::world::{Ran, sluice};

async fn add(ledger: &Ledger, kind: JobKind, key: &str) -> Result<String> {
    let (deployment, channel) = (DEPLOYMENT.to_owned(), Some(channel_id(0)));
    let job = NewJob { kind, key: key.to_owned(), deployment, channel, amount: Some(amount(7)) };
    Ok(ledger.enqueue(&job).await?.0.to_string())
}

async fn jobs(url: &str, arguments: &[&str]) -> Result<Ran> {
    sluice(&[&["jobs"], arguments, &["--database-url", url]].concat()).await
}

async fn listed(url: &str, arguments: &[&str]) -> Result<Vec<String>> {
    let json = jobs(url, &[&["list", "--json"], arguments].concat()).await?.json()?;
    let keys = json.as_array().into_iter().flatten().map(|job| job["key"].as_str().unwrap_or_default().to_owned());
    Ok(keys.collect())
}

async fn shown(url: &str, id: &str) -> Result<Value> {
    jobs(url, &["show", id, "--json"]).await?.json()
}

fn id(text: &str) -> JobId {
    JobId(text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_by_what_is_asked_the_newest_first_and_in_pages() -> Result<()> {
    let (ledger, url) = ledger_with(1, 100).await;
    assert_eq!(jobs(&url, &["list"]).await?.ok()?, "no jobs\n");
    let sync = add(&ledger, JobKind::Sync, "a").await?;
    let close = add(&ledger, JobKind::Close, "b").await?;
    let claim = add(&ledger, JobKind::Claim, "c").await?;
    ledger.fail(id(&close), "the contract refused").await?;
    ledger.finish(id(&claim), &json!({ "claimed": "7" })).await?;

    assert_eq!(listed(&url, &[]).await?, ["c", "b", "a"]);
    assert_eq!(listed(&url, &["--state", "open"]).await?, ["a"]);
    assert_eq!(listed(&url, &["--kind", "close"]).await?, ["b"]);
    assert_eq!(listed(&url, &["--deployment", "elsewhere"]).await?, [""; 0]);
    let text = jobs(&url, &["list", "--limit", "2"]).await?.ok()?;
    assert!(text.contains("the contract refused") && text.ends_with(&format!("more: --before {close}\n")), "{text}");
    assert_eq!(listed(&url, &["--limit", "2", "--before", &close]).await?, ["a"]);

    let job = shown(&url, &claim).await?;
    assert_eq!((&job["state"], &job["outcome"]), (&json!("done"), &json!({ "claimed": "7" })));
    assert_eq!((&job["amount"], &job["channel"]), (&json!("7"), &json!(channel_id(0))));
    assert!(jobs(&url, &["show", &sync]).await?.ok()?.contains("kind         sync"));
    for (arguments, code) in
        [(&["show", "4711"][..], 1), (&["list", "--kind", "dance"], 2), (&["list", "--limit", "0"], 2)]
    {
        assert_eq!(jobs(&url, arguments).await?.code, code, "{arguments:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_is_tried_again_as_if_new_and_a_waiting_one_at_once() -> Result<()> {
    let (ledger, url) = ledger_with(1, 100).await;
    let claim = add(&ledger, JobKind::Claim, "c").await?;
    ledger.retry(id(&claim), "no node", std::time::Duration::from_secs(3_600)).await?;
    assert_eq!(ledger.due(JobKind::Claim, &[DEPLOYMENT], 9).await?, []);
    let mut bell = ledger.listen(&[JobKind::Claim]);
    bell.wait(std::time::Duration::from_millis(100)).await;
    jobs(&url, &["retry", &claim]).await?.ok()?;
    let begun = std::time::Instant::now();
    bell.wait(std::time::Duration::from_secs(20)).await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "it rings");
    assert_eq!(ledger.due(JobKind::Claim, &[DEPLOYMENT], 9).await?.len(), 1, "what waited is due");

    ledger.fail(id(&claim), "refused").await?;
    jobs(&url, &["retry", &claim]).await?.ok()?;
    let due = ledger.due(JobKind::Claim, &[DEPLOYMENT], 9).await?;
    assert_eq!((due.len(), due[0].attempts), (1, 0), "what failed is open again, with all its attempts");

    // Its work was taken over by another job, or done.
    ledger.fail(id(&claim), "refused").await?;
    let other = add(&ledger, JobKind::Claim, "c").await?;
    let ran = jobs(&url, &["retry", &claim]).await?;
    assert!(
        ran.code == 1 && ran.err.contains("another claim job for c is open") && ran.err.contains("next:"),
        "{ran:?}"
    );
    ledger.finish(id(&other), &Value::Null).await?;
    let ran = jobs(&url, &["retry", &other]).await?;
    assert!(ran.code == 1 && ran.err.contains("is done"), "{ran:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_job_is_given_up_but_an_answer_to_a_dishonest_close_only_by_force() -> Result<()> {
    let (ledger, url) = ledger_with(1, 100).await;
    let (claim, challenge) = (add(&ledger, JobKind::Claim, "c").await?, add(&ledger, JobKind::Challenge, "d").await?);
    jobs(&url, &["drop", &claim]).await?.ok()?;
    let job = shown(&url, &claim).await?;
    assert_eq!((&job["state"], &job["error"]), (&json!("failed"), &json!("dropped by an operator")));
    let ran = jobs(&url, &["drop", &claim]).await?;
    assert!(ran.code == 1 && ran.err.contains("failed already"), "{ran:?}");

    let ran = jobs(&url, &["drop", &challenge]).await?;
    assert!(ran.code == 1 && ran.err.contains("less than it owes") && ran.err.contains("--force"), "{ran:?}");
    assert_eq!(shown(&url, &challenge).await?["state"], "open");
    jobs(&url, &["drop", &challenge, "--force"]).await?.ok()?;
    assert_eq!(shown(&url, &challenge).await?["state"], "failed");
    Ok(())
}
