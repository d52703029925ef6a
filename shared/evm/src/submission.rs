//! What nodes say to a transaction that they are handed. There is no standard; each has its own words.

use crate::{EvmError, Rpc};

/// What the nodes said to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submission {
    /// One took it, or had it already.
    Taken,
    /// None said anything that can be relied on: one may have taken it.
    Unsure(String),
    /// Its nonce is used up: it, or another one with its nonce, was mined.
    NonceTooLow,
    /// Another transaction with its nonce waits, and this one does not offer enough more.
    ReplacementUnderpriced,
    /// It offers less than the nodes ask for.
    Underpriced,
    /// The account cannot pay for it.
    Unfunded,
    /// None takes it, for another reason.
    Refused(String),
}

impl Rpc {
    /// Hands a signed transaction to every node that works, once. Handing in the same bytes again changes nothing.
    pub async fn submit(&self, raw: &[u8]) -> Submission {
        let answers =
            self.send_to_all(raw).await.into_iter().map(|answer| answer.map_or_else(read, |_| Submission::Taken));
        answers.min_by_key(rank).unwrap_or_else(|| Submission::Unsure("there is no node".to_owned()))
    }
}

/// What one node says is believed before what another says, in this order.
fn rank(submission: &Submission) -> u8 {
    match submission {
        Submission::Taken => 0,
        Submission::Unsure(_) => 1,
        Submission::NonceTooLow => 2,
        Submission::ReplacementUnderpriced => 3,
        Submission::Underpriced => 4,
        Submission::Unfunded => 5,
        Submission::Refused(_) => 6,
    }
}

fn read(error: EvmError) -> Submission {
    // Fragments, lower case, each with who says so; the first that fits counts.
    const WORDS: &[(&str, Submission)] = &[
        ("already known", Submission::Taken),                          // geth, reth, Erigon
        ("alreadyknown", Submission::Taken),                           // Nethermind
        ("already imported", Submission::Taken),                       // anvil, OpenEthereum
        ("alreadyimported", Submission::Taken),                        // Substrate
        ("known transaction", Submission::Taken),                      // Besu, older geth
        ("already exists", Submission::Taken),                         // zkSync
        ("already in mempool", Submission::Taken),                     // Cosmos
        ("existing tx with same hash", Submission::Taken),             // Erigon
        ("nonce too low", Submission::NonceTooLow),                    // geth, reth, anvil, Besu
        ("nonce is too low", Submission::NonceTooLow),                 // OpenEthereum
        ("oldnonce", Submission::NonceTooLow),                         // Nethermind
        ("invalid transaction nonce", Submission::NonceTooLow),        // Arbitrum
        ("pool(stale)", Submission::NonceTooLow),                      // Substrate
        ("already finalized", Submission::NonceTooLow),                // Harmony
        ("replacement", Submission::ReplacementUnderpriced),           // geth, reth, anvil, Besu
        ("replacementnotallowed", Submission::ReplacementUnderpriced), // Nethermind
        ("another transaction with same nonce", Submission::ReplacementUnderpriced), // OpenEthereum
        ("underpriced", Submission::Underpriced),                      // geth, reth, Erigon
        ("less than block base fee", Submission::Underpriced),         // geth, anvil
        ("feetoolow", Submission::Underpriced),                        // Nethermind
        ("fee too low", Submission::Underpriced),                      // Optimism
        ("price too low", Submission::Underpriced),                    // Arbitrum
        ("price is too low", Submission::Underpriced),                 // OpenEthereum
        ("below configured minimum", Submission::Underpriced),         // Besu
        ("insufficient", Submission::Unfunded),                        // geth, reth, anvil, OpenEthereum
        ("not enough funds", Submission::Unfunded),                    // Arbitrum
        ("upfront cost exceeds", Submission::Unfunded),                // Besu
    ];
    let text = error.to_string();
    if error.is_of_the_node() {
        return Submission::Unsure(text);
    }
    let lower = text.to_lowercase();
    let found = WORDS.iter().find(|(words, _)| lower.contains(words));
    found.map_or(Submission::Refused(text), |(_, submission)| submission.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str) -> Submission {
        read(EvmError::Rejected { code: -32000, message: message.to_owned() })
    }

    #[test]
    fn nodes_words_are_understood() {
        for (message, meaning) in [
            ("already known", Submission::Taken),
            ("transaction already imported", Submission::Taken),
            ("ALREADY_EXISTS: already known", Submission::Taken),
            ("Known transaction", Submission::Taken),
            ("nonce too low: next nonce 5, tx nonce 4", Submission::NonceTooLow),
            ("OldNonce, Current nonce: 7, nonce of rejected tx: 6", Submission::NonceTooLow),
            ("replacement transaction underpriced", Submission::ReplacementUnderpriced),
            ("ReplacementNotAllowed", Submission::ReplacementUnderpriced),
            ("transaction underpriced: tip needed 1000000000, tip permitted 1", Submission::Underpriced),
            ("max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1", Submission::Underpriced),
            ("FeeTooLowToCompete", Submission::Underpriced),
            ("insufficient funds for gas * price + value: balance 0", Submission::Unfunded),
            ("InsufficientFunds, Balance is 0", Submission::Unfunded),
        ] {
            assert_eq!(said(message), meaning, "{message}");
        }
        assert!(matches!(said("oversized data"), Submission::Refused(_)));
        assert!(matches!(read(EvmError::Transport("429".to_owned())), Submission::Unsure(_)));
    }

    #[test]
    fn one_node_that_takes_it_is_enough_and_doubt_comes_before_a_refusal() {
        let unsure = Submission::Unsure("cut".to_owned());
        let least = |answers: [&Submission; 2]| answers.into_iter().min_by_key(|answer| rank(answer)).cloned();
        assert_eq!(least([&Submission::NonceTooLow, &Submission::Taken]), Some(Submission::Taken));
        assert_eq!(least([&Submission::Underpriced, &unsure]), Some(unsure.clone()));
    }
}
