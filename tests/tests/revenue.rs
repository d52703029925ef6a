//! What `sluice revenue` prints about real sales.

#[path = "../../shared/ledger/tests/common/mod.rs"]
mod common;

use std::process::{Command, Output};
use std::sync::Arc;

use anyhow::Result;
use channel::Step;
use common::*;
use ledger::Order;
use serde_json::{Value, json};
use testkit::paths;

fn revenue(url: &str, arguments: &[&str]) -> Result<(i32, String, String)> {
    let mut command = Command::new(paths::program("sluice")?);
    command.env_clear().args(["revenue", "--database-url", url]).args(arguments);
    let Output { status, stdout, stderr } = command.output()?;
    Ok((status.code().expect("it was not killed"), String::from_utf8(stdout)?, String::from_utf8(stderr)?))
}

fn printed(url: &str, arguments: &[&str]) -> Result<String> {
    let (code, out, err) = revenue(url, arguments)?;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    Ok(out)
}

/// Two days of sales, folded and not: 3 and 4 on `/sqrt`, 10 on `/a,b`.
async fn sold() -> String {
    let (ledger, url) = ledger_with(1, 100).await;
    let client = sql(&url).await;
    for (route, units, price, day) in [("/sqrt", 3, 3, "2026-11-01"), ("/sqrt", 7, 4, "2026-11-02")] {
        let order = Order { route: Arc::from(route), price: amount(price), ..order(voucher(0, units)) };
        sell(&ledger, order).await.expect("it is paid for");
        client.execute(&format!("UPDATE sales_log SET at = '{day} 12:00+00'"), &[]).await.expect("it is noted");
        ledger.fold_sales().await.expect("the database answers");
    }
    let order = Order { route: Arc::from("/a,b"), price: amount(10), ..order(voucher(0, 20)) };
    sell(&ledger, Order { terms: terms(Step::Any), ..order }).await.expect("it is paid for");
    client.execute("UPDATE sales_log SET at = '2026-11-02 23:59+00'", &[]).await.expect("it is noted");
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn revenue_is_a_table_for_people_and_csv_or_json_for_programs() -> Result<()> {
    let url = sold().await;
    let table = "day         deployment  route  amount  calls\n\
                 2026-11-01  test        /sqrt       3      1\n\
                 2026-11-02  test        /a,b       10      1\n\
                 2026-11-02  test        /sqrt       4      1\n";
    assert_eq!(printed(&url, &[])?, table);
    let csv = "deployment,route,amount,calls\ntest,\"/a,b\",10,1\ntest,/sqrt,7,2\n";
    assert_eq!(printed(&url, &["--by", "route", "--csv"])?, csv);

    let json: Value = serde_json::from_str(&printed(&url, &["--by", "payer,day", "--from", "2026-11-02", "--json"])?)?;
    let payer = payer().address().to_checksum(None);
    let line = json!({ "day": "2026-11-02", "deployment": "test", "payer": payer, "amount": "14", "calls": 2 });
    assert_eq!(json, json!([line]));
    let all = "deployment  amount  calls\ntest            17      3\n";
    assert_eq!(printed(&url, &["--by", "deployment"])?, all);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn revenue_of_nothing_is_nothing_and_of_nonsense_a_usage_error() -> Result<()> {
    let url = sold().await;
    assert_eq!(printed(&url, &["--deployment", "elsewhere"])?, "nothing was sold\n");
    assert_eq!(printed(&url, &["--deployment", "elsewhere", "--csv"])?, "day,deployment,route,amount,calls\n");
    assert_eq!(printed(&url, &["--deployment", "elsewhere", "--json"])?, "[]\n");
    for nonsense in [
        &["--from", "2026-11-02", "--to", "2026-11-01"][..],
        &["--from", "yesterday"],
        &["--by", "colour"],
        &["--csv", "--json"],
    ] {
        assert_eq!(revenue(&url, nonsense)?.0, 2, "{nonsense:?}");
    }
    let (code, out, err) = revenue("postgres://127.0.0.1:1/nowhere", &[])?;
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    Ok(())
}
