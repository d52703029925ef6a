use anyhow::Result;
use testkit::upstream::Upstream;

#[tokio::test]
async fn each_page_answers_as_its_name_says_and_is_counted() -> Result<()> {
    let upstream = Upstream::start().await?;
    let client = testkit::http::client()?;
    for (path, status) in [("/page", 200), ("/teapot.txt", 418), ("/fail", 500), ("/status/503", 503), ("/slow/1", 200)]
    {
        let answer = client.get(format!("{}{path}", upstream.url())).send().await?;
        assert_eq!((answer.status().as_u16(), upstream.calls(path)), (status, 1), "{path}");
    }
    let events = client.get(format!("{}/events/3", upstream.url())).send().await?.text().await?;
    assert_eq!(events.matches("data: event").count(), 3, "{events}");
    let body = "b".repeat(100_000);
    let back = client.post(format!("{}/upload", upstream.url())).body(body.clone()).send().await?.text().await?;
    assert_eq!(back, body);
    let calls: std::collections::BTreeMap<String, u64> =
        client.get(format!("{}/_calls", upstream.url())).send().await?.json().await?;
    assert_eq!(calls.values().sum::<u64>(), 7);
    assert_eq!(upstream.all_calls(), 7);
    Ok(())
}
