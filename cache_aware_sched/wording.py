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

"""Words of log lines that depend on a number."""

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """Return a number of things, as ``1 server`` or ``2,000 servers``.

    :param noun: in the singular; its plural ends with an s
    """
    return f'{number:,} {noun}' + ('' if number == 1 else 's')


def some(words: Sequence[str], number: int = 10) -> str:
    """Return the first of some words in one line, however many there are."""
    more = len(words) - number
    return ', '.join(words[:number]) + (
        f', and {more:,} more' if more > 0 else '')
