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

"""The hosts that an image can be copied from, and their order. No nova."""

from collections.abc import Collection
from collections.abc import Iterable
import dataclasses
import ipaddress
import random
import re

#: The value of fetch_from_hosts with which images are copied.
OUTAGE = 'outage'

#: ``[libvirt] images_type`` with which disks are files made from base files.
FILES = ('default', 'qcow2', 'raw', 'flat')

#: What ssh and rsync are given must never look like an option or a path.
_HOST_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,252}')


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A host that has an image.

    :param host: its name, as nova knows it
    :param address: at which it is asked
    :param size_code: of the file, as it reports it
        (:func:`cache_aware_sched.report.size_code`); None if it does not
    """

    host: str
    address: str
    size_code: int | None = None


def is_address(text: str) -> bool:
    """Return whether a text is an address or a name of a host."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return '%' not in text  # of a zone, which is a name


def order(known: Iterable[Source], own: str, first: str | None,
          without: Collection[str], chance: random.Random) -> list[Source]:
    """Return the hosts to try, each once.

    In random order: else a thousand hosts would ask the same one.

    :param own: the host that asks; never in the answer
    :param first: the host to begin with, which a server comes from; with its
        name for an address if it is not among those that are known
    :param without: hosts that need not be tried
    """
    usable = {source.host: source for source in known
              if is_address(source.address)}
    if first is not None and first not in usable and is_address(first):
        usable[first] = Source(first, first)
    found = [source for host, source in sorted(usable.items())
             if host != own and host not in without]
    chance.shuffle(found)
    found.sort(key=lambda source: source.host != first)
    return found
