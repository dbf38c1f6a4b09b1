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


"""Images that hosts must hold, whatever happens to them."""

import pathlib

from tests.cloud import disk
from tests.cloud import images
from tests.cloud import running
from tests.cloud import scenario

SIZE = 256 * disk.MIB

#: Seconds.
SPREAD = 5

#: Seconds until an image is there: a look every 30, the spread, and a fetch.
THERE = 90.0

#: Seconds until a fetch is repeated that has failed a few times.
RETRIED = 300.0


class _Keeper:
    """Lists critical images, and looks where they are."""

    def __init__(self, cloud: scenario.Cloud) -> None:
        self.cloud = cloud
        self.hosts = cloud.computes.with_libvirt
        self.list: pathlib.Path = cloud.computes.state(
            self.hosts[0]) / 'critical_images'

    def name(self, *image_ids: str) -> None:
        """Have other images critical than before."""
        new = self.list.with_suffix('.new')
        new.write_text(''.join(f'{one}\n' for one in image_ids))
        new.replace(self.list)

    def wait(self, image_id: str, within: float = THERE) -> None:
        """Wait until all hosts hold an image."""
        running.wait_for(
            f'not all hosts hold {image_id}',
            lambda: self.cloud.computes.holders(image_id) == self.hosts,
            within, poll=0.5)

    def lose(self, host: str, image_id: str) -> None:
        """Delete an image from the cache of a host."""
        (self.cloud.computes.cache(host) / images.sha1(image_id)).unlink()

    def press(self, host: str) -> None:
        """Have a host fetch another image, of which it has room for one."""
        client = self.cloud.client
        other = client.images.upload('other')
        server, _seconds = client.servers.boot('other', other, host=host)
        client.servers.delete(server.id)
        client.images.delete(other)


@scenario.scenario(order=95, computes=2)
def critical(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """Hosts hold critical images, get them back, and lose them when asked."""
    keeper = _Keeper(cloud)
    first, second, *others = keeper.hosts
    golden = cloud.client.images.upload('golden', SIZE)
    keeper.name(golden)

    cloud.configure({'cache_aware_sched': {
        'critical_images_file': str(keeper.list),
        'critical_image_spread_seconds': SPREAD,
        'image_cache_manager': 'lru', 'image_cache_max_images': 1}})
    keeper.wait(golden)
    facts['after start'] = 'on all hosts'

    keeper.lose(first, golden)
    keeper.wait(golden)
    facts['after a deletion'] = 'back'

    keeper.press(first)
    assert cloud.computes.holders(golden) == keeper.hosts
    facts['under pressure'] = 'stays'

    _be_new(keeper, second, golden)
    keeper.wait(golden)
    facts['a new host'] = 'has it'

    facts['Glance down'] = _outage(keeper, golden)
    _look(keeper)

    keeper.name()
    keeper.press(first)
    running.wait_for(
        'an image stays that is critical no more',
        lambda: cloud.computes.holders(golden) == [second, *others], 30.0)
    facts['after it was dropped'] = 'evicted'


def _be_new(keeper: _Keeper, host: str, image_id: str) -> None:
    """Start a host with an empty cache."""
    keeper.cloud.computes.stop(host)
    keeper.lose(host, image_id)
    keeper.cloud.computes.start(host)


def _outage(keeper: _Keeper, image_id: str) -> str:
    """Lose an image while Glance is down."""
    cloud, host = keeper.cloud, keeper.hosts[0]
    cloud.control.stop('glance')
    keeper.lose(host, image_id)
    running.wait_for(
        f'{host} does not say that it cannot fetch',
        lambda: cloud.computes.said(host, 'cannot fetch critical image'),
        THERE)
    cloud.control.start('glance')
    keeper.wait(image_id, RETRIED)
    warned = cloud.computes.times_said(host, 'cannot fetch critical image')
    assert warned == 1, warned
    return 'retried, one warning'


def _look(keeper: _Keeper) -> None:
    """See that the command shows it."""
    running.wait_for(
        '"host list" does not show it', lambda: all(
            (row['Critical'], row['Critical missing']) == (1, 0)
            for row in keeper.cloud.command('host', 'list')
            if row['Host'] in keeper.hosts), 60.0, poll=1.0)
