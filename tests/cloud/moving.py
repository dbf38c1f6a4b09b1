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

"""Moves servers between hosts, as an administrator does."""

from tests.cloud import cloud as cloud_mod
from tests.cloud import servers


class Moving:
    """What an administrator does with servers that have a host."""

    def __init__(self, cloud: cloud_mod.Cloud) -> None:
        self._cloud = cloud
        self._sdk = cloud.client.sdk.compute
        self._servers = cloud.client.servers

    def migrate(self, server: servers.Server) -> servers.Server:
        """Migrate a server, turned off, and confirm it."""
        self._sdk.migrate_server(server.id)
        self.wait(server, 'VERIFY_RESIZE')
        self._sdk.confirm_server_resize(server.id)
        return self.wait(server, 'ACTIVE')

    def evacuate(self, server: servers.Server) -> servers.Server:
        """Have a server on another host, as its own has failed."""
        self.fail(server.host)
        self._sdk.evacuate_server(server.id)
        # Since nova 27 it is not started there. It is stopped, and has no
        # task, a moment before nova writes its new host.
        return self.wait(server, 'SHUTOFF', left=server.host)

    def fail(self, host: str) -> None:
        """Have a host fail, and nova know that."""
        self._cloud.computes.kill(host)
        self._cloud.client.force_down([host])

    def repair(self, host: str) -> None:
        """Bring a failed host back."""
        self._cloud.computes.start(host)
        for one in self._sdk.services(binary='nova-compute', host=host):
            self._sdk.update_service_forced_down(one, forced=False)

    def wait(self, server: servers.Server, status: str,
             left: str | None = None) -> servers.Server:
        """Wait until a server is settled, and not on the host it has left."""
        return self._servers.wait(
            [server.id], until=lambda found: found.status == status
            and servers.settled(found) and found.host != left)[0]
