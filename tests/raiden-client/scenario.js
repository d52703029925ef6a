// What the original client for JavaScript does beyond docs/paying.md: `node scenario.js NODE KEY_FILE URL`, with its wallet.js.
// It loses its state, learns from the server what it paid, pays on, and closes alone. Prints one JSON object.
const { BigNumber, MicroRaiden } = require('@raiden_network/microraiden');
const wallet = require('./wallet');

const [rpc, keyFile, url] = process.argv.slice(2);
console.log = () => {};
const said = { statuses: [] };

async function main() {
  const offer = (await fetch(url)).headers;
  const price = Number(offer.get('RDN-Price'));
  const receiver = offer.get('RDN-Receiver-Address').toLowerCase();
  const api = new URL(offer.get('RDN-Gateway-Path'), url).href;
  const { manager_abi, token_abi } = await (await fetch(`${api}/stats`)).json();
  const client = () => new MicroRaiden({ currentProvider: wallet(rpc, keyFile) },
    offer.get('RDN-Contract-Address'), manager_abi, offer.get('RDN-Token-Address'), token_abi);

  const first = client();
  const [account] = await first.getAccounts();
  await first.openChannel(account, receiver, 5 * price);
  await paid(first, account, price);
  await paid(first, account, price);

  const second = client();
  said.stored = second.loadStoredChannel(account, receiver);
  await second.loadChannelFromBlockchain(account, receiver);
  said.found = second.channel.block === first.channel.block;
  const refused = await attempt(second, account, await second.incrementBalanceAndSign(price));
  const [balance, sig] = ['RDN-Sender-Balance', 'RDN-Balance-Signature'].map((name) => refused.headers.get(name));
  said.refused = [refused.status, refused.headers.has('RDN-Invalid-Amount'), balance];
  said.lie = second.verifyProof({ balance: new BigNumber(balance).plus(1), sig });
  said.verified = second.verifyProof({ balance: new BigNumber(balance), sig });
  await paid(second, account, price);

  await second.closeChannel();
  const info = await second.getChannelInfo();
  said.closed = [info.state, info.deposit.toNumber(), second.channel.proof.balance.toNumber()];
  process.stdout.write(JSON.stringify(said));
}

async function paid(client, account, price) {
  const proof = await client.incrementBalanceAndSign(price);
  for (let tries = 0; tries < 60; tries++) {
    const answer = await attempt(client, account, proof);
    said.statuses.push(answer.status);
    if (answer.status === 200) return client.confirmPayment(proof);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error('the server does not take the payment');
}

function attempt(client, account, proof) {
  const headers = {
    'RDN-Sender-Address': account,
    'RDN-Open-Block': String(client.channel.block),
    'RDN-Balance': proof.balance.toString(),
    'RDN-Balance-Signature': proof.sig,
  };
  return fetch(url, { headers });
}

main().catch((error) => { console.error(error); process.exit(1); });
