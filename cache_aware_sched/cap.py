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

"""How many servers of one image a host may run: the cap.

A cap is a number, or a share of all servers of the image, whichever lets more
of them onto a host. Both can be set by the option, for the hosts of an
aggregate and for a flavor; a user's hint can only make the result smaller.
"""

import dataclasses
import math

from cache_aware_sched.conf.scheduler import MAX_CAP

#: What a node says it is that is a cluster of VMware's
#: (nova.virt.vmwareapi.host, nova 34.0.0: the name of the product), with the
#: driver of this package or nova's own. It has no cap: whoever sets one means
#: a machine, with which all its servers are lost.
CLUSTER = 'VMware vCenter Server'

#: What a node says it is whose servers are machines (nova.virt.ironic.driver,
#: nova 34.0.0): nova counts and caps none of them, and fetches nothing to it.
BARE_METAL = 'ironic'


@dataclasses.dataclass(frozen=True, slots=True)
class Cap:
    """The cap of a host for a request, and who set it.

    :param number: of servers; 0 for none
    :param share: of all servers of the image, up to 1; 0 for none
    :param hint: that the user wants at most; 0 for any number
    :param source: who set the number, for a log
    :param for_all: whether it is meant for all servers of an image, as one
        that comes from a flavor is not
    """

    number: int = 0
    share: float = 0.0
    hint: int = 0
    source: str = 'nobody'
    for_all: bool = True

    def __bool__(self) -> bool:
        """Return whether there is a cap."""
        return bool(self.number or self.share or self.hint)

    def limit(self, total: int, average: float) -> int:
        """Return the number of servers that a host may run.

        ``max(number, ceil(share * (total + 1)), ceil(average))``: a host that
        is not above the average of the candidates is never full by the share,
        so a share alone never refuses a cloud of few hosts. With H candidates
        that run n servers ``average`` is (n + 1) / H.

        :param total: servers of the image in scope, without the one that is
            placed
        :param average: servers on each candidate with the one that is placed
        :returns: 0 for no cap
        """
        limit = self.number
        if self.share:
            limit = max(limit, _ceil(self.share * (total + 1)),
                        _ceil(average), 1)
        if self.hint:
            limit = min(limit, self.hint) if limit else self.hint
        return limit


def _ceil(value: float) -> int:
    """Round up, but not for what floats do: 0.1 * 30 is above 3."""
    return math.ceil(round(value, 6))


def parse(text: str) -> int:
    """Return a number of servers.

    :raises ValueError: saying what is wanted
    """
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise ValueError('a whole number from 0 up is wanted, 0 for no cap')
    return min(value, MAX_CAP)


def parse_share(text: str) -> float:
    """Return a share of the servers of an image.

    :raises ValueError: saying what is wanted
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError('a number from 0 to 1 is wanted, 0 for no share')
    return value
