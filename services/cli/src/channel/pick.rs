use payer::{ChannelKey, Payer};

use crate::report::Usage;

/// The channel that a word names: in full, or by its open block if only one of the remembered has it.
pub(crate) async fn pick(payer: &Payer, word: &str) -> anyhow::Result<ChannelKey> {
    let Ok(block) = word.parse::<u32>() else {
        return Ok(word.parse().map_err(Usage)?);
    };
    let channels = payer.channels().await;
    let mut fitting = channels.iter().map(|channel| channel.key).filter(|key| key.open_block == block);
    match (fitting.next(), fitting.next()) {
        (Some(key), None) => Ok(key),
        (None, _) => {
            Err(Usage(format!("no remembered channel was opened in block {block}; see `sluice channel list`")).into())
        }
        (Some(_), Some(_)) => Err(Usage(format!(
            "several channels were opened in block {block}: name it in full, as `sluice channel list` does"
        ))
        .into()),
    }
}
