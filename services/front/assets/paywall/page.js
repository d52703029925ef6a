// What happens, and what the buttons do.

const RELOADS = 5;
const wallets = new Map();
let wallet = null;
let chain = null;
let seller = null;
let channel = null;
let tokens = 0n;
let unexplained = FAILURES.find((name) => answer[name.toLowerCase()]);

// Looks at wallet, chain and seller, and shows what can be done; true if that is to pay.
async function refresh() {
  channel = null;
  if (!wallets.size) return reveal('no-wallet');
  if (!chain) return reveal('connect');
  const chainId = Number(await chain.ask('eth_chainId'));
  $('their-chain').textContent = chainId;
  if (chainId !== terms.chain_id) return reveal('wrong-chain');
  const known = seller.remembered();
  const onChain = known && await chain.channel(known.block);
  if (known && !onChain) seller.forget();
  if (onChain && known.final !== undefined) return reveal('closing');
  // Opened here, but this page was left before the deposit was confirmed.
  if (onChain && !onChain.isClosing && !await seller.channel(known.block)) await confirmed(known.block, onChain.deposit);
  [tokens, channel] = await Promise.all([chain.tokens(), seller.bestChannel()]);
  if (channel) await weigh(channel);
  draw(channel, tokens);
  return true;
}

// How much of a channel is owed. To sign above what the seller says is never needed, and to sign above what was signed
// before only with our own signature in view.
async function weigh(channel) {
  const known = seller.remembered();
  const signed = known?.block === channel.block ? known.signed : 0n;
  const shown = BigInt(answer['rdn-sender-balance'] ?? 0);
  const isItsOwn = isSame(answer['rdn-sender-address'], seller.account) && Number(cookie('RDN-Open-Block')) === channel.block;
  const isProven = isItsOwn && await chain.isOurs(channel.block, shown, answer['rdn-balance-signature']);
  channel.owed = channel.balance < signed ? channel.balance : signed;
  if (isProven && channel.owed < shown) channel.owed = shown;
  channel.isProven = channel.balance <= channel.owed;
  channel.isLie = isItsOwn && !isProven && shown > channel.owed;
  channel.final = channel.isLie ? channel.owed : channel.balance;
  channel.isToppedUp = ((await chain.channel(channel.block))?.deposit ?? 0n) > channel.deposit;
}

// What became of the payment that this page answers.
function explain() {
  dropCookies(FAILURES);
  const failure = unexplained;
  unexplained = null;
  if (channel?.isLie) return complain('The seller names a balance that you have not signed. Pay nothing more; you can close the channel.');
  if (!failure) return;
  if (failure === 'RDN-Insufficient-Confirmations') return payAgain();
  if (failure === 'RDN-Nonexisting-Channel') {
    dropCookies(COOKIES);
    complain('The seller has no open channel for that payment, so nothing was paid.');
  } else if (channel?.isToppedUp) {
    say('Your deposit is not confirmed yet, so nothing was paid. Pay again in a moment.');
  } else if (failure === 'RDN-Invalid-Amount' && channel) {
    say(`This channel was also used elsewhere: ${show(channel.balance)} are spent. Nothing was paid now; pay again.`);
  } else {
    dropCookies(COOKIES);
    complain('The seller did not accept the signature, so nothing was paid.');
  }
}

// The voucher is still in the cookies, and buys once the deposit is confirmed.
async function payAgain() {
  const tries = Number(sessionStorage.getItem('sluice:reloads') ?? 0);
  if (tries >= RELOADS) return complain('The seller still waits for confirmations. Load this page again later.');
  sessionStorage.setItem('sluice:reloads', tries + 1);
  await confirmed(Number(cookie('RDN-Open-Block')), 0n);
  return leave();
}

async function confirmed(block, deposit) {
  const from = await chain.head();
  await seller.counts(block, deposit, async () => {
    const passed = Math.min(await chain.head() - from, terms.confirmations);
    Object.assign($('progress'), { hidden: false, max: Math.max(terms.confirmations, 1), value: passed });
    say(`Waiting for the deposit to be confirmed: ${passed} of ${terms.confirmations} blocks.`);
  });
  $('progress').hidden = true;
  say('');
}

function leave() {
  location.reload();
  return new Promise(() => {}); // busy until the page is gone
}

async function connect(chosen, method) {
  const [account] = await chosen.provider.request({ method });
  chain = account ? new Chain(chosen.provider, account, terms) : null;
  seller = account ? new Seller(terms, account) : null;
  $('account').textContent = account ?? '';
  $('account-row').hidden = !account;
  if (!account) return;
  localStorage.setItem('sluice:wallet', chosen.id);
  if (wallet === chosen) return;
  wallet = chosen;
  wallet.provider.on?.('accountsChanged', () => wallet === chosen && act(() => start(chosen, 'eth_accounts')));
  wallet.provider.on?.('chainChanged', () => wallet === chosen && act(refresh));
}

async function start(chosen, method) {
  say('');
  if (chosen) await connect(chosen, method);
  if (await refresh()) await explain();
}

async function pay() {
  say('Sign the payment in your wallet. It costs no gas.');
  const { block, owed } = channel;
  const signature = await chain.sign(block, owed + price);
  say('Signed. Loading what you bought.');
  sessionStorage.removeItem('sluice:reloads');
  seller.hand(block, owed + price, signature);
  return leave();
}

async function deposit(amount, isToPay, send) {
  say(`Allow the contract to take ${show(amount)}, in your wallet.`);
  await chain.approve(amount);
  say(`Confirm the deposit of ${show(amount)}, in your wallet.`);
  await send();
  await refresh();
  if (isToPay && channel) await pay();
}

async function open() {
  const amount = amountIn($('open-amount'), price, tokens);
  await deposit(amount, true, async () => {
    const block = await chain.open(amount);
    seller.remember(block, 0n);
    await confirmed(block, amount);
  });
}

async function topUp() {
  const missing = (price ?? 0n) - (channel.deposit - channel.balance);
  const amount = amountIn($('top-up-amount'), missing > 0n ? missing : 1n, tokens);
  const { block, deposit: before } = channel;
  await deposit(amount, missing > 0n, async () => {
    await chain.topUp(block, amount);
    await confirmed(block, before + amount);
  });
}

async function close() {
  const known = seller.remembered();
  const [block, balance] = channel ? [channel.block, channel.final] : [known.block, known.final];
  say('Sign the final balance in your wallet.');
  const ours = await chain.sign(block, balance);
  say('Asking the seller to sign too.');
  const theirs = await seller.agrees(block, balance);
  seller.remember(block, balance, balance);
  say('Confirm the closing transaction in your wallet.');
  const returned = await chain.close(block, balance, ours, theirs);
  seller.forget();
  channel = null;
  say('');
  $('returned').textContent = `${show(returned)} came back to you. The seller got ${show(balance)}.`;
  reveal('closed');
}

async function switchChain() {
  await chain.ask('wallet_switchEthereumChain', [{ chainId: '0x' + terms.chain_id.toString(16) }]);
  await start();
}

function listWallets() {
  $('wallets').replaceChildren(...[...wallets.values()].map((found) => {
    const item = document.createElement('li');
    const button = item.appendChild(document.createElement('button'));
    button.type = 'button';
    button.textContent = `Connect ${found.name}`;
    button.onclick = () => act(() => start(found, 'eth_requestAccounts'));
    return item;
  }));
}

// Wallets say that they are there (EIP-6963); an older one is just there. One that was connected before still is.
async function lookForWallets() {
  window.dispatchEvent(new Event('eip6963:requestProvider'));
  await sleep(0.1);
  if (!wallets.size && window.ethereum) {
    wallets.set('injected', { id: 'injected', name: 'your wallet', provider: window.ethereum });
  }
  listWallets();
  const last = wallets.get(localStorage.getItem('sluice:wallet'));
  const chosen = wallet ?? last ?? (wallets.size === 1 ? [...wallets.values()][0] : null);
  await start(chosen, 'eth_accounts');
}

window.addEventListener('eip6963:announceProvider', ({ detail: { info, provider } }) => {
  wallets.set(info.rdns, { id: info.rdns, name: info.name, provider });
  if (chain) return;
  listWallets();
  if (!$('no-wallet').hidden) reveal('connect');
});
// A page that the browser kept whole would go on where it left.
window.addEventListener('pageshow', ({ persisted }) => persisted && location.reload());
$('look-again').onclick = () => act(lookForWallets);
$('switch').onclick = () => act(switchChain);
$('pay').onclick = () => act(pay);
$('close').onclick = $('finish').onclick = () => act(close);
$('open').onsubmit = (event) => { event.preventDefault(); act(open); };
$('top-up').onsubmit = (event) => { event.preventDefault(); act(topUp); };

for (const id of ['payee', 'contract', 'token']) $(id).textContent = terms[id];
for (const id of ['chain', 'our-chain', 'target-chain']) $(id).textContent = terms.chain_id;
document.querySelectorAll('.symbol').forEach((place) => { place.textContent = terms.symbol; });
$('price').textContent = show(price ?? 0n);
$('price-row').hidden = $('manage-row').hidden = price === null;
$('manage').href = `${terms.gateway}/?deployment=${encodeURIComponent(terms.deployment)}`;
act(lookForWallets);
