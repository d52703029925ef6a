//! What to send next: mostly what may go through, at times what must not.

use alloy_primitives::aliases::U192;
use alloy_primitives::{Address, B256, Bytes, U256};
use channel::Key;
use contracts::raiden::{self, abi};
use contracts::{SolCall, token};
use rand::Rng;
use rand::seq::IndexedRandom;

use super::{Name, Pair, Step};
use crate::chain::OWNER;
use crate::world::{limit, n};

/// From here up, the kinds of steps are settlements.
const SETTLE: u32 = 14;

impl Pair {
    pub(super) fn step(&mut self) -> Step {
        let kind = self.random.random_range(0..16);
        let Name { sender, receiver, block } = match self.closing.last() {
            Some(&(name, _)) if kind >= SETTLE && self.random.random_ratio(3, 4) => name,
            _ => self.channel(),
        };
        let (sender, receiver) = (self.people[sender].clone(), self.people[receiver].clone());
        // One time in five, somebody else.
        let from = if self.random.random_ratio(1, 5) { self.person() } else { sender.address() };
        let amount = self.amount();

        let (_sender_address, _receiver_address, _open_block_number) = (sender.address(), receiver.address(), block);
        let (_deposit, _added_deposit, _balance) = (amount, amount, amount);
        let proof = raiden::balance_proof_digest(self.channels, receiver.address(), block, amount);
        let closing = raiden::closing_digest(self.channels, sender.address(), block, amount);
        let (_balance_msg_sig, _closing_sig) = (self.sign(&sender, proof), self.sign(&receiver, closing));
        match kind {
            0 | 1 => self.call(from, "createChannel", abi::createChannelCall { _receiver_address, _deposit }),
            2 => {
                let call = abi::createChannelDelegateCall { _sender_address, _receiver_address, _deposit };
                self.call(self.delegate, "createChannelDelegate", call)
            }
            3 => {
                let call = abi::topUpCall { _receiver_address, _open_block_number, _added_deposit };
                self.call(from, "topUp", call)
            }
            4 => {
                let call =
                    abi::topUpDelegateCall { _sender_address, _receiver_address, _open_block_number, _added_deposit };
                self.call(self.delegate, "topUpDelegate", call)
            }
            5 | 6 => self.transfer(from, &sender, &receiver, block, amount),
            7..=9 => {
                let call = abi::withdrawCall { _open_block_number, _balance, _balance_msg_sig };
                self.call(receiver.address(), "withdraw", call)
            }
            10 | 11 => {
                let call = abi::cooperativeCloseCall {
                    _receiver_address,
                    _open_block_number,
                    _balance,
                    _balance_msg_sig,
                    _closing_sig,
                };
                self.call(from, "cooperativeClose", call)
            }
            12 => {
                let call = abi::uncooperativeCloseCall { _receiver_address, _open_block_number, _balance };
                self.call(from, "uncooperativeClose", call)
            }
            13 => self.trust(),
            SETTLE.. => self.call(from, "settle", abi::settleCall { _receiver_address, _open_block_number }),
        }
    }

    fn call<C: SolCall>(&self, from: Address, name: &'static str, call: C) -> Step {
        Step { name, from, to: self.channels, data: call.abi_encode().into() }
    }

    /// An ERC-223 transfer that opens or tops up.
    fn transfer(&mut self, from: Address, sender: &Key, receiver: &Key, block: u32, amount: U192) -> Step {
        let mut data = raiden::open_data(sender.address(), receiver.address()).to_vec();
        if self.random.random() {
            data.extend(block.to_be_bytes());
        }
        if self.random.random_ratio(1, 10) {
            data.pop();
        }
        let from = if self.random.random_ratio(1, 4) { self.delegate } else { from };
        let data = token::transfer_with_data(self.channels, U256::from(amount), data.into());
        Step { name: "tokenFallback", from, to: self.token, data }
    }

    fn trust(&mut self) -> Step {
        let _trusted_contracts = vec![self.delegate, self.person()];
        let from = if self.random.random_ratio(1, 4) { self.person() } else { OWNER };
        if self.random.random_ratio(3, 4) {
            self.call(from, "trust", abi::addTrustedContractsCall { _trusted_contracts })
        } else {
            self.call(from, "trust", abi::removeTrustedContractsCall { _trusted_contracts })
        }
    }

    /// A channel that was opened some time, rather a young one; now and then one that never was.
    pub(super) fn channel(&mut self) -> Name {
        let young = &self.opened[self.opened.len().saturating_sub(6)..];
        match young.choose(&mut self.random) {
            Some(&name) if self.random.random_ratio(14, 15) => name,
            _ => Name {
                sender: self.random.random_range(0..3),
                receiver: self.random.random_range(0..3),
                block: self.random.random_range(0..3_000),
            },
        }
    }

    fn person(&mut self) -> Address {
        self.people.choose(&mut self.random).expect("there are three people").address()
    }

    /// Small amounts, so that they meet; at times one at an edge.
    fn amount(&mut self) -> U192 {
        match self.random.random_range(0..24) {
            0 => limit(),
            1 => limit() + n(1),
            2 => U192::MAX,
            3 => n(0),
            _ => n(self.random.random_range(1..60)),
        }
    }

    /// Mostly a good signature, in either form of v; at times a spoilt one.
    fn sign(&mut self, key: &Key, digest: B256) -> Bytes {
        let mut bytes = key.sign(digest).as_bytes().to_vec();
        match self.random.random_range(0..20) {
            0 => bytes[64] = self.random.random(),
            1 => bytes.truncate(64),
            2 => bytes[40] ^= 1,
            3..=9 => bytes[64] -= 27,
            _ => {}
        }
        bytes.into()
    }
}
