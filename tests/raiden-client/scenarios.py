"""What the original client does, one scenario a run: `scenarios.py NAME '{"rpc": …, "contract": …, "key": …, "endpoint": …, "path": …}'`.

Prints one JSON object with what the client saw; the judging is done by whoever runs it. Nothing of the client is replaced:
`Watched` only listens where a session invites its users to (`on_http_response`).
"""
import json
import sys
import time

from anvil_provider import AnvilProvider
from microraiden.client import Channel, Client
from microraiden.client.session import Session
from microraiden.utils import get_logs
from web3 import Web3

# Seconds between the client's attempts while the server waits for the chain.
RETRY_INTERVAL = 0.5
# Seconds that the chain and the servers may take to bring something about.
PATIENCE = 60


class Watched(Session):
    """A session that remembers every answer: its status and the payment headers."""

    def __init__(self, config, **kwargs):
        self.answers = []
        client = Client(
            private_key=config['key'],
            channel_manager_address=config['contract'],
            web3=Web3(AnvilProvider(config['rpc'])),
        )
        super().__init__(client, config['endpoint'], retry_interval=RETRY_INTERVAL, **kwargs)
        self.target = config['endpoint'] + config['path']

    def on_http_response(self, method, url, response, **kwargs):
        headers = {name: value for name, value in response.headers.items() if name.upper().startswith('RDN-')}
        self.answers.append({'status': response.status_code, 'headers': headers})
        return True

    def pay(self):
        """One paid request. The exchanges it took are its own list."""
        self.answers = []
        response = self.get(self.target)
        return {'status': response.status_code, 'body': response.text, 'exchanges': self.answers}


def seen(channel):
    """A channel as the client knows it."""
    return {
        'sender': channel.sender,
        'block': channel.block,
        'deposit': channel.deposit,
        'balance': channel.balance,
        'state': channel.state.name,
    }


def settlement(channel):
    """The settlement of a channel, waited for; None if it never comes."""
    filters = {
        '_sender_address': channel.sender,
        '_receiver_address': channel.receiver,
        '_open_block_number': channel.block,
    }
    end = time.time() + PATIENCE
    while time.time() < end:
        for event in get_logs(channel.core.channel_manager, 'ChannelSettled', argument_filters=filters):
            return {
                'block': event['blockNumber'],
                'balance': event['args']['_balance'],
                'receiver_tokens': event['args']['_receiver_tokens'],
            }
        time.sleep(0.2)
    return None


def first_payment(config):
    """Nothing is known, no channel exists: one request opens it and pays."""
    session = Watched(config)
    payment = session.pay()
    return {'payment': payment, 'channel': seen(session.channel)}


def steady_state(config):
    """Many requests of one session."""
    session = Watched(config, initial_deposit=lambda price: 100 * price)
    first = session.pay()
    payments = [session.pay() for _ in range(config['requests'])]
    return {'first': first, 'payments': payments, 'channel': seen(session.channel)}


def top_up(config):
    """The deposit covers two requests; the third makes the client add to it."""
    session = Watched(config, initial_deposit=lambda price: 2 * price, topup_deposit=lambda price: 3 * price)
    before = [session.pay() for _ in range(2)]
    opened = seen(session.channel)
    after = [session.pay() for _ in range(3)]
    return {'before': before, 'opened': opened, 'after': after, 'channel': seen(session.channel)}


def lost_state(config):
    """A client that forgot everything finds its channel on the chain, and its balance at the server."""
    session = Watched(config)
    before = [session.pay() for _ in range(3)]
    lost = seen(session.channel)
    again = Watched(config)
    forgot = [seen(channel) for channel in again.client.channels]
    return {
        'before': before,
        'lost': lost,
        'forgot': forgot,
        'recovery': again.pay(),
        'next': again.pay(),
        'channel': seen(again.channel),
    }


def other_status(config):
    """A status that is neither 200 nor 402 ends the matter, and is the user's to see."""
    session = Watched(config)
    session.target = config['endpoint'] + '/teapot.txt'
    return {'first': session.pay(), 'next': session.pay()}


def post(config):
    """A body goes with every attempt."""
    session = Watched(config)
    payments = []
    for body in ('first body', 'second body'):
        session.answers = []
        response = session.post(config['endpoint'] + '/upload', data=body)
        payments.append({'status': response.status_code, 'body': response.text, 'exchanges': session.answers})
    return {'payments': payments, 'channel': seen(session.channel)}


def other_contract(config):
    """A server whose channels are in another contract is not paid."""
    session = Watched(dict(config, contract='0x' + '11' * 20))
    return {'payment': session.pay(), 'has_channel': session.channel is not None}


def cooperative_close(config):
    """The client asks for the closing signature and closes at what it paid."""
    session = Watched(config)
    payments = [session.pay() for _ in range(3)]
    session.close_channel()
    channel = seen(session.channel)
    return {'payments': payments, 'channel': channel, 'settlement': settlement(session.channel)}


def uncooperative_close(config):
    """The client claims that it owes nothing; somebody else has to say otherwise in time."""
    session = Watched(config)
    payments = [session.pay() for _ in range(3)]
    paid = seen(session.channel)
    event = session.channel.close(0)
    assert session.channel.state == Channel.State.settling, 'the close request was not mined'
    return {
        'payments': payments,
        'paid': paid,
        'requested_in': event['blockNumber'],
        'settlement': settlement(session.channel),
    }


SCENARIOS = (
    first_payment, steady_state, top_up, lost_state, other_status, post, other_contract, cooperative_close,
    uncooperative_close,
)

if __name__ == '__main__':
    name, config = sys.argv[1], json.loads(sys.argv[2])
    run = {scenario.__name__: scenario for scenario in SCENARIOS}[name]
    print(json.dumps(run(config)))
