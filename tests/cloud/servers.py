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

"""Servers: booted, waited for, asked whether they live, and deleted."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
import dataclasses
import time
from typing import Any

from openstack.compute.v2 import server as sdk_server
from openstack import connection as sdk_connection

from tests.cloud import running
from tests.cloud import service as service_mod

#: Their vCPUs, MiB of memory and GiB of disk.
FLAVORS = {'tiny': (1, 64, 1), 'small': (1, 128, 2), 'medium': (1, 128, 5)}

SETTLED = ('ACTIVE', 'ERROR', 'SHUTOFF', 'SHELVED_OFFLOADED',
           'VERIFY_RESIZE')

#: Servers that are asked for at the same time, at most.
AT_ONCE = 32

#: A guest prints its line once a second.
PULSE = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server at one moment.

    :param host: '' if it has none
    :param fault: what its user is told
    """

    id: str
    name: str
    status: str
    host: str
    task: str
    fault: str


def settled(server: Server) -> bool:
    """Return whether nothing more happens to a server by itself."""
    return server.status in SETTLED and not server.task


class Servers:
    """The servers of a cloud."""

    def __init__(self, connection: sdk_connection.Connection) -> None:
        self._sdk = connection
        self._flavors: dict[str, str] = {}

    def create_flavors(self) -> None:
        """Create the flavors, once in a cloud."""
        for name, (vcpus, ram, size) in FLAVORS.items():
            self._sdk.compute.create_flavor(
                name=name, vcpus=vcpus, ram=ram, disk=size)

    def request(self, name: str, image_id: str, flavor: str = 'tiny',
                host: str | None = None,
                hints: Mapping[str, Any] | None = None,
                **more: Any) -> str:
        """Ask for a server; return its id.

        :param host: the host that it has to be on, past the scheduler
        :param more: as openstacksdk knows it
        """
        if host:
            more['availability_zone'] = f'nova:{host}'
        if hints:
            more['scheduler_hints'] = dict(hints)
        return str(self._sdk.compute.create_server(
            name=name, image_id=image_id, flavor_id=self.flavor(flavor),
            networks='none', **more).id)

    def request_at_once(self, names: Iterable[str],
                        image_id: str | Callable[[str], str],
                        **more: Any) -> list[str]:
        """Ask for servers in parallel; return their ids.

        :param image_id: the same for all, or what tells it by the name
        """
        def one(name: str) -> str:
            image = image_id if isinstance(image_id, str) else image_id(name)
            return self.request(name, image, **more)

        self.flavor(more.get('flavor', 'tiny'))
        pool = futures.ThreadPoolExecutor(AT_ONCE)
        try:
            return list(pool.map(one, names))
        finally:
            pool.shutdown(cancel_futures=True)

    def boot(self, name: str, image_id: str, within: float = 180.0,
             **more: Any) -> tuple[Server, float]:
        """Boot a server; return it, and the seconds until it was active.

        :raises AssertionError: if it does not become active
        """
        start = time.monotonic()
        server_id = self.request(name, image_id, **more)
        server = self.wait([server_id], within)[0]
        assert server.status == 'ACTIVE', f'{server}'
        return server, time.monotonic() - start

    def get(self, server_id: str) -> Server:
        """Return a server."""
        return _server(self._sdk.compute.get_server(server_id))

    def all(self) -> dict[str, Server]:
        """Return all servers by their ids."""
        found = map(_server, self._sdk.compute.servers(
            details=True, all_projects=True))
        return {one.id: one for one in found}

    def wait(self, server_ids: Sequence[str], within: float = 180.0,
             until: Callable[[Server], bool] = settled) -> list[Server]:
        """Wait until servers are settled, or as something else wants them.

        :raises service.Failed: if it takes too long
        """
        found: dict[str, Server] = {}

        def done() -> bool:
            found.update(self.all())
            return all(one in found and until(found[one])
                       for one in server_ids)

        try:
            running.wait_for('servers', done, within)
        except service_mod.Failed:
            left = [str(found.get(one, one)) for one in server_ids
                    if one not in found or not until(found[one])]
            raise service_mod.Failed(
                f'after {within:.0f} s there are still '
                f'{len(left)} of {len(server_ids)} servers, among them '
                f'{left[0]}') from None
        return [found[one] for one in server_ids]

    def delete(self, *server_ids: str, within: float = 120.0) -> None:
        """Delete servers, and wait until they are gone.

        :raises service.Failed: if it takes too long
        """
        for server_id in server_ids:
            self._sdk.compute.delete_server(server_id)
        running.wait_for('servers are not deleted',
                         lambda: not self.all().keys() & set(server_ids),
                         within)

    def delete_all(self) -> None:
        """Delete all servers."""
        self.delete(*self.all())

    def console(self, server_id: str) -> str:
        """Return what a guest has printed lately."""
        return str(self._sdk.compute.get_server_console_output(
            server_id).get('output', ''))

    def check_alive(self, server_id: str) -> None:
        """See a guest print one more line.

        :raises service.Failed: if it does not
        """
        before = self.console(server_id).count('\n')
        running.wait_for(
            f'the guest {server_id} says nothing',
            lambda: self.console(server_id).count('\n') > before, PULSE)

    def flavor(self, name: str) -> str:
        """Return the id of a flavor."""
        if name not in self._flavors:
            self._flavors[name] = str(self._sdk.compute.find_flavor(
                name, ignore_missing=False).id)
        return self._flavors[name]


def _server(one: sdk_server.Server) -> Server:
    fault = one.fault or {}
    return Server(
        id=str(one.id), name=str(one.name), status=str(one.status),
        host=str(one.compute_host or ''), task=str(one.task_state or ''),
        fault=str(fault.get('message', '')))
