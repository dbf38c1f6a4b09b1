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

"""What nova has made of a decision.

nova consumes the HostState that it chooses, and lets all of a request's
HostStates go when the request is over. So the attributes of those that lead
are kept for a moment longer than the HostStates, which tells where the server
went even if nova did not take the first one.
"""

from collections.abc import Sequence
from typing import Any
import weakref

from cache_aware_sched.scheduler.same_image import ledger

#: Hosts of which it is learnt that nova chose them; more if nova picks among
#: more (``host_subset_size``). Judgement: it hardly ever takes the third.
LEADING = 16


class NovaChoice:
    """Looks at a decision when nova is done with it.

    :param placements: what would follow from each of the hosts that lead, with
        its HostState, the best first
    """

    def __init__(
        self, placements: Sequence[tuple[Any, ledger.Placement]],
    ) -> None:
        self.uuid = placements[0][1].uuid
        self._hosts = [(vars(state), state.num_instances, placement)
                       for state, placement in placements]
        self._signs = [weakref.ref(state) for state, _placement in placements]

    def is_over(self) -> bool:
        """Return whether nova has let the HostStates go.

        Not as soon as the first is gone: another filter may drop it before the
        next server of the request.
        """
        return all(sign() is None for sign in self._signs)

    def is_refused(self) -> bool:
        """Return whether nova chose a host, and has given up since.

        Of a request that fails it takes the chosen hosts' time of update away
        (_ensure_sufficient_hosts, nova 34.0.0).
        """
        return any(has_grown(fields, number) and fields['updated'] is None
                   for fields, number, _placement in self._hosts)

    def placement(self) -> ledger.Placement | None:
        """Return the placement on the host that nova chose, if it did."""
        for host in self._hosts:
            fields, number, placement = host
            if is_consumed(fields, number):
                # The request's next servers may go to one of the others.
                self._hosts = [host]
                return placement
        return None


def is_consumed(fields: dict[str, Any], number: int | None) -> bool:
    """Return whether nova has placed a server on a host.

    As HostState.consume_from_request does (nova 34.0.0).

    :param fields: of the HostState
    :param number: of servers before
    """
    return has_grown(fields, number) and fields['updated'] is not None


def has_grown(fields: dict[str, Any], number: int | None) -> bool:
    """Return whether a host has more servers than before.

    :param number: None of a host that was never updated
    """
    return (fields['num_instances'] or 0) > (number or 0)
