//! Who pays, on which chain, and how much: options, environment, then a file.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use ::channel::{Amount, Key};
use alloy_primitives::Address;
use anyhow::Context;
use clap::Args;
use figment::Figment;
use figment::providers::{Format, Toml};
use payer::{Allowed, Deposits, Funding, Limits, Payer, Settings};
use serde::Deserialize;

use crate::report::Usage;

/// The payer; every option overrides the file.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Payer")]
pub(crate) struct PayerArguments {
    /// A TOML file with these settings: rpc, chain_id, key_file, password_file, state, from_block, funding, and the tables limits and deposits.
    #[arg(long, env = "SLUICE_PAYER", value_name = "FILE")]
    payer: Option<PathBuf>,
    /// A JSON-RPC node of the chain.
    #[arg(long, env = "SLUICE_RPC", hide_env_values = true, value_name = "URL")]
    rpc: Option<String>,
    /// The chain's id; the node must serve it.
    #[arg(long, env = "SLUICE_CHAIN_ID", value_name = "ID")]
    chain_id: Option<u64>,
    /// The payer's key: a keystore or raw hex, mode 0600.
    #[arg(long, env = "SLUICE_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The keystore's password, mode 0600.
    #[arg(long, env = "SLUICE_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Where channels are remembered [default: ~/.local/state/sluice].
    #[arg(long, env = "SLUICE_STATE", value_name = "DIR")]
    state: Option<PathBuf>,
    /// The block from which to look for channels.
    #[arg(long, value_name = "BLOCK")]
    from_block: Option<u64>,
    /// How deposits are made: `erc20` (approve, then open) or `erc223` (one transfer with data).
    #[arg(long, value_name = "WAY", value_parser = parse_funding)]
    funding: Option<Funding>,
}

/// What may be paid without asking; every option overrides the file.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Limits (amounts in base units of the token; over a limit nothing is paid)")]
pub(crate) struct LimitArguments {
    /// The most the request may cost, redirects included.
    #[arg(long, value_name = "AMOUNT")]
    max_price: Option<Amount>,
    /// The most that may be deposited in one channel.
    #[arg(long, value_name = "AMOUNT")]
    max_deposit: Option<Amount>,
    /// The most that all requests of a day (UTC) may cost.
    #[arg(long, value_name = "AMOUNT")]
    max_per_day: Option<Amount>,
    /// The most that all requests of a day (UTC) to one host may cost.
    #[arg(long, value_name = "AMOUNT")]
    max_per_host_per_day: Option<Amount>,
    /// The most that may be added to channels in a day (UTC), once they are open.
    #[arg(long, value_name = "AMOUNT")]
    max_top_ups_per_day: Option<Amount>,
    /// How many channels may be opened in a day.
    #[arg(long, value_name = "N")]
    max_opens_per_day: Option<u32>,
    /// The most gas one transaction may cost, in wei.
    #[arg(long, value_name = "WEI")]
    max_gas_wei: Option<u64>,
    /// A contract that may get money, or `any`. Repeatable.
    #[arg(long, value_name = "ADDRESS")]
    contract: Vec<String>,
    /// A token that may be paid with; any by default. Repeatable.
    #[arg(long, value_name = "ADDRESS")]
    token: Vec<String>,
    /// A host that may be paid, also where a redirect leads; any but the latter by default. Repeatable.
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// How much to open a channel with [default: ten times the price].
    #[arg(long, value_name = "AMOUNT")]
    deposit: Option<Amount>,
    /// How much to top a channel up with [default: five times the price].
    #[arg(long, value_name = "AMOUNT")]
    top_up: Option<Amount>,
    /// Top a channel up already when it has less left than this [default: when it lacks the price].
    #[arg(long, value_name = "AMOUNT")]
    threshold: Option<Amount>,
}

/// A payer's file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PayerFile {
    rpc: Option<String>,
    chain_id: Option<u64>,
    key_file: Option<PathBuf>,
    password_file: Option<PathBuf>,
    state: Option<PathBuf>,
    from_block: Option<u64>,
    funding: Option<Funding>,
    limits: Limits,
    deposits: Deposits,
}

impl PayerArguments {
    /// Opens the payer's memory; nothing is asked of anybody yet.
    pub(crate) async fn payer(
        &self,
        limits: &LimitArguments,
        change: impl FnOnce(&mut Settings),
    ) -> anyhow::Result<Payer> {
        let file = self.file()?;
        let key = self.key_from(&file)?;
        let mut settings = self.settings(file)?;
        limits.apply(&mut settings)?;
        change(&mut settings);
        Ok(Payer::new(settings, key).await?)
    }

    /// A payer that acts only when told to.
    pub(crate) async fn careful_payer(&self) -> anyhow::Result<Payer> {
        self.payer(&LimitArguments::default(), |_| {}).await
    }

    /// Whether a key is named.
    pub(crate) fn has_key(&self) -> anyhow::Result<bool> {
        Ok(self.key_file.is_some() || self.file()?.key_file.is_some())
    }

    /// An account for transactions that are no payments.
    pub(crate) fn account(&self) -> anyhow::Result<evm::Account> {
        let file = self.file()?;
        let key = self.key_from(&file)?;
        let settings = self.settings(file)?;
        let rpc = evm::Rpc::new(&settings.rpc_url, settings.chain_id, settings.patience.rpc)?;
        Ok(evm::Account::new(rpc, key))
    }

    /// A node, for who needs no key.
    pub(crate) fn rpc(&self) -> anyhow::Result<evm::Rpc> {
        let settings = self.settings(self.file()?)?;
        Ok(evm::Rpc::new(&settings.rpc_url, settings.chain_id, settings.patience.rpc)?)
    }

    /// The contracts that the file allows.
    pub(crate) fn allowed_contracts(&self) -> anyhow::Result<Vec<Address>> {
        match self.file()?.limits.contracts {
            Allowed::Any => Ok(Vec::new()),
            Allowed::These(contracts) => Ok(contracts),
        }
    }

    fn file(&self) -> anyhow::Result<PayerFile> {
        let Some(path) = &self.payer else { return Ok(PayerFile::default()) };
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut file: PayerFile = Figment::from(Toml::string(&text)).extract().map_err(|error| {
            let key = error.path.join(".");
            Usage(format!("{}: {key}: {}", path.display(), error.kind))
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for path in [&mut file.key_file, &mut file.password_file, &mut file.state].into_iter().flatten() {
            *path = folder.join(&path);
        }
        Ok(file)
    }

    fn key_from(&self, file: &PayerFile) -> anyhow::Result<Key> {
        let path = self.key_file.as_ref().or(file.key_file.as_ref());
        let path = path.ok_or_else(|| missing("key", "--key-file", "SLUICE_KEY_FILE", "`sluice key new` makes one"))?;
        let password = self.password_file.as_deref().or(file.password_file.as_deref());
        Ok(evm::keyfile::load(path, password)?)
    }

    fn settings(&self, file: PayerFile) -> anyhow::Result<Settings> {
        let rpc = self.rpc.clone().or(file.rpc);
        let rpc = rpc.ok_or_else(|| missing("node", "--rpc", "SLUICE_RPC", "such as http://127.0.0.1:8545"))?;
        let chain_id = self.chain_id.or(file.chain_id);
        let chain_id =
            chain_id.ok_or_else(|| missing("chain id", "--chain-id", "SLUICE_CHAIN_ID", "such as 1 for mainnet"))?;
        let state = match self.state.clone().or(file.state) {
            Some(state) => state,
            None => default_state()?,
        };
        let mut settings = Settings::new(rpc, chain_id, state);
        settings.from_block = self.from_block.or(file.from_block).unwrap_or_default();
        settings.funding = self.funding.or(file.funding).unwrap_or_default();
        settings.limits = file.limits;
        settings.deposits = file.deposits;
        Ok(settings)
    }
}

impl LimitArguments {
    fn apply(&self, settings: &mut Settings) -> anyhow::Result<()> {
        let limits = &mut settings.limits;
        limits.max_price = self.max_price.unwrap_or(limits.max_price);
        limits.max_deposit = self.max_deposit.unwrap_or(limits.max_deposit);
        limits.max_per_day = self.max_per_day.or(limits.max_per_day);
        limits.max_per_host_per_day = self.max_per_host_per_day.or(limits.max_per_host_per_day);
        limits.max_top_ups_per_day = self.max_top_ups_per_day.or(limits.max_top_ups_per_day);
        limits.max_opens_per_day = self.max_opens_per_day.unwrap_or(limits.max_opens_per_day);
        limits.max_gas_wei = self.max_gas_wei.or(limits.max_gas_wei);
        allow(&mut limits.contracts, &self.contract, "--contract")?;
        allow(&mut limits.tokens, &self.token, "--token")?;
        allow(&mut limits.hosts, &self.host, "--host")?;
        settings.deposits.open = self.deposit.or(settings.deposits.open);
        settings.deposits.top_up = self.top_up.or(settings.deposits.top_up);
        settings.deposits.threshold = self.threshold.or(settings.deposits.threshold);
        Ok(())
    }
}

fn allow<T: FromStr>(allowed: &mut Allowed<T>, words: &[String], option: &str) -> anyhow::Result<()> {
    if words.is_empty() {
        return Ok(());
    }
    if words.iter().any(|word| word == "any") {
        *allowed = Allowed::Any;
        return Ok(());
    }
    let parse = |word: &String| word.parse().map_err(|_| Usage(format!("{option} {word:?} makes no sense")));
    *allowed = Allowed::These(words.iter().map(parse).collect::<Result<_, _>>()?);
    Ok(())
}

fn missing(what: &str, option: &str, variable: &str, hint: &str) -> Usage {
    let key = option.trim_start_matches('-').replace('-', "_");
    Usage(format!("no {what} is named: use {option}, {variable} or `{key}` in the payer file ({hint})"))
}

fn default_state() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state")));
    Ok(home.ok_or_else(|| missing("state directory", "--state", "SLUICE_STATE", "there is no HOME"))?.join("sluice"))
}

fn parse_funding(word: &str) -> Result<Funding, String> {
    match word {
        "erc20" => Ok(Funding::Erc20),
        "erc223" => Ok(Funding::Erc223),
        _ => Err("either erc20 or erc223".to_owned()),
    }
}
