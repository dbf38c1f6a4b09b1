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

"""Which servers of which image a host runs, by what nova's scheduler knows.

``HostState.instances`` mixes whole Instance objects with stubs that know their
uuid only: after a live migration both hosts are all stubs and stay so. Asking
a stub for its image is a query each, or an error, so stubs are left alone, and
resolved by what was learnt of their uuid elsewhere.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import threading
from typing import Any

from cache_aware_sched.scheduler.same_image.host_servers import Fact
from cache_aware_sched.scheduler.same_image.host_servers import Facts
from cache_aware_sched.scheduler.same_image.host_servers import HostServers

#: Seconds after which a host that is no candidate any more is forgotten, and
#: between two looks for such hosts. Judgement: reading it again costs 40 us.
FORGOTTEN_AFTER, SWEEP_EVERY = 600.0, 60.0

#: Hosts that one request reads for the first time, and the share of them if
#: that is more, where reports tell as much: so that the first request after a
#: start is not the one that reads them all.
FIRST_READS, FIRST_READS_SHARE = 64, 1 / 16


class InstanceMemory:
    """Remembers what each host runs while its instances stay the same.

    nova's scheduler replaces an Instance object when it learns something new,
    so a host has not changed while its objects are the same ones. They are
    compared when the look of them has changed, and every few seconds.
    """

    def __init__(self) -> None:
        self._hosts: dict[str, HostServers] = {}
        self._facts: Facts = {}
        self._lock = threading.Lock()
        self._swept = 0.0

    def of_host(self, host_state: Any, now: float) -> HostServers:
        """Return what is remembered of a host, up to date if it was read."""
        known = self._hosts.get(host_state.host)
        if known is None:
            known = self._hosts[host_state.host] = HostServers(
                host_state.host)
        known.seen = now
        if known.source is None:
            known.unread = host_state.instances
        elif (host_state.instances is not known.source
              or not known.looks_same(now)):
            self.read(known, host_state, now)
        return known

    def read(self, known: HostServers, host_state: Any, now: float) -> None:
        """Take in what has changed in nova's dictionary of instances."""
        with self._lock:
            known.read(host_state.instances, now, self._facts)

    def unresolved(self, host_states: Iterable[Any]) -> Iterator[str]:
        """Return the stubs on some hosts of which nothing is known."""
        for host_state in host_states:
            known = self._hosts.get(host_state.host)
            if known is not None:
                yield from list(known.unresolved)

    def learn(self, facts: Iterable[tuple[str, Fact]]) -> None:
        """Note what is known of servers that may be stubs on some host."""
        with self._lock:
            self._facts.update(
                (uuid, fact.to_text()) for uuid, fact in facts)

    def disprove(self, host: str, image: str, right: set[str]) -> None:
        """Forget which stubs of a host are of an image, but for some."""
        known = self._hosts.get(host)
        if known is not None and known.stubs:
            with self._lock:
                for uuid in known.disprove(image, right):
                    self._facts.pop(uuid, None)

    def recent_hosts(self, now: float) -> int:
        """Return how many hosts were candidates of late."""
        return sum(now - known.seen <= SWEEP_EVERY
                   for known in list(self._hosts.values()))

    def hosts(self) -> list[str]:
        """Return the hosts that are remembered."""
        return list(self._hosts)

    def __len__(self) -> int:
        """Return the number of hosts that are remembered."""
        return len(self._hosts)

    def servers(self, image: str, without: set[str]) -> Iterable[
            tuple[str, str | None]]:
        """Return the servers of an image on all hosts but some.

        :returns: uuids and projects
        """
        for name, known in list(self._hosts.items()):
            if name not in without:
                if known.unread is not None:
                    with self._lock:
                        known.read(known.unread, known.seen, self._facts)
                for images in list(known.by_node.values()):
                    yield from list(images.get(image, {}).items())

    def sweep(self, now: float) -> bool:
        """Forget hosts that are gone, and the servers that no host shows.

        :returns: whether it was time for it
        """
        if now - self._swept < SWEEP_EVERY:
            return False
        self._swept = now
        with self._lock:
            gone = [name for name, known in list(self._hosts.items())
                    if now - known.seen > FORGOTTEN_AFTER]
            for name in gone:
                # What was counted of it is no longer right.
                self._hosts.pop(name).version += 1
            shown = sum(len(known) + 1 for known in list(self._hosts.values()))
            if gone or len(self._facts) > 2 * shown:
                self._forget_facts()
        return True

    def _forget_facts(self) -> None:
        shown: set[str] = set().union(
            *(known.uuids() for known in list(self._hosts.values())))
        self._facts = {uuid: fact for uuid, fact in self._facts.items()
                       if uuid in shown}
