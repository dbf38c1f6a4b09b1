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

"""Keeps what others named from steering the terminal of an operator.

Hosts, images and what is reported are named by those who can write them, as a
compute that somebody has taken over.
"""

import re
from typing import Any
from typing import TextIO

#: All control characters but the tab and the newline (C0, DEL, C1; ECMA-48),
#: those that reorder or break lines (Unicode, UAX 9 and 14), and surrogates,
#: which cannot be encoded.
_UNFIT = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f'
                    '\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


def text(raw: str) -> str:
    """Return a text with what a terminal would obey written out."""
    return _UNFIT.sub(
        lambda found: found[0].encode('unicode_escape').decode(), raw)


def line(raw: str) -> str:
    """Return the same in one line."""
    return text(raw).replace('\n', '\\n')


class PlainStream:
    """Writes text to a stream, so that no part of it steers a terminal.

    :param raw: the stream
    """

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, written: str) -> int:
        """Write a text."""
        return self.raw.write(text(written))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)
