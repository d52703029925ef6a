use alloy_primitives::{Address, Bytes, U256};
use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use contracts::raiden::abi;
use contracts::{SolCall, artifacts};
use evm::{EvmError, Rpc};
use serde_json::json;

use crate::payer_arguments::PayerArguments;
use crate::report::{Code, Report};

/// `sluice contract`.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Deploy a channel contract, and a test token unless one is named.
    #[command(after_help = "\
Examples:
  sluice contract deploy --challenge-period 500                        with a new test token
  sluice contract deploy --challenge-period 5000 --token 0x…           for an existing token
  sluice contract deploy --unless 0x…                                  nothing, if that contract is there already")]
    Deploy(Deploy),
    /// Check a channel contract: its code, version, token and challenge period.
    #[command(after_help = "Example:\n  sluice contract check 0x… --token 0x… --challenge-period 500")]
    Check(Check),
}

#[derive(Args)]
pub(crate) struct Deploy {
    /// Blocks in which a receiver may answer a payer who closes alone; at least 500.
    #[arg(long, value_name = "BLOCKS", default_value_t = 500, value_parser = clap::value_parser!(u32).range(500..))]
    challenge_period: u32,
    /// The token that channels are in.
    #[arg(long, value_name = "ADDRESS")]
    token: Option<Address>,
    /// How much of a new test token the deployer gets, in base units.
    #[arg(long, value_name = "AMOUNT", default_value = "1000000000000000000000000", conflicts_with = "token")]
    supply: U256,
    /// Deploy nothing if there is this contract: a set-up that may be run again and again.
    #[arg(long, value_name = "ADDRESS")]
    unless: Option<Address>,
    #[command(flatten)]
    payer: PayerArguments,
}

#[derive(Args)]
pub(crate) struct Check {
    /// The contract.
    contract: Address,
    /// The token it must have.
    #[arg(long, value_name = "ADDRESS")]
    token: Option<Address>,
    /// The challenge period it must have.
    #[arg(long, value_name = "BLOCKS")]
    challenge_period: Option<u32>,
    #[command(flatten)]
    payer: PayerArguments,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Report> {
    match command {
        Command::Deploy(deploy) => deploy.run().await,
        Command::Check(check) => check.run().await,
    }
}

impl Deploy {
    async fn run(self) -> anyhow::Result<Report> {
        if let Some(contract) = self.unless
            && !self.payer.rpc()?.code(contract).await?.is_empty()
        {
            return Ok(Report::new(format!("contract  {contract}\nis there already"), json!({ "contract": contract })));
        }
        let account = self.payer.account()?;
        let token = match self.token {
            Some(token) => token,
            None => {
                let arguments = artifacts::token_arguments(self.supply, "Test Token", "TEST", 0);
                let code = artifacts::TEST_TOKEN.deploy(&arguments);
                account.deploy(code).await.context("cannot deploy the token")?.0
            }
        };
        let arguments = artifacts::channels_arguments(token, self.challenge_period, &[]);
        let code = artifacts::CHANNELS.deploy(&arguments);
        let (contract, receipt) = account.deploy(code).await.context("cannot deploy the channel contract")?;
        let block = receipt.block.number;
        let text = format!("contract  {contract}\ntoken     {token}\nblock     {block}");
        let json = json!({
            "contract": contract, "token": token, "block": block, "challenge_period": self.challenge_period,
            "deployer": account.address(),
        });
        Ok(Report::new(text, json))
    }
}

/// What a contract says of itself.
struct Facts {
    version: String,
    owner: Address,
    token: Address,
    challenge_period: u32,
}

impl Check {
    async fn run(self) -> anyhow::Result<Report> {
        let rpc = self.payer.rpc()?;
        let code = rpc.code(self.contract).await?;
        if code.is_empty() {
            return Err(anyhow!("there is no contract at {}", self.contract));
        }
        let facts = Facts::of(&rpc, self.contract).await?;
        let ours = is_ours(&code, &facts);
        let token_code = rpc.code(facts.token).await?;
        let mut problems = Vec::new();
        if facts.version != "0.2.0" {
            problems.push(format!("its version is {:?}, only 0.2.0 is known", facts.version));
        }
        if token_code.is_empty() {
            problems.push(format!("there is no token at {}", facts.token));
        }
        if let Some(token) = self.token.filter(|token| *token != facts.token) {
            problems.push(format!("its token is {}, not {token}", facts.token));
        }
        if let Some(period) = self.challenge_period.filter(|period| *period != facts.challenge_period) {
            problems.push(format!("its challenge period is {} blocks, not {period}", facts.challenge_period));
        }
        let json = json!({
            "contract": self.contract, "version": facts.version, "token": facts.token, "owner": facts.owner,
            "challenge_period": facts.challenge_period, "code_is_ours": ours, "problems": problems,
        });
        let code_line = match ours {
            true => "the one compiled from this repository",
            false => "another one; it has the getters of µRaiden, the rest was not checked",
        };
        let mut text = format!(
            "contract          {}\ncode              {code_line}\nversion           {}\ntoken             {}\n\
             challenge period  {} blocks\nowner             {}",
            self.contract, facts.version, facts.token, facts.challenge_period, facts.owner
        );
        for problem in &problems {
            text += &format!("\nproblem: {problem}");
        }
        let code = if problems.is_empty() { Code::Done } else { Code::Failed };
        Ok(Report { code, ..Report::new(text, json) })
    }
}

impl Facts {
    async fn of(rpc: &Rpc, contract: Address) -> anyhow::Result<Facts> {
        Ok(Facts {
            version: get(rpc, contract, abi::versionCall {}).await?,
            owner: get(rpc, contract, abi::owner_addressCall {}).await?,
            token: get(rpc, contract, abi::tokenCall {}).await?,
            challenge_period: get(rpc, contract, abi::challenge_periodCall {}).await?,
        })
    }
}

async fn get<C: SolCall>(rpc: &Rpc, contract: Address, call: C) -> anyhow::Result<C::Return> {
    let no = || format!("{contract} does not answer {} as a channel contract does", C::SIGNATURE);
    let answer = match rpc.call(contract, Bytes::from(call.abi_encode())).await {
        Err(error @ EvmError::Revert { .. }) => return Err(error).with_context(no),
        other => other?,
    };
    C::abi_decode_returns_validate(&answer).with_context(no)
}

/// True for the code compiled from this repository: it may differ only where the constructor put what it was told.
fn is_ours(code: &[u8], facts: &Facts) -> bool {
    const PUSH32: u8 = 0x7f;
    let ours = &artifacts::CHANNELS.runtime;
    let words = [facts.owner.into_word(), facts.token.into_word(), U256::from(facts.challenge_period).into()];
    let mut at = 0;
    while at < ours.len().min(code.len()) {
        let hole = ours[at] == PUSH32 && ours.get(at + 1..at + 33).is_some_and(|word| word.iter().all(|b| *b == 0));
        let filled = code.get(at + 1..at + 33).is_some_and(|word| words.iter().any(|w| w.as_slice() == word));
        if ours[at] != code[at] {
            return false;
        }
        at += if hole && filled { 33 } else { 1 };
    }
    ours.len() == code.len()
}
