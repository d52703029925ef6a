// What the seller is asked, and what this browser remembers between two pages.

const CONFIRMED_WITHIN_S = 900;
const LOOKED_AT = 20; // channels
const COOKIES = ['RDN-Sender-Address', 'RDN-Open-Block', 'RDN-Sender-Balance', 'RDN-Balance-Signature'];
const FAILURES = ['RDN-Nonexisting-Channel', 'RDN-Insufficient-Confirmations', 'RDN-Invalid-Balance-Proof', 'RDN-Invalid-Amount'];

const attributes = '; Path=/; SameSite=Lax' + (location.protocol === 'https:' ? '; Secure' : '');
const setCookie = (name, value) => { document.cookie = `${name}=${value}${attributes}`; };
const dropCookies = (names) => names.forEach((name) => { document.cookie = `${name}=; Max-Age=0${attributes}`; });
const cookie = (name) => document.cookie.split('; ').find((pair) => pair.startsWith(name + '='))?.slice(name.length + 1);

// Amounts outgrow JavaScript's numbers: they are read as text.
const exact = (json) => JSON.parse(json.replace(/:\s*(\d+)(?=\s*[,}])/g, ':"$1"'));

class Seller {
  constructor(terms, account) {
    this.terms = terms;
    this.account = account;
    this.key = ['sluice', terms.chain_id, terms.contract, terms.payee, account].join(':').toLowerCase();
  }

  // The channel that this browser opened or paid from: its block, the highest balance that was signed here, and the final
  // balance once the seller agreed to close.
  remembered() {
    const { block, signed, final } = JSON.parse(localStorage.getItem(this.key) ?? '{}');
    return block ? { block, signed: BigInt(signed), final: final && BigInt(final) } : null;
  }

  remember(block, signed, final) {
    localStorage.setItem(this.key, JSON.stringify({ block, signed: String(signed), final: final?.toString() }));
  }

  forget() {
    localStorage.removeItem(this.key);
    dropCookies(COOKIES);
  }

  async ask(path, options = {}) {
    // Without cookies: a voucher belongs to what it pays for.
    const url = `${this.terms.gateway}/channels/${this.account}${path}`;
    const answer = await fetch(url, { ...options, credentials: 'omit', cache: 'no-store' }).catch(() => {
      throw new Error('The seller cannot be reached. Try again in a moment.');
    });
    const text = await answer.text();
    let body = null;
    try { body = exact(text); } catch { /* not JSON: the status says enough */ }
    return { isOk: answer.ok, status: answer.status, body };
  }

  // An open channel as the seller has it, or null while its deposit is not confirmed.
  async channel(block) {
    const { isOk, status, body } = await this.ask(`/${block}`);
    if (!isOk && status !== 404) throw new Error(`The seller does not answer (${status}).`);
    if (!isOk || body.state !== '0') return null;
    return { block, deposit: BigInt(body.deposit), balance: BigInt(body.balance) };
  }

  // The open channel with most left. The seller's list may be some seconds old.
  async bestChannel() {
    const { isOk, status, body } = await this.ask(`?status=open&deployment=${encodeURIComponent(this.terms.deployment)}`);
    if (!isOk || !Array.isArray(body)) throw new Error(`The seller does not answer (${status}).`);
    const blocks = new Set([this.remembered()?.block, ...body.map((channel) => Number(channel.open_block))]);
    blocks.delete(undefined);
    const channels = await Promise.all([...blocks].slice(0, LOOKED_AT).map((block) => this.channel(block)));
    const left = (channel) => channel.deposit - channel.balance;
    return channels.filter(Boolean).reduce((best, one) => (best && left(best) >= left(one) ? best : one), null);
  }

  // Waits until the seller counts at least so much of a channel's deposit.
  async counts(block, deposit, progress) {
    for (let second = 0; second < CONFIRMED_WITHIN_S; second += 2) {
      const found = await this.channel(block);
      if (found && found.deposit >= deposit) return;
      await progress();
      await sleep(2);
    }
    throw new Error('The deposit is still not confirmed. Load this page again later.');
  }

  // The seller's signature under the end of a channel.
  async agrees(block, balance) {
    const options = { method: 'DELETE', headers: { 'Content-Type': 'application/json' }, body: `{"balance": ${balance}}` };
    const { isOk, body } = await this.ask(`/${block}`, options);
    if (isOk && body?.close_signature) return body.close_signature;
    const reason = typeof body === 'string' ? body : body?.message ?? 'no reason given';
    throw new Error(`The seller does not sign the close now (${reason}). Try again later; "sluice channel close" can also close a channel without the seller.`);
  }

  // Puts a payment where the next request takes it along.
  hand(block, balance, signature) {
    this.remember(block, balance);
    const values = [this.account, block, balance, signature];
    COOKIES.forEach((name, index) => setCookie(name, values[index]));
  }
}
