//! All that we know ours to do otherwise than the original: what solc 0.4.19 let pass and no honest client sends.

use alloy_primitives::{Bytes, U256, hex};
use anyhow::Result;
use channel::Amount;
use contracts::raiden;

use crate::chain::{OWNER, created, ours, the_original};
use crate::world::World;

/// A contract that answers 1 to `totalSupply()` and not a byte to everything else.
const MUTE: Bytes = Bytes::from_static(&hex!("6013600c60003960136000f3" "5f3560e01c6318160ddd14805f5260051b5ff3"));

/// Whether the original and ours let a call of the payer pass.
async fn passes(data: Bytes) -> Result<[bool; 2]> {
    let mut passes = [false; 2];
    for (passes, contracts) in passes.iter_mut().zip([the_original(), ours()]) {
        let w = World::new(contracts).await?;
        *passes = w.chain.send(w.payer.address(), Some(w.channels), data.clone()).await?.is_ok();
    }
    Ok(passes)
}

#[tokio::test]
async fn dirty_padding_was_masked_and_is_refused() -> Result<()> {
    let clean = raiden::create_channel(OWNER, Amount::new(100));
    assert_eq!(passes(clean.clone()).await?, [true, true]);
    let mut dirty = clean.to_vec();
    dirty[4] = 1;
    assert_eq!(passes(dirty.into()).await?, [true, false]);
    Ok(())
}

#[tokio::test]
async fn missing_arguments_were_zero_and_are_refused() -> Result<()> {
    let whole = raiden::create_channel(OWNER, Amount::ZERO);
    assert_eq!(passes(whole.clone()).await?, [true, true]);
    assert_eq!(passes(whole.slice(..36)).await?, [true, false]);
    Ok(())
}

#[tokio::test]
async fn a_token_that_answers_nothing_was_believed_and_is_refused() -> Result<()> {
    let mut passes = vec![];
    for contracts in [the_original(), ours()] {
        let w = World::new(contracts).await?;
        let mute = created(w.chain.deploy(OWNER, &MUTE, &[]).await?)?;
        let supply = w.chain.ask_raw(mute, Bytes::from_static(&hex!("18160ddd"))).await?;
        assert_eq!(supply, Ok(U256::from(1).to_be_bytes::<32>().into()));
        let channels = w.chain.deploy_channels(&w.contracts.channels, mute).await?;
        let create = raiden::create_channel(OWNER, Amount::new(100));
        passes.push(w.chain.send(w.payer.address(), Some(channels), create).await?.is_ok());
    }
    assert_eq!(passes, [true, false]);
    Ok(())
}
