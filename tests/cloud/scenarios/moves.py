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

"""Operations that bring a server to another host."""

from cache_aware_sched import report
from tests.cloud import conf
from tests.cloud import moving
from tests.cloud import running
from tests.cloud import scenario
from tests.cloud import servers

#: Not a hint: that would bind boots only.
CAP: conf.Conf = {'cache_aware_sched': {
    'max_same_image_instances_per_host': 1}}
#: Seconds until nova and the reports have seen what moved.
SEEN = 60.0


class _Play(moving.Moving):
    """Servers of one image, of which a host may have one."""

    def __init__(self, cloud: scenario.Cloud) -> None:
        super().__init__(cloud)
        self._image = cloud.client.images.upload('moved')
        self.hosts = set(cloud.computes.with_libvirt)

    def boot(self, name: str) -> servers.Server:
        """Ask for a server, and wait for what becomes of it."""
        return self._servers.wait(
            [self._servers.request(name, self._image)])[0]

    def full(self) -> None:
        """See that no host takes one more, and each counts one."""
        found = self.boot('too-many')
        assert found.status == 'ERROR', found
        self._servers.delete(found.id)
        running.wait_for('the reports do not count one server each',
                         lambda: set(self._users().values()) == {1}, SEEN)

    def delete(self, *found: servers.Server) -> None:
        """Delete servers."""
        self._servers.delete(*(one.id for one in found))

    def rebuild(self, server: servers.Server) -> servers.Server:
        """Rebuild a server from the same image."""
        self._sdk.rebuild_server(server.id, image=self._image)
        return self.wait(server, 'ACTIVE')

    def shelve(self, server: servers.Server) -> servers.Server:
        """Shelve a server, off its host."""
        self._sdk.shelve_server(server.id)
        return self.wait(server, 'SHELVED_OFFLOADED')

    def unshelve(self, server: servers.Server,
                 status: str = 'ACTIVE') -> servers.Server:
        """Unshelve a server, or see that no host takes it."""
        self._sdk.unshelve_server(server.id)
        return self.wait(server, status)

    def _users(self) -> dict[str, int]:
        """Return how many servers of the image each host reports."""
        key = report.image_key(self._image)
        found = {}
        for host in self.hosts:
            said = self._cloud.client.cached_images(host)
            found[host] = 0 if said is None else sum(
                file.users for file in said if file.sha1 == key)
        return found


@scenario.scenario(name='moves', order=110, computes=3)
def moves(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """A server that moves is placed right, and counted once."""
    cloud.configure(CAP)
    play = _Play(cloud)
    one, two = play.boot('one'), play.boot('two')
    free = play.hosts - {one.host, two.host}

    migrated = play.migrate(one)
    assert {migrated.host} == free, migrated
    three = play.boot('three')
    assert three.host == one.host, three
    play.full()
    facts['cold migrate'] = 'to the free host'

    rebuilt = play.rebuild(migrated)
    assert rebuilt.host == migrated.host
    facts['rebuild'] = 'in place, at the cap'

    shelved = play.shelve(two)
    four = play.boot('four')
    assert four.host == two.host, four
    play.unshelve(shelved, 'SHELVED_OFFLOADED')
    play.delete(four)
    back = play.unshelve(shelved)
    assert back.host == two.host, back
    play.full()
    facts['unshelve'] = 'not above the cap; to the free host'

    play.delete(back)
    evacuated = play.evacuate(three)
    assert evacuated.host == back.host, evacuated
    play.repair(three.host)
    last = play.boot('last')
    assert last.host == three.host, last
    play.full()
    facts['evacuate'] = 'to the free host'
