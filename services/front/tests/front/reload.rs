//! A new configuration without a restart, and what a price that changed means for who was quoted the old one.

use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use testkit::wait;

use crate::program::Program;
use crate::world::{Payer, World, fault, header};

/// `/echo` for this price, and what else is said about it.
fn echo(world: &World, price: &str, more: &str) -> String {
    format!("[[front.routes]]\npath = \"/echo\"\nupstream = \"{}\"\nprice = {price}\n{more}\n", world.upstream.url())
}

struct Shop<'a> {
    world: &'a World,
    program: Program,
}

impl Shop<'_> {
    /// A front that sells this, with settings from the environment.
    async fn open<'a>(world: &'a World, routes: &str, settings: &[(&str, &str)]) -> Shop<'a> {
        let shop = Shop { world, program: Program::start_with(world, settings) };
        shop.program.becomes("/readyz", StatusCode::OK).await;
        assert_eq!(shop.reload(routes).await.0, 200);
        shop
    }

    fn write(&self, routes: &str) {
        self.world.config_file_selling(self.program.listen, self.program.ops, routes);
    }

    /// Asks for a reload of a file with these routes.
    async fn reload(&self, routes: &str) -> (u16, Value) {
        self.write(routes);
        self.post().await
    }

    async fn post(&self) -> (u16, Value) {
        let answer = self.program.client.post(format!("http://{}/reload", self.program.ops)).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str, headers: HeaderMap) -> Response {
        let url = format!("http://{}{path}", self.program.listen);
        self.program.client.get(url).headers(headers).send().await.unwrap()
    }

    async fn price(&self, path: &str) -> Option<String> {
        let answer = self.get(path, HeaderMap::new()).await;
        (answer.status() == StatusCode::PAYMENT_REQUIRED).then(|| header(&answer, "rdn-price").unwrap().to_owned())
    }

    /// Pays for `/echo`: the status, and the price on the receipt or the refusal.
    async fn pay(&self, payer: &Payer, amount: u128) -> (StatusCode, String) {
        let answer = self.get("/echo", payer.voucher(amount)).await;
        (answer.status(), header(&answer, "rdn-price").unwrap_or_default().to_owned())
    }

    async fn reloads(&self) -> (u32, u32) {
        let page = self.program.client.get(format!("http://{}/metrics", self.program.ops)).send().await.unwrap();
        let page = page.text().await.unwrap();
        let count = |outcome: &str| {
            let name = format!("front_reloads_total{{outcome=\"{outcome}\"}} ");
            page.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
        };
        (count("applied"), count("refused"))
    }
}

#[tokio::test]
async fn sighup_takes_a_new_price_and_new_routes() {
    let world = World::new().await;
    let shop = Shop::open(&world, &echo(&world, "3", ""), &[]).await;
    assert_eq!(shop.price("/echo").await.as_deref(), Some("3"));
    shop.write(&(echo(&world, "5", "") + "[[front.routes]]\nprefix = \"/files\"\nfolder = \".\"\nprice = 0\n"));
    shop.program.process.signal(Signal::SIGHUP).unwrap();
    wait::until("the new price", Duration::from_secs(10), async || {
        anyhow::ensure!(shop.price("/echo").await.as_deref() == Some("5"), "not yet");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(shop.get("/files/file.txt", HeaderMap::new()).await.status(), StatusCode::OK);
    assert_eq!(shop.reloads().await, (2, 0));
}

#[tokio::test]
async fn a_reload_says_what_changed_and_a_file_that_did_not_changes_nothing() {
    let world = World::new().await;
    let shop = Shop::open(&world, &echo(&world, "3", ""), &[]).await;
    assert_eq!(shop.post().await, (200, json!({ "changed": [] })));
    let changed = json!({ "changed": ["front.routes[/echo].maintenance", "front.routes[/echo].price"] });
    assert_eq!(shop.reload(&echo(&world, "4", "maintenance = \"back soon\"")).await, (200, changed));
    assert_eq!(fault(shop.get("/echo", HeaderMap::new()).await).await, (503, "maintenance".to_owned(), true));
    assert_eq!(shop.reload(&echo(&world, "4", "")).await.0, 200);
    assert_eq!(shop.price("/echo").await.as_deref(), Some("4"));
}

#[tokio::test]
async fn a_file_that_is_broken_or_needs_a_restart_is_refused_whole() {
    let world = World::new().await;
    let shop = Shop::open(&world, &echo(&world, "3", ""), &[]).await;
    let refused = async |routes: &str, expected: &[&str]| {
        let (status, answer) = shop.reload(routes).await;
        let problems = answer["problems"].as_array().unwrap();
        assert_eq!((status, problems.len()), (422, expected.len()), "{answer}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.as_str().unwrap().contains(expected), "{problem}");
        }
        assert_eq!(shop.price("/echo").await.as_deref(), Some("3"), "nothing changed");
    };
    let four = echo(&world, "4", "");
    refused("[[front.routes]]\npath = ", &["TOML parse error"]).await;
    refused(
        &(echo(&world, "4", "charge_below = 7") + &echo(&world, "4", "deployment = \"x\"")),
        &["charge_below", "there is no deployment `x`", "front.routes.1: the same path"],
    )
    .await;
    refused(
        &(four.clone() + "[front.rates]\n[front.cors]\norigins = [\"http://a\"]\n"),
        &["needs a restart: front.cors.origins"],
    )
    .await;

    let file = world.config_file_selling(shop.program.listen, shop.program.ops, &four);
    let text = std::fs::read_to_string(&file).unwrap();
    let moved = text.replace(&format!("listen = \"{}\"", shop.program.listen), "listen = \"127.0.0.1:1\"");
    std::fs::write(&file, moved.replace("chain_id = 1337", "chain_id = 1338").replace("grace_ms = 5000", "")).unwrap();
    let (status, answer) = shop.post().await;
    let expected = ["deployments.main.chain_id", "front.listen", "front.timeouts.grace_ms"];
    assert_eq!((status, answer), (422, json!({ "problems": expected.map(|key| format!("needs a restart: {key}")) })));
    assert_eq!(shop.price("/echo").await.as_deref(), Some("3"), "nothing changed");
    // What is not the front's business does not keep it.
    std::fs::write(&file, text.clone() + "[wallet]\nmax_fee_gwei = 7\n").unwrap();
    assert_eq!(shop.post().await.0, 200);
    assert_eq!(shop.reloads().await, (2, 4));
}

#[tokio::test]
async fn a_voucher_in_flight_keeps_the_price_that_it_was_quoted() {
    let world = World::new().await;
    let shop = Shop::open(&world, &echo(&world, "3", ""), &[("SLUICE_FRONT__TIMEOUTS__PRICE_GRACE_MS", "1500")]).await;
    let (dear, cheap, late) = (world.payer(100).await, world.payer(100).await, world.payer(100).await);
    assert_eq!(shop.reload(&echo(&world, "5", "")).await.0, 200);
    assert_eq!(shop.price("/echo").await.as_deref(), Some("5"));
    assert_eq!(shop.pay(&dear, 3).await, (StatusCode::OK, "3".to_owned()));
    world.settles(&dear, (3, 3, 0)).await;
    assert_eq!(shop.pay(&dear, 8).await, (StatusCode::OK, "5".to_owned()));
    world.settles(&dear, (8, 8, 0)).await;
    assert_eq!(shop.pay(&dear, 12).await, (StatusCode::PAYMENT_REQUIRED, "5".to_owned()), "neither price");

    // Another reload that leaves the price alone does not end the grace; one that lowers it begins another.
    assert_eq!(shop.reload(&echo(&world, "5", "charge_below = 400")).await.0, 200);
    assert_eq!(shop.pay(&cheap, 3).await, (StatusCode::OK, "3".to_owned()));
    assert_eq!(shop.reload(&echo(&world, "2", "")).await.0, 200);
    assert_eq!(shop.pay(&late, 5).await, (StatusCode::OK, "5".to_owned()));
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert_eq!(shop.pay(&late, 10).await, (StatusCode::PAYMENT_REQUIRED, "2".to_owned()), "the grace is over");
    assert_eq!(shop.pay(&late, 7).await, (StatusCode::OK, "2".to_owned()));
    world.settles(&late, (7, 7, 0)).await;
    world.settles(&cheap, (3, 3, 0)).await;
}

#[tokio::test]
async fn credit_that_a_failure_left_buys_the_same_again_though_the_price_rose() {
    let world = World::new().await;
    let upstream = world.upstream.url();
    let fail = |price: u8, base: &str| {
        format!(
            "[[front.routes]]\npath = \"/status/500\"\nupstream = \"{upstream}{base}\"\nprice = {price}\nstrip_prefix = false\n"
        )
    };
    let shop = Shop::open(&world, &fail(3, ""), &[]).await;
    let payer = world.payer(100).await;
    let failed = shop.get("/status/500", payer.voucher(3)).await;
    assert_eq!(failed.status(), StatusCode::INTERNAL_SERVER_ERROR);
    world.settles(&payer, (3, 0, 0)).await;
    assert_eq!(shop.reload(&(fail(5, "") + "charge_below = 600\n")).await.0, 200);
    let again = shop.get("/status/500", payer.voucher(3)).await;
    assert_eq!((again.status(), header(&again, "rdn-price")), (StatusCode::INTERNAL_SERVER_ERROR, Some("3")));
    world.settles(&payer, (3, 3, 0)).await;
}

#[tokio::test]
async fn who_signs_ahead_is_charged_the_lower_of_the_two_prices() {
    let world = World::new().await;
    let credit = [("SLUICE_DEPLOYMENTS__MAIN__TERMS", "credit")];
    let shop = Shop::open(&world, &echo(&world, "3", ""), &credit).await;
    let payer = world.payer(100).await;
    assert_eq!(shop.pay(&payer, 50).await, (StatusCode::OK, "3".to_owned()));
    world.settles(&payer, (50, 3, 0)).await;
    for (price, charged, spent) in [("5", "3", 6), ("2", "2", 8)] {
        assert_eq!(shop.reload(&echo(&world, price, "")).await.0, 200);
        assert_eq!(shop.pay(&payer, 50).await, (StatusCode::OK, charged.to_owned()));
        world.settles(&payer, (50, spent, 0)).await;
    }
}

#[tokio::test]
async fn a_call_in_flight_ends_as_it_began() {
    let world = World::new().await;
    let slow = format!("[[front.routes]]\npath = \"/slow/900\"\nupstream = \"{}\"\nprice = 7\n", world.upstream.url());
    let shop = Shop::open(&world, &slow, &[]).await;
    let payer = world.payer(100).await;
    let (answer, reloaded) = tokio::join!(shop.get("/slow/900", payer.voucher(7)), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        shop.reload("").await
    });
    let changed: Vec<_> = ["", "[/slow/900].path", "[/slow/900].price", "[/slow/900].upstream"]
        .map(|key| format!("front.routes{key}"))
        .to_vec();
    assert_eq!(reloaded, (200, json!({ "changed": changed })));
    assert_eq!((answer.status(), header(&answer, "rdn-price")), (StatusCode::OK, Some("7")));
    world.settles(&payer, (7, 7, 0)).await;
    assert_eq!(shop.price("/slow/900").await.as_deref(), Some("1"), "by the route behind it");
}
