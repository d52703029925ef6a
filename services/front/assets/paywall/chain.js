// What the wallet is asked: calls, transactions and signatures of the channel contract and the token.

const SELECTOR = {
  balanceOf: '0x70a08231', allowance: '0xdd62ed3e', approve: '0x095ea7b3',
  createChannel: '0xa6d15963', topUp: '0x016a8cf6', cooperativeClose: '0x1c6f609b',
  getChannelInfo: '0x0eba6b06', extractBalanceProofSignature: '0x1ac25e99',
};
const TRANSFER = '0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef';
const MINED_WITHIN_S = 600;

const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const isSame = (one, other) => one?.toLowerCase() === other?.toLowerCase();

const word = (value) => BigInt(value).toString(16).padStart(64, '0');
const wordOf = (data, index) => BigInt('0x' + data.slice(2 + 64 * index, 66 + 64 * index));
// A signature of 65 bytes, as the ABI writes `bytes`: its length, and itself in three words.
const signatureWords = (signature) => word(65) + signature.slice(2).padEnd(192, '0');
const SIGNATURE_BYTES = 32 + 96;

function encode(name, words, signatures = []) {
  const head = 32 * (words.length + signatures.length);
  const offsets = signatures.map((_, index) => word(head + SIGNATURE_BYTES * index));
  return SELECTOR[name] + words.map(word).join('') + offsets.join('') + signatures.map(signatureWords).join('');
}

class Chain {
  constructor(provider, account, terms) {
    Object.assign(this, { provider, account, terms });
  }

  ask(method, params = []) {
    return this.provider.request({ method, params });
  }

  async call(to, data) {
    return this.ask('eth_call', [{ to, data, from: this.account }, 'latest']);
  }

  async head() {
    return Number(await this.ask('eth_blockNumber'));
  }

  async tokens() {
    return wordOf(await this.call(this.terms.token, encode('balanceOf', [this.account])), 0);
  }

  // What the contract holds for a channel, or null if it knows no such channel.
  async channel(block) {
    const { contract, payee } = this.terms;
    try {
      const info = await this.call(contract, encode('getChannelInfo', [this.account, payee, block]));
      return info === '0x' ? null : { deposit: wordOf(info, 1), isClosing: wordOf(info, 2) !== 0n };
    } catch (error) {
      if (/revert/i.test(error?.message + JSON.stringify(error))) return null;
      throw error;
    }
  }

  // Sends a transaction and waits for it to be mined.
  async send(to, data) {
    const hash = await this.ask('eth_sendTransaction', [{ from: this.account, to, data }]);
    for (let second = 0; second < MINED_WITHIN_S; second += 1) {
      const receipt = await this.ask('eth_getTransactionReceipt', [hash]);
      if (receipt && receipt.status === '0x0') throw new Error(`The transaction failed on chain: ${hash}`);
      if (receipt) return receipt;
      await sleep(1);
    }
    throw new Error(`The transaction is still not mined: ${hash}. Load this page again later.`);
  }

  // Lets the contract take so much. Some tokens change an allowance only from or to zero.
  async approve(amount) {
    const { token, contract } = this.terms;
    const allowed = wordOf(await this.call(token, encode('allowance', [this.account, contract])), 0);
    if (allowed >= amount) return;
    if (allowed > 0n) await this.send(token, encode('approve', [contract, 0]));
    await this.send(token, encode('approve', [contract, amount]));
  }

  // The block in which the channel was opened, which is part of its name.
  async open(deposit) {
    const receipt = await this.send(this.terms.contract, encode('createChannel', [this.terms.payee, deposit]));
    return Number(receipt.blockNumber);
  }

  async topUp(block, added) {
    await this.send(this.terms.contract, encode('topUp', [this.terms.payee, block, added]));
  }

  // Ends a channel with both signatures; gives what came back.
  async close(block, balance, ours, theirs) {
    const { contract, payee, token } = this.terms;
    const receipt = await this.send(contract, encode('cooperativeClose', [payee, block, balance], [ours, theirs]));
    const toUs = (log) => isSame(log.address, token) && log.topics[0] === TRANSFER && BigInt(log.topics[2]) === BigInt(this.account);
    return receipt.logs.filter(toUs).reduce((sum, log) => sum + wordOf(log.data, 0), 0n);
  }

  // The payer's word that the payee may take `balance` of the channel in all. Costs no gas.
  async sign(block, balance) {
    const proof = [
      { type: 'string', name: 'message_id', value: 'Sender balance proof signature' },
      { type: 'address', name: 'receiver', value: this.terms.payee },
      { type: 'uint32', name: 'block_created', value: String(block) },
      { type: 'uint192', name: 'balance', value: String(balance) },
      { type: 'address', name: 'contract', value: this.terms.contract },
    ];
    const signature = await this.ask('eth_signTypedData', [proof, this.account]);
    if (await this.isOurs(block, balance, signature)) return signature;
    throw new Error('Your wallet signs in a form that the contract does not accept. It must support eth_signTypedData, version 1.');
  }

  async isOurs(block, balance, signature) {
    if (!/^0x[0-9a-f]{130}$/i.test(signature)) return false;
    try {
      const data = encode('extractBalanceProofSignature', [this.terms.payee, block, balance], [signature]);
      return wordOf(await this.call(this.terms.contract, data), 0) === BigInt(this.account);
    } catch {
      return false;
    }
  }
}
