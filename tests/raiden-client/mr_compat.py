"""Lets microraiden 0.2.6 (2018) load on the Python of today; a .pth file imports it before anything else.

It restores names that the standard library has dropped since, and stands in for the C extensions of pyethereum that no
longer build. Of those only keccak is on the client's path; it comes from pycryptodome. Nothing in the package is changed.
"""
import collections
import collections.abc
import inspect
import sys
import types

for _name in collections.abc.__all__:
    if not hasattr(collections, _name):
        setattr(collections, _name, getattr(collections.abc, _name))

if not hasattr(inspect, 'getargspec'):
    def _getargspec(function):
        spec = inspect.getfullargspec(function)
        kind = collections.namedtuple('ArgSpec', 'args varargs keywords defaults')
        return kind(spec.args, spec.varargs, spec.varkw, spec.defaults)
    inspect.getargspec = _getargspec


class _Keccak:
    def __init__(self, data=b''):
        from Crypto.Hash import keccak
        self._hash = keccak.new(digest_bits=256, update_after_digest=True)
        if data:
            self._hash.update(data)

    def update(self, data):
        self._hash.update(data)

    def digest(self):
        return self._hash.digest()

    def hexdigest(self):
        return self._hash.hexdigest()


class _Unused:
    def __init__(self, *args, **kwargs):
        raise RuntimeError('the client was not expected to use this')


def _stand_in(name, **contents):
    try:
        __import__(name)
    except ImportError:
        module = types.ModuleType(name)
        module.__dict__.update(contents)
        sys.modules[name] = module


_stand_in('pyethash')
_stand_in('scrypt')
_stand_in('secp256k1', PublicKey=_Unused, PrivateKey=_Unused, ALL_FLAGS=3)
_stand_in('sha3', keccak_256=_Keccak, sha3_256=_Keccak)
