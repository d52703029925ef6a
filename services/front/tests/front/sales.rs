//! What fronts sold, as the seller is told.

use std::time::Duration;

use ledger::SalesQuery;
use testkit::wait;

use crate::world::World;

#[tokio::test]
async fn what_two_fronts_sold_is_told_by_route_and_payer_and_folded_by_them() {
    let world = World::new().await;
    let (one, two) = (world.payer(100).await, world.payer(100).await);
    let (first, second) = (world.front().await, world.front().await);
    assert_eq!(first.pay("/file.txt", &one, 10).await.status(), 200);
    assert_eq!(second.pay("/file.txt", &two, 10).await.status(), 200);
    assert_eq!(second.pay("/page", &one, 11).await.status(), 200);
    assert_eq!(first.pay("/fail", &two, 11).await.status(), 500);
    assert_eq!(first.get("/free.txt").await.status(), 200);
    world.settles(&one, (11, 11, 0)).await;
    world.settles(&two, (11, 10, 0)).await;

    let query = SalesQuery { by_route: true, by_payer: true, ..SalesQuery::default() };
    let sales = world.ledger.sales(&query).await.unwrap();
    let told = |line: &ledger::Sales| (line.route.clone().unwrap(), line.payer.unwrap(), line.amount.units());
    let mut expected = [
        ("/file.txt".to_owned(), one.opening.payer, 10),
        ("/file.txt".to_owned(), two.opening.payer, 10),
        ("api".to_owned(), one.opening.payer, 1),
    ];
    expected.sort();
    assert_eq!(sales.iter().map(told).collect::<Vec<_>>(), expected);

    // A front folds when it starts, and then now and then.
    let third = world.front().await;
    let (database, connection) = tokio_postgres::connect(&world.database, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    wait::until("the fold", Duration::from_secs(10), async || {
        let unfolded: i64 = database.query_one("SELECT count(*) FROM sales_log", &[]).await?.get(0);
        anyhow::ensure!(unfolded == 0, "{unfolded}");
        Ok(())
    })
    .await
    .unwrap();
    drop(third);
    assert_eq!(world.ledger.sales(&query).await.unwrap(), sales);
}
