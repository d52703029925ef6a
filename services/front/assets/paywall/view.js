// What the page knows and shows.

const $ = (id) => document.getElementById(id);
const facts = JSON.parse($('facts').textContent);
const terms = facts.terms;
const answer = facts.answer;
const price = answer['rdn-price'] ? BigInt(answer['rdn-price']) : null; // null: nothing is for sale here
const SECTIONS = ['no-wallet', 'connect', 'wrong-chain', 'no-channel', 'channel', 'closing', 'closed'];
const USUAL_DEPOSIT = 10n; // prices

function digits(amount) {
  const text = String(amount).padStart(terms.decimals + 1, '0');
  const point = text.length - terms.decimals;
  return terms.decimals ? `${text.slice(0, point)}.${text.slice(point)}`.replace(/\.?0+$/, '') : text;
}

const show = (amount) => `${digits(amount)} ${terms.symbol}`;

// The amount in a field; an error if it is none that can be deposited.
function amountIn(field, least, most) {
  const refuse = (text) => {
    field.setAttribute('aria-invalid', 'true');
    field.focus();
    throw new Error(text);
  };
  field.removeAttribute('aria-invalid');
  const [, whole, fraction = ''] = /^(\d+)(?:[.,](\d*))?$/.exec(field.value.trim()) ?? [];
  if (whole === undefined || fraction.length > terms.decimals) refuse(`Enter an amount such as ${digits(least)}.`);
  const amount = BigInt(whole + fraction.padEnd(terms.decimals, '0'));
  if (amount < least || amount === 0n) refuse(`At least ${show(least)} is needed.`);
  if (amount > most) refuse(`You have ${show(most)}, not ${show(amount)}.`);
  return amount;
}

function say(text) {
  if ($('status').textContent !== text) $('status').textContent = text;
}

function complain(text) {
  $('problem').textContent = text;
}

function inWords(error) {
  if (error?.code === 4001) return 'You declined in your wallet. Nothing was paid.';
  if (error?.code === 4902) return `Your wallet does not know chain ${terms.chain_id}. Add it there, then try again.`;
  return (error?.data?.message ?? error?.message ?? String(error)).split('\n')[0];
}

function reveal(id) {
  SECTIONS.forEach((section) => { $(section).hidden = section !== id; });
}

// Does one thing at a time. What has the focus may be gone afterwards: then it goes on with what can be done next.
async function act(action) {
  if (document.body.classList.contains('busy')) return;
  const busy = (is) => {
    document.body.classList.toggle('busy', is);
    document.querySelectorAll('button').forEach((button) => button.setAttribute('aria-disabled', is));
  };
  const began = document.activeElement;
  busy(true);
  complain('');
  try {
    await action();
  } catch (error) {
    say('');
    complain(inWords(error));
  }
  $('progress').hidden = true;
  busy(false);
  const hasFocus = document.activeElement?.checkVisibility() && document.activeElement !== document.body;
  if (began !== document.body && !hasFocus) {
    const section = [...document.querySelectorAll('section')].find((one) => !one.hidden);
    const next = [...section.querySelectorAll('button, input')].find((control) => control.checkVisibility());
    (next ?? section.querySelector('h2')).focus();
  }
}

// What can be done with a channel, or without one.
function draw(channel, tokens) {
  document.querySelectorAll('.tokens').forEach((place) => { place.textContent = show(tokens); });
  const usual = (price ?? 1n) * USUAL_DEPOSIT;
  ['open-amount', 'top-up-amount'].forEach((id) => { $(id).value ||= digits(usual < tokens ? usual : tokens); });
  if (!channel) {
    $('open').hidden = price === null;
    if (price === null) $('no-channel-text').textContent = 'This account has no open channel here.';
    return reveal('no-channel');
  }
  const { deposit, balance, final, isProven } = channel;
  const left = deposit - balance;
  const isEnough = price !== null && left >= price;
  $('deposit').textContent = show(deposit);
  $('spent').textContent = show(balance) + (isProven ? '' : ', says the seller');
  $('left').textContent = show(left);
  $('to-seller').textContent = show(final);
  $('to-you').textContent = show(deposit - final);
  $('pay').hidden = !isEnough;
  $('pay').textContent = `Pay ${show(price ?? 0n)}`;
  $('top-up-button').textContent = price !== null && !isEnough ? 'Top up and pay' : 'Top up';
  $('top-up-button').className = isEnough ? 'quiet' : '';
  reveal('channel');
}
