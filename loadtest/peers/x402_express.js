// The official x402 server for Express (2026) with its scheme for payment channels, `batch-settlement`:
// `node x402_express.js CONFIG`, a file that ends in .json and says
// `{"port": …, "network": …, "receiver": …, "token": …, "withdrawDelay": …, "payers": […], "deposit": …, "files": …}`.
//
// Sells one page at /page for one unit, to whoever of `payers` signs for it; keeps what they paid in memory, as the
// package does unless told otherwise, or in the folder `files`. /paid says how much that is in all.
//
// There is no chain: where the scheme's contracts are is fixed in the package. So channels are put where the package
// would put them once their deposits were mined, and its view of the chain never gets old. Vouchers it verifies by
// itself, so that the facilitator, which would ask the chain, has nothing to do.
globalThis.crypto ??= require('node:crypto').webcrypto; // Node 18 has it only here
const express = require('express');
const { paymentMiddleware, x402ResourceServer } = require('@x402/express');
const { computeChannelId } = require('@x402/evm/batch-settlement/client');
const { BatchSettlementEvmScheme, InMemoryChannelStorage } = require('@x402/evm/batch-settlement/server');
const { FileChannelStorage } = require('@x402/evm/batch-settlement/server/file-storage');

const { port, network, receiver, token, withdrawDelay, payers, deposit, files } = require(process.argv[2]);
const storage = files ? new FileChannelStorage({ directory: files }) : new InMemoryChannelStorage();
const scheme = new BatchSettlementEvmScheme(receiver, { storage, withdrawDelay, onchainStateTtlMs: Infinity });
const asked = async () => { throw new Error('nobody should ask the facilitator'); };
const kind = { x402Version: 2, scheme: scheme.scheme, network, extra: { receiverAuthorizer: receiver } };
const facilitator = {
  getSupported: async () => ({ kinds: [kind], extensions: [], signers: {} }),
  verify: asked,
  settle: asked,
};

async function open(payer) {
  const channelConfig = {
    payer, payerAuthorizer: payer, receiver, receiverAuthorizer: receiver, token, withdrawDelay,
    salt: `0x${'00'.repeat(32)}`,
  };
  const channelId = computeChannelId(channelConfig, network);
  await storage.updateChannel(channelId, () => ({
    channelId, channelConfig, balance: deposit, totalClaimed: '0', withdrawRequestedAt: 0, refundNonce: 0,
    chargedCumulativeAmount: '0', signedMaxClaimable: '0', signature: '0x',
    onchainSyncedAt: Date.now(), lastRequestTimestamp: Date.now(),
  }));
}

async function main() {
  for (const payer of payers) await open(payer);
  const app = express();
  app.get('/paid', async (request, answer) => {
    const charged = (await storage.list()).map((channel) => BigInt(channel.chargedCumulativeAmount));
    answer.send(String(charged.reduce((sum, amount) => sum + amount, 0n)));
  });
  const price = { amount: '1', asset: token, extra: { name: 'Test Token', version: '1' } };
  const routes = { 'GET /page': { accepts: { scheme: scheme.scheme, network, payTo: receiver, price } } };
  app.use(paymentMiddleware(routes, new x402ResourceServer(facilitator).register(network, scheme)));
  app.get('/page', (request, answer) => answer.type('text').send('A page worth paying for\n'));
  app.listen(port, '127.0.0.1');
}

main();
