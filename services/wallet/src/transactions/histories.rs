//! Random histories: the machine against a chain that reorganises, nodes that lie and forget, fees that jump, a stranger
//! with our key, a second wallet that acts on what it read long ago, and a process that dies at any moment.

mod chain;
mod journal;
mod wallet;

use std::time::Duration;

use ledger::Lane;
use proptest::prelude::*;

use super::machine::Policy;
use chain::{Chain, Lie};
use wallet::Wallet;

const GWEI: u128 = 1_000_000_000;
pub(super) const POLICY: Policy = Policy {
    noop_cap: 400 * GWEI,
    urgent_cap: 350 * GWEI,
    normal_cap: 300 * GWEI,
    bump_after: Duration::from_secs(30),
    resend_after: Duration::from_secs(15),
    confirmations: 3,
    unmined_max: 4,
};

#[derive(Clone, Debug)]
enum Event {
    /// Somebody wants something.
    Job(Lane),
    /// What the job with this number wants would fail from now on, or would no longer.
    Fails(usize, bool),
    /// An operator gives the job with this number up.
    GiveUp(usize),
    /// The wallet sends for jobs that need it; it dies after so many steps.
    Work(Option<u32>),
    /// The wallet looks after what it sent; likewise.
    Look(Option<u32>),
    /// Another wallet reads the ledger.
    Read,
    /// That wallet wakes up and acts on what it read.
    WakeUp,
    /// So many blocks.
    Mine(u64),
    Wait(u64),
    /// The last blocks are replaced; their transactions wait to be mined again, or are forgotten.
    Reorg(u64, bool),
    BaseFee(u128),
    /// The nodes forget the waiting transaction of this place.
    Drop(usize),
    /// A node remembers what it heard this many transactions ago, and the others take it from there.
    Resurface(usize),
    /// The nodes lie about what they are handed next.
    Lie(Lie),
    /// So many looks see no receipts.
    HideReceipts(u32),
    /// A transaction that we did not sign here, with our key.
    Stranger,
}

fn events(deepest_reorg: u64) -> impl Strategy<Value = Vec<Event>> {
    let lane = prop_oneof![Just(Lane::Urgent), Just(Lane::Normal)];
    let dies = prop_oneof![4 => Just(None), 1 => (0..4_u32).prop_map(Some)];
    let lie = prop_oneof![
        Just(Lie::Underpriced),
        Just(Lie::ReplacementUnderpriced),
        Just(Lie::NonceTooLow),
        Just(Lie::Refused),
        Just(Lie::Forgotten),
        any::<bool>().prop_map(|taken| Lie::Unsure { taken }),
    ];
    let event = prop_oneof![
        3 => lane.prop_map(Event::Job),
        1 => (0..8_usize, any::<bool>()).prop_map(|(job, fails)| Event::Fails(job, fails)),
        1 => (0..8_usize).prop_map(Event::GiveUp),
        6 => dies.clone().prop_map(Event::Work),
        12 => dies.prop_map(Event::Look),
        1 => Just(Event::Read),
        1 => Just(Event::WakeUp),
        6 => (1..6_u64).prop_map(Event::Mine),
        6 => (1..60_u64).prop_map(Event::Wait),
        2 => (1..=deepest_reorg, any::<bool>()).prop_map(|(depth, kept)| Event::Reorg(depth, kept)),
        2 => (1..2_000 * GWEI).prop_map(Event::BaseFee),
        1 => (0..4_usize).prop_map(Event::Drop),
        2 => (0..6_usize).prop_map(Event::Resurface),
        2 => lie.prop_map(Event::Lie),
        1 => (1..3_u32).prop_map(Event::HideReceipts),
        1 => Just(Event::Stranger),
    ];
    prop::collection::vec(event, 1..120)
}

fn happens(wallet: &mut Wallet, chain: &mut Chain, event: Event) {
    match event {
        Event::Job(lane) => wallet.journal.add_job(lane),
        Event::Fails(job, fails) => wallet.journal.set_failing(job, fails),
        Event::GiveUp(job) => wallet.journal.give_up(job),
        Event::Work(steps) => wallet.live(steps, |wallet| wallet.work(chain)),
        Event::Look(steps) => wallet.live(steps, |wallet| wallet.look(chain)),
        Event::Read => wallet.journal.read_for_later(chain.mined()),
        Event::WakeUp => wallet.live(None, |wallet| wallet.wake_up(chain)),
        Event::Mine(blocks) => (0..blocks).for_each(|_| chain.mine(&wallet.journal)),
        Event::Wait(seconds) => wallet.wait(seconds),
        Event::Reorg(depth, kept) => chain.reorg(depth, kept),
        Event::BaseFee(fee) => chain.base_fee = fee,
        Event::Drop(place) => chain.drop_waiting(place),
        Event::Resurface(ago) => chain.resurface(ago),
        Event::Lie(lie) => chain.lies.push_back(lie),
        Event::HideReceipts(looks) => wallet.hidden = looks,
        Event::Stranger => chain.stranger(),
    }
}

/// Everything goes well from now on.
fn heals(wallet: &mut Wallet, chain: &mut Chain) {
    (chain.base_fee, wallet.hidden) = (GWEI, 0);
    chain.lies.clear();
    wallet.journal.heal();
    for _ in 0..60 {
        wallet.wait(POLICY.bump_after.as_secs());
        wallet.live(None, |wallet| wallet.work(chain));
        wallet.live(None, |wallet| wallet.look(chain));
        chain.mine(&wallet.journal);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_job_is_done_at_most_once_no_gap_stays_and_no_cap_is_exceeded(
        events in events(POLICY.confirmations),
    ) {
        let (mut wallet, mut chain) = (Wallet::new(), Chain::new());
        for event in events {
            happens(&mut wallet, &mut chain, event);
            for (job, times) in chain.effects() {
                prop_assert!(times <= 1, "job {job:?} was done {times} times");
            }
            wallet.journal.check_fees()?;
        }
        heals(&mut wallet, &mut chain);
        let line = wallet.journal.nonces_from(chain.mined());
        prop_assert!(line.is_empty(), "these nonces are still free: {line:?}");
        for (job, given_up) in wallet.journal.jobs() {
            let times = chain.effects().get(&job).copied().unwrap_or_default();
            prop_assert!(times == 1 || (times == 0 && given_up), "job {job:?} was done {times} times");
        }
    }

    #[test]
    fn a_reorganisation_deeper_than_we_reckon_with_leaves_nothing_stuck_either(
        events in events(POLICY.confirmations * 4),
    ) {
        let (mut wallet, mut chain) = (Wallet::new(), Chain::new());
        for event in events {
            let is_deep = matches!(event, Event::Reorg(depth, _) if depth > POLICY.confirmations);
            happens(&mut wallet, &mut chain, event);
            if is_deep {
                // Nobody overlooks it.
                happens(&mut wallet, &mut chain, Event::Look(None));
            }
        }
        wallet.journal.check_fees()?;
        heals(&mut wallet, &mut chain);
        let line = wallet.journal.nonces_from(chain.mined());
        prop_assert!(line.is_empty(), "these nonces are still free: {line:?}");
        for (job, given_up) in wallet.journal.jobs() {
            prop_assert!(given_up || chain.effects().contains_key(&job), "job {job:?} was not done");
        }
    }
}
