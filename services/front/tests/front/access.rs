//! Who may buy: the seller's lists, and how a new one is taken over.

use reqwest::{Method, StatusCode};

use crate::program::Program;
use crate::world::{World, fault, header};

#[tokio::test]
async fn a_blocked_payer_buys_nothing_and_may_close() {
    let world = World::new().await;
    let (blocked, other) = (world.payer(100).await, world.payer(100).await);
    let front = world.front_with(|config| config.front.access.blocked = vec![blocked.opening.payer]).await;

    let refused = front.pay("/file.txt", &blocked, 10).await;
    assert_eq!(header(&refused, "sluice-refusal"), Some("payer_blocked"));
    assert_eq!(fault(refused).await, (403, "payer_blocked".to_owned(), false));
    assert_eq!(world.books(&blocked).await, (0, 0, 0));
    assert_eq!(front.pay("/file.txt", &other, 10).await.status(), 200);
    assert_eq!(front.get("/free.txt").await.status(), 200);

    // Whether the signature is good is not looked at; that would cost us, and tell nobody anything.
    let forged = front.request(Method::GET, "/file.txt").headers(blocked.headers("10", &[1; 65])).send().await.unwrap();
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);

    let path = format!("/api/1/channels/{}/{}", blocked.address(), blocked.open_block);
    let close = front.request(Method::DELETE, &format!("{path}?balance=5")).send().await.unwrap();
    assert_eq!(close.status(), StatusCode::BAD_REQUEST, "what we owe each other is no question of lists");
}

#[tokio::test]
async fn with_a_list_of_the_allowed_all_others_are_blocked() {
    let world = World::new().await;
    let (allowed, other) = (world.payer(100).await, world.payer(100).await);
    let front = world.front_with(|config| config.front.access.allowed = vec![allowed.opening.payer]).await;
    assert_eq!(front.pay("/file.txt", &allowed, 10).await.status(), 200);
    assert_eq!(front.pay("/file.txt", &other, 10).await.status(), 403);
    assert_eq!(front.get("/file.txt").await.status(), 402, "who does not say who it is is asked to pay");
}

#[tokio::test]
async fn a_blocked_network_gets_nothing_whatever_it_asks_and_whatever_it_pretends() {
    let world = World::new().await;
    let payer = world.payer(100).await;
    let front = world
        .front_with(|config| {
            config.front.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
            config.front.access.blocked_networks =
                vec!["10.1.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        })
        .await;
    let ask = async |client: &str, path: &str| {
        let request = front.request(Method::GET, path).headers(payer.voucher(10)).header("x-forwarded-for", client);
        request.send().await.unwrap()
    };
    for path in ["/file.txt", "/free.txt", "/api/1/stats", "/nothing/../here"] {
        assert_eq!(fault(ask("10.1.2.3", path).await).await, (403, "client_blocked".to_owned(), false), "{path}");
    }
    for client in ["2001:db8::1", "::ffff:10.1.2.3", "10.2.2.3, 10.1.2.3"] {
        assert_eq!(ask(client, "/file.txt").await.status(), 403, "{client}");
    }
    assert_eq!(world.books(&payer).await, (0, 0, 0));
    assert_eq!(ask("10.2.2.3", "/file.txt").await.status(), 200);
}

#[tokio::test]
async fn a_reload_blocks_and_unblocks() {
    let world = World::new().await;
    let payer = world.payer(100).await;
    let program = Program::start(&world);
    program.becomes("/readyz", StatusCode::OK).await;
    let reload = async |access: &str| {
        world.config_file_selling(program.listen, program.ops, access);
        let answer = program.client.post(format!("http://{}/reload", program.ops)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    };
    let pay = async |units| {
        let url = format!("http://{}/file.txt", program.listen);
        program.client.get(url).headers(payer.voucher(units)).send().await.unwrap().status()
    };
    assert_eq!(pay(10).await, 200);
    reload(&format!("[front.access]\nblocked = [\"{}\"]", payer.address())).await;
    assert_eq!(pay(20).await, 403);
    reload("").await;
    assert_eq!(pay(20).await, 200);
}
