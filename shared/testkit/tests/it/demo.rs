use anyhow::Result;
use testkit::cluster::Cluster;
use testkit::demo;

#[tokio::test]
async fn the_main_job_ends_with_books_that_agree() -> Result<()> {
    let mut cluster = Cluster::start(demo::options()).await?;
    assert!(demo::show(&mut cluster).await?, "the books do not agree");
    cluster.stop().await
}
