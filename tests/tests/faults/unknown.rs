//! The commit reaches PostgreSQL, its answer does not reach the front: a repetition finds out how it ended.

use std::time::Duration;

use anyhow::{Result, ensure};
use channel::Amount;
use futures::future::try_join_all;
use testkit::cut::Fault;
use testkit::history::{Ask, Told};
use testkit::rounds::rounds;

use crate::common::{PAGE, Scene, clean};

/// After this long the hold of a call that was never made has expired.
const EXPIRED: Duration = Duration::from_secs(8);
/// What is charged in the commit itself, and costs that much.
const FILE: (&str, u128) = ("/file.txt", 10);

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_ends_what_the_lost_answer_to_a_commit_left_open_and_nothing_is_charged_twice() -> Result<()> {
    let scene = Scene::new().await?;
    let mut unknown = 0;
    for round in 1..=rounds(2_u128, 20) {
        scene.links[0].once(Fault::BeforeAnswerTo(b"COMMIT".to_vec()));
        let asked = scene.payers.iter().map(async |payer| {
            let (request, channel) = (format!("{} in round {round}", payer.channel()), payer.channel());
            let ask = Ask { request, channel, voucher: Amount::new(round), price: Amount::new(1) };
            let told = scene.send(payer, 0, &ask, PAGE).await?;
            anyhow::Ok((payer, ask, told))
        });
        let asked = try_join_all(asked).await?;
        scene.links[0].set(Fault::None);
        let open = asked.iter().filter(|(.., told)| *told == Told::Unknown);
        let repeated = open.map(async |(payer, ask, _)| {
            // At another front: the first repetition comes while the hold may stand, the second when it must be gone.
            let first = scene.send(payer, 1, ask, PAGE).await?;
            if first == Told::Refused {
                tokio::time::sleep(EXPIRED).await;
            }
            let last = if first == Told::Served { first } else { scene.send(payer, 2, ask, PAGE).await? };
            ensure!(last == Told::Served, "{ask:?} was {first:?}, then {last:?}");
            Ok(())
        });
        unknown += try_join_all(repeated).await?.len();
        ensure!(asked.iter().all(|(.., told)| matches!(told, Told::Served | Told::Unknown)), "{asked:?}");
    }
    println!("{unknown} of unknown outcome, each served by the second repetition at the latest");
    ensure!(unknown > 0, "no commit lost its answer");
    clean(&scene.verdict().await?.given_away_at_most(0))?;
    charged_in_the_commit(&scene).await
}

/// What is charged in the commit whose answer is lost is handed over by the first repetition.
async fn charged_in_the_commit(scene: &Scene) -> Result<()> {
    let (payer, (path, price)) = (&scene.payers[0], FILE);
    let sql = scene.sql().await?;
    let books = "SELECT authorised::int8, spent::int8, held::int8 FROM epochs WHERE channel = $1";
    let books = async || -> Result<(i64, i64, i64)> {
        let row = sql.query_one(books, &[&payer.channel().0.as_slice()]).await?;
        Ok((row.get(0), row.get(1), row.get(2)))
    };
    let (authorised, spent, _) = books().await?;
    let (price, voucher) = (Amount::new(price), u128::try_from(authorised)? + price);
    let ask = Ask { request: "a file".to_owned(), channel: payer.channel(), voucher: Amount::new(voucher), price };
    scene.links[0].once(Fault::BeforeAnswerTo(b"COMMIT".to_vec()));
    let lost = scene.send(payer, 0, &ask, path).await?;
    let again = scene.send(payer, 1, &ask, path).await?;
    ensure!((lost, again) == (Told::Unknown, Told::Served), "{lost:?}, then {again:?}");
    let (now, charged, held) = books().await?;
    ensure!((now - authorised, charged - spent, held) == (10, 10, 0), "charged {}", charged - spent);
    Ok(())
}
