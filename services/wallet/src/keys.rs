use anyhow::{Context, bail, ensure};
use channel::{Amount, Channel, Key, Policy, Signature};
use contracts::{Contract, Deployment, Opening};
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};
use runtime::Config;

/// A deployment, and the key of its payee.
pub(crate) struct Purse {
    pub(crate) deployment: Deployment,
    pub(crate) key: Key,
    /// When money is taken on chain.
    pub(crate) policy: Policy,
}

impl Purse {
    /// What the deployment's contract speaks.
    pub(crate) fn contract(&self) -> &'static dyn Contract {
        self.deployment.kind.contract()
    }

    /// Our signature under closing `channel` at `amount`. The same every time: it is deterministic.
    pub(crate) fn closing_signature(&self, channel: &Channel, amount: Amount) -> Signature {
        self.key.sign(self.contract().closing_digest(&self.deployment, &Opening::from(channel), amount))
    }
}

/// Reads the key of every deployment's payee.
///
/// # Errors
/// When one is missing, readable by others, or another account's.
pub(crate) fn load(config: &Config) -> anyhow::Result<Vec<Purse>> {
    config.contract_deployments().into_iter().map(|deployment| purse(config, deployment)).collect()
}

fn purse(config: &Config, deployment: Deployment) -> anyhow::Result<Purse> {
    let name = &deployment.name;
    let Some(file) = config.wallet.key_of(name) else {
        bail!("deployments.{name}: there is no key for its payee; set wallet.key_file or wallet.keys.{name}.key_file")
    };
    let key = evm::keyfile::load(&file.key_file, file.password_file.as_deref())
        .with_context(|| format!("deployments.{name}: its payee's key cannot be used"))?;
    ensure!(
        key.address() == deployment.payee,
        "deployments.{name}: its payee is {}, but the key in {} is that of {}",
        deployment.payee,
        file.key_file.display(),
        key.address()
    );
    let policy = config.deployments[name].policy();
    Ok(Purse { deployment, key, policy })
}

/// Keeps what is in memory out of core dumps and other processes' hands.
///
/// # Errors
/// When the operating system does not go along.
pub(crate) fn guard_memory() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    set_dumpable(false)
}
