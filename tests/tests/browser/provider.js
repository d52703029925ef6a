// A wallet as a page meets it. What it is asked goes to the test (the binding `walletAsk`), and the test answers with
// `walletSays`. `HOW` is replaced: "injected" is window.ethereum, "announced" is EIP-6963, "legacy" is the web3 of 2018.
(() => {
  const how = 'HOW';
  const waiting = new Map();
  const listeners = [];
  let last = 0;
  window.walletSays = (id, error, result) => {
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    error ? reject?.(Object.assign(new Error(error.message), error)) : resolve?.(result);
  };
  window.walletTells = (event, value) => listeners.filter(([name]) => name === event).forEach(([, tell]) => tell(value));
  const request = ({ method, params }) => new Promise((resolve, reject) => {
    last += 1;
    waiting.set(last, { resolve, reject });
    window.walletAsk(JSON.stringify({ id: last, method, params: params ?? [] }));
  });
  const provider = { request, on: (name, tell) => listeners.push([name, tell]) };
  if (how === 'injected') window.ethereum = provider;
  if (how === 'announced') {
    const info = { uuid: '00000000-0000-4000-8000-000000000000', name: 'Test Wallet', icon: 'data:,', rdns: 'example.wallet' };
    const announce = () => dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info, provider }) }));
    addEventListener('eip6963:requestProvider', announce);
    announce();
  }
  if (how === 'legacy') {
    const one = ({ id, method, params }) => request({ method, params }).then(
      (result) => ({ jsonrpc: '2.0', id, result }),
      (error) => ({ jsonrpc: '2.0', id, error: { code: error.code, message: error.message } }),
    );
    const sendAsync = (asked, tell) => {
      const answers = Array.isArray(asked) ? Promise.all(asked.map(one)) : one(asked);
      answers.then((answer) => tell(null, answer));
    };
    // The page brings its own copy of web3; a wallet of its time put an instance of it there.
    addEventListener('DOMContentLoaded', () => {
      if (window.Web3) window.web3 = new window.Web3({ sendAsync, isConnected: () => true });
    });
  }
  addEventListener('securitypolicyviolation', (event) => window.testSees(`policy: ${event.effectiveDirective} ${event.blockedURI}`));
})();
