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

"""Signs what nova-api keeps where others may write. No nova.

What is signed has the key that it is kept under, and the time. So a value of
one image or project is none for another, and an old one is known to be old.
"""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any
from typing import NamedTuple

#: Of the form of what is signed. What has another one is as good as none.
VERSION = 1

#: Characters that are read: more than any record has (MAX_IMAGE_BYTES of
#: api/records.py, in base64).
MAX_CHARS = 200_000


class Signed(NamedTuple):
    """A value that was signed.

    :param at: when, as given to :func:`seal`; seconds since the epoch
    """

    value: Any
    at: float


def seal(secret: bytes, key: str, value: Any, at: float) -> str:
    """Return a value as text, with its signature.

    :param key: that it is kept under
    :param value: what JSON can have
    :param at: the time that it is of, seconds since the epoch
    """
    body = base64.urlsafe_b64encode(
        json.dumps({'value': value, 'at': at}).encode())
    return f'{VERSION}.{body.decode()}.{_signature(secret, key, body)}'


def unseal(secret: bytes, key: str, text: object) -> Signed | None:
    """Return what was signed for a key, None for anything else.

    Never raises, whatever the text is.
    """
    if not isinstance(text, str) or len(text) > MAX_CHARS:
        return None
    parts = text.split('.')
    if len(parts) != 3 or parts[0] != str(VERSION) or not text.isascii():
        return None
    body = parts[1].encode()
    if not hmac.compare_digest(parts[2], _signature(secret, key, body)):
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(body))
        return Signed(found['value'], float(found['at']))
    except (binascii.Error, KeyError, TypeError, ValueError,
            RecursionError):  # signed by a program that is not ours
        return None


def _signature(secret: bytes, key: str, body: bytes) -> str:
    name = key.encode()
    head = f'cache_aware_sched {VERSION} {len(name)} '.encode()
    return hmac.new(secret, head + name + b' ' + body,
                    hashlib.sha256).hexdigest()
