"""µRaiden's own paywall (microraiden 0.2.6, 2018), for one argument:
`{"rpc": …, "contract": …, "from_block": …, "key": …, "state": …, "port": …}`.

Sells one page at /page for one unit, to whoever has a channel in `contract` to the owner of `key`; what was paid goes
into the SQLite file `state`. Everything is the package's own, put together as in its `examples/echo_server.py`: the
channel manager, the paywall, and the server that `PaywalledProxy.run` starts, gevent's. It listens once it has read the
chain, and serves until it is ended.
"""
import json
import logging
import sys

from anvil_provider import AnvilProvider
from microraiden.config import NETWORK_CFG
from microraiden.make_helpers import make_paywalled_proxy
from microraiden.proxy.resources import Expensive
from web3 import Web3


class Page(Expensive):
    def get(self, url):
        return 'A page worth paying for\n'


def main(config):
    # A chain that the package does not know: only the first block to read matters here, and would be ropsten's.
    NETWORK_CFG.start_sync_block = config['from_block']
    web3 = Web3(AnvilProvider(config['rpc']))
    proxy = make_paywalled_proxy(config['key'], config['state'], contract_address=config['contract'], web3=web3)
    proxy.add_paywalled_resource(Page, '/page', price=1)
    proxy.run(host='127.0.0.1', port=config['port'])
    proxy.join()


if __name__ == '__main__':
    logging.basicConfig(level=logging.INFO)
    main(json.loads(sys.argv[1]))
