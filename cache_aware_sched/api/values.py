#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""Where nova-api keeps what it remembers: here, or for all. No nova.

Nothing here raises for want of a server: what cannot be read is not there.
"""

import hashlib
import threading
import time
from typing import Any
from typing import Protocol
import uuid

from oslo_log import log as logging

from cache_aware_sched.api import signing
from cache_aware_sched import once

LOG = logging.getLogger(__name__)

#: Values that a process keeps: the records of as many images and projects, and
#: what was said of them. The oldest goes first.
MAX_VALUES = 20_000

#: Characters of these values together. Judgement: a record has about 2,000; of
#: an image with all the properties that Glance allows 50,000.
MAX_CHARS = 64 * 2 ** 20

#: Of what keeps the records for a process only.
PROCESS_BACKENDS = frozenset({
    'dogpile.cache.null', 'dogpile.cache.memory',
    'dogpile.cache.memory_pickle', 'oslo_cache.dict'})

#: Waits without end for a server that hangs: dogpile.cache makes its client
#: without a timeout, and oslo.cache has no option for one (1.5.0 and 4.3.0).
BOUNDLESS_BACKEND = 'dogpile.cache.pymemcache'

#: Characters of a secret that nobody guesses.
MIN_SECRET = 16

#: Seconds after which whoever wrote last has a claim, where the server has no
#: way to tell who was first.
_SETTLE = 0.05


class KeptValues(Protocol):
    """Keeps texts by keys."""

    def get(self, key: str, max_age: float) -> object:
        """Return a value, None if there is none that is young enough."""

    def set(self, key: str, value: str) -> bool:
        """Keep a value; return whether that worked."""

    def delete(self, key: str) -> None:
        """Keep a value no more."""

    def claim(self, key: str, seconds: float) -> bool:
        """Return whether nobody else has claimed a key within that time."""


class ProcessValues:
    """Keeps them in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, str] = {}
        self._chars = 0
        self._claims: dict[str, float] = {}

    def get(self, key: str, max_age: float) -> object:
        """Return a value, None if there is none.

        :param max_age: what is signed in the value tells its age
        """
        with self._lock:
            return self._values.get(key)

    def set(self, key: str, value: str) -> bool:
        """Keep a value; return True."""
        with self._lock:
            self._drop(key)
            self._values[key] = value
            self._chars += len(value)
            while len(self._values) > MAX_VALUES or self._chars > MAX_CHARS:
                self._drop(next(iter(self._values)))
        return True

    def delete(self, key: str) -> None:
        """Keep a value no more."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: str) -> None:
        self._chars -= len(self._values.pop(key, ''))

    def claim(self, key: str, seconds: float) -> bool:
        """Return whether nobody else has claimed a key within that time."""
        now = time.monotonic()
        with self._lock:
            self._claims = {name: end for name, end in self._claims.items()
                            if end > now}
            if key in self._claims:
                return False
            self._claims[key] = now + seconds
            return True


class SharedValues:
    """Keeps them in the servers of ``[cache]``.

    :param region: of dogpile.cache, as nova configures it
    """

    def __init__(self, region: Any) -> None:
        self._region = region

    def get(self, key: str, max_age: float) -> object:
        """Return a value, None if there is none that is young enough.

        :param max_age: seconds; goes before ``[cache] expiration_time``
        """
        try:
            found = self._region.get(_short(key), expiration_time=max_age)
            self._works()
            return found if isinstance(found, str) else None
        except Exception as error:
            self._fails(error)
            return None

    def set(self, key: str, value: str) -> bool:
        """Keep a value; return whether that worked, as far as one knows."""
        try:
            self._region.set(_short(key), value)
            self._works()
            return True
        except Exception as error:
            self._fails(error)
            return False

    def delete(self, key: str) -> None:
        """Keep a value no more."""
        try:
            self._region.delete(_short(key))
        except Exception as error:
            self._fails(error)

    def claim(self, key: str, seconds: float) -> bool:
        """Return whether nobody else has claimed a key within that time.

        The server decides who was first. Where it cannot, who wrote last is
        taken for it. Without a server everybody is first.
        """
        name, life = _short(f'claim {key}'), max(1, round(seconds))
        backend = self._region.actual_backend
        try:
            # Of memcached, by whichever library.
            add = getattr(getattr(backend, 'client', None), 'add', None)
            if add is not None:
                return bool(add(name, '1', life))
            redis = getattr(backend, 'writer_client', None)
            if redis is not None:
                return bool(redis.set(name, '1', ex=life, nx=True))
            return self._claim_slowly(name, seconds)
        except Exception as error:
            self._fails(error)
            return True

    def _claim_slowly(self, name: str, seconds: float) -> bool:
        mine = str(uuid.uuid4())
        if isinstance(self._region.get(name, expiration_time=seconds), str):
            return False
        self._region.set(name, mine)
        time.sleep(_SETTLE)
        return bool(self._region.get(name, expiration_time=seconds) == mine)

    def _fails(self, error: Exception) -> None:
        once.warning(
            LOG, ('cache',),
            'The servers of [cache] do not answer: %(error)s. nova-api '
            'neither remembers images nor knows what it remembered.',
            {'error': str(error)[:200] or type(error).__name__})

    def _works(self) -> None:
        once.forget(LOG, ('cache',))


class SignedValues:
    """Keeps values that JSON can have, with a signature and a time.

    :param values: where
    :param secret: what they are signed with
    """

    def __init__(self, values: KeptValues, secret: bytes) -> None:
        self._values = values
        self._secret = secret

    def get(self, key: str, max_age: float,
            now: float) -> signing.Signed | None:
        """Return a value, None without one that is ours and young enough.

        :param max_age: seconds
        :param now: seconds since the epoch
        """
        found = signing.unseal(
            self._secret, key, self._values.get(key, max_age))
        # Not from the future either: that would never get old. The clocks of
        # two hosts may differ by as much.
        if found is None or not now - max_age <= found.at <= now + 60:
            return None
        return found

    def set(self, key: str, value: Any, at: float) -> bool:
        """Keep a value; return whether that worked.

        :param at: the time that it is of, seconds since the epoch
        """
        return self._values.set(
            key, signing.seal(self._secret, key, value, at))

    def delete(self, key: str) -> None:
        """Keep a value no more."""
        self._values.delete(key)

    def claim(self, key: str, seconds: float) -> bool:
        """Return whether nobody else has claimed a key within that time."""
        return self._values.claim(key, seconds)


def each_process(secret: str | None, enabled: bool, backend: str) -> str:
    """Return why each process keeps its own values, '' if it does not.

    :param secret: image_record_secret
    :param enabled: ``[cache] enabled``
    :param backend: ``[cache] backend``
    """
    if not secret:
        return '[cache_aware_sched] image_record_secret is not set'
    if len(secret) < MIN_SECRET:
        return (f'[cache_aware_sched] image_record_secret has fewer than '
                f'{MIN_SECRET} characters')
    if not enabled:
        return '[cache] is not enabled'
    if backend in PROCESS_BACKENDS:
        return f'[cache] backend = {backend} is of one process'
    return ''


def _short(key: str) -> str:
    """Return a key that any server takes, whatever is in it."""
    return 'cache_aware_sched:' + hashlib.sha256(key.encode()).hexdigest()
