//! What the contract for channels does, held against ours and against the original's bytecode: what it stores, logs,
//! answers and refuses, for every function and every rule of µRaiden 0.2.0.
//!
//! Each behaviour is one function over a [`world::World`], run once for ours and once for the original. On top of them,
//! [`lockstep`] sends the same random transactions to both and wants the same of both.

mod chain;
mod closing;
mod deploying;
mod differences;
mod lockstep;
mod opening;
mod reading;
mod test_token;
mod topping_up;
mod trusting;
mod withdrawing;
mod world;

/// Runs each behaviour against both contracts, as `behaviour::of_ours` and `behaviour::of_the_original`.
macro_rules! behaviours {
    ($($behaviour:ident),+ $(,)?) => {$(
        mod $behaviour {
            #[tokio::test]
            async fn of_ours() -> anyhow::Result<()> {
                super::$behaviour(&$crate::world::World::new($crate::chain::ours()).await?).await
            }

            #[tokio::test]
            async fn of_the_original() -> anyhow::Result<()> {
                super::$behaviour(&$crate::world::World::new($crate::chain::the_original()).await?).await
            }
        }
    )+};
}
pub(crate) use behaviours;
