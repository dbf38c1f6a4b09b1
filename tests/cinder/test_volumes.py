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

import collections
import datetime
import os
import threading
import uuid

from cinder import context
from cinder.db import api as db
from cinder.tests.unit.image import fake as fake_image

from cache_aware_sched.cinder import recent
from cache_aware_sched.cinder import weights
from tests.cinder import services


def shares(pools):
    """Return how many volumes each pool got, the most first."""
    return sorted(collections.Counter(pools).values(), reverse=True)


class TestStock(services.ServicesTestCase):
    """Cinder alone: what the others are compared with."""

    weighers = services.STOCK

    def test_every_backend_fetches_the_image(self):
        pools = self.create(8)

        self.assertEqual(4, len(self.fleet.fetched))
        self.assertEqual([2, 2, 2, 2], shares(pools))

    def test_every_backend_fetches_the_image_at_once(self):
        pools = self.create_at_once(8)

        self.assertEqual(4, len(self.fleet.fetched))
        self.assertEqual([2, 2, 2, 2], shares(pools))

    def test_cold_volume_counts_three_misses(self):
        """Cinder's own notifications; the page for operators says so."""
        self.create()
        self.assertEqual({'miss': 3}, self.counted())

        self.create(4)

        self.assertEqual(4, len(self.fleet.fetched))
        self.assertEqual({'miss': 4 * 3, 'hit': 1 * 2}, self.counted())

    def counted(self):
        prefix = 'image_volume_cache.'
        return collections.Counter(
            notification['event_type'].removeprefix(prefix)
            for notification in self.notifier.notifications
            if notification['event_type'].startswith(prefix))


class TestVolumes(services.ServicesTestCase):

    def test_half_of_the_backends_fetch_the_image(self):
        pools = self.create(8)

        self.assertEqual(2, len(self.fleet.fetched))
        self.assertEqual([4, 4], shares(pools))

    def test_at_once(self):
        """No cached volume is there when the last one is scheduled."""
        asked = threading.Event()
        self.fleet.fetching = lambda pool: asked.wait(30)
        self.addCleanup(asked.set)
        volumes = [self.post() for _ in range(8)]
        self.wait(lambda: all(self.row(volume).host for volume in volumes),
                  'all volumes are scheduled')
        self.assertEqual([], self.entries())

        asked.set()

        pools = [self.pool(self.ready(volume)) for volume in volumes]
        self.assertEqual(2, len(self.fleet.fetched))
        self.assertEqual([4, 4], shares(pools))

    def test_volume_has_the_data_of_the_image(self):
        volumes = [self.ready(self.post(size=size)) for size in (1, 2)]

        self.assertEqual(1, len(self.fleet.fetched))
        for volume in volumes:
            path = os.path.join(self.fleet.directory, self.pool(volume),
                                f'volume-{volume}')
            with open(path, 'rb') as file:
                self.assertEqual(self.data, file.read(len(self.data)))

    def test_other_image_goes_elsewhere(self):
        [first] = self.create()

        [second] = self.create(image=self.another())

        self.assertNotEqual(first, second)

    def another(self):
        image = str(uuid.uuid4())
        meta = fake_image.FakeImageService().show(None, services.IMAGE)
        fake_image.FakeImageService().create(None, {**meta, 'id': image})
        return image

    def test_image_that_has_changed_is_fetched_once(self):
        self.create(2)
        later = datetime.datetime.now(datetime.UTC).replace(
            microsecond=0) + datetime.timedelta(hours=1)
        fake_image.FakeImageService().images[services.IMAGE][
            'updated_at'] = later
        before = len(self.fleet.fetched)

        pools = self.create(2)

        self.assertEqual(before + 1, len(self.fleet.fetched))
        self.assertEqual([2], shares(pools))

    def test_limit_of_clones(self):
        """Cinder deletes the cached volume, and schedules the volume anew."""
        self.fleet.clone_limit = 2

        pools = self.create(8)

        self.assertEqual([3, 3, 2], shares(pools))
        self.assertEqual(3, len(self.fleet.fetched))

    def test_database_of_the_cache_is_down(self):
        self.mock_object(weights.db, 'image_volume_cache_get_all',
                         side_effect=Exception('gone'))
        # The volume services read the same table; the first volume of each
        # backend makes its cached volume without that.
        pools = self.create(4)

        self.assertEqual([1, 1, 1, 1], shares(pools))

    def test_snapshot_and_volume_are_left_to_cinder(self):
        source = self.ready(self.post())
        asked = self.mock_object(
            weights.db, 'image_volume_cache_get_all',
            wraps=db.image_volume_cache_get_all)

        found = self.api.post_volume(
            {'volume': {'size': 1, 'source_volid': source}})['id']

        self.assertEqual(self.pool(source), self.pool(self.ready(found)))
        snapshot = self.api.post_snapshot(
            {'snapshot': {'volume_id': source}})['id']
        self.wait(lambda: self.api.get_snapshot(snapshot)['status']
                  == 'available', 'the snapshot is made')
        found = self.api.post_volume(
            {'volume': {'size': 1, 'snapshot_id': snapshot}})['id']
        self.assertEqual(self.pool(source), self.pool(self.ready(found)))
        asked.assert_not_called()

    def test_encrypted_volumes_are_spread(self):
        """Each is fetched, so no backend is better than another."""
        volume_type = self.api.create_type('encrypted')
        self.api.api_post(f'/types/{volume_type["id"]}/encryption', {
            'encryption': {
                'provider': 'luks', 'cipher': 'aes-xts-plain64',
                'key_size': 256, 'control_location': 'front-end'}})

        pools = self.create(4, volume_type='encrypted')

        self.assertEqual([1, 1, 1, 1], shares(pools))
        self.assertEqual(4, len(self.fleet.fetched))
        self.assertEqual([], self.entries())


class TestGroups(services.ServicesTestCase):

    _osapi_version = '3.20'

    def test_volumes_of_a_group_share_its_cached_volume(self):
        """Cinder puts them all on its backend, whatever the others hold."""
        pools = self.create()
        group = self.group()

        found = self.create(
            3, group_id=group.id, volume_type=self.TYPE)

        self.assertEqual({group.host}, set(found))
        self.assertNotIn(group.host, pools)
        self.assertEqual(2, len(self.fleet.fetched))
        self.assertEqual([3], recent.shared().look(
            services.IMAGE, [(group.host, group.host)], (), 300).counts)

    def group(self):
        """Return a group on a backend that holds nothing of the image."""
        kind = self.api.create_group_type('group')['id']
        group = self.api.post_group({'group': {
            'group_type': kind, 'volume_types': [self.TYPE]}})['id']
        self.wait(lambda: self.api.get_group(group)['status'] == 'available',
                  'the group is made')
        return db.group_get(context.get_admin_context(), group)


class TestBackendsWithoutCache(services.ServicesTestCase):

    def prepare(self):
        self.fleet.clones_images = set(self.backends)
        for backend in self.backends:
            self.fleet.says[backend] = {'storage_protocol': 'ceph'}

    def test_volumes_are_spread(self):
        pools = self.create(8)

        self.assertEqual([2, 2, 2, 2], shares(pools))
        self.assertEqual(0, len(self.fleet.fetched))


class TestPools(services.ServicesTestCase):

    backends = ('a@files', 'b@files')
    pools = ('p', 'q')

    def test_one_pool_of_each_backend_holds_the_image(self):
        pools = self.create(8)

        self.assertEqual(2, len(self.fleet.fetched))
        self.assertEqual([4, 4], shares(pools))


class TestCloneAcrossPools(services.ServicesTestCase):

    backends = ('a@files',)
    pools = ('p', 'q')

    def prepare(self):
        self.fleet.says['a@files'] = {'clone_across_pools': True}

    def test_pools_share_the_cached_volume(self):
        pools = self.create(8)

        self.assertEqual(1, len(self.fleet.fetched))
        self.assertEqual([4, 4], shares(pools))


class TestClusters(services.ServicesTestCase):
    """Two hosts serve each backend."""

    clusters = {'a1@files': 'a@files', 'a2@files': 'a@files',
                'b1@files': 'b@files', 'b2@files': 'b@files'}
    backends = tuple(clusters)

    def start_backend(self, backend):
        return super().start_backend(
            backend, cluster=self.clusters[backend])

    def test_cached_volume_serves_the_cluster(self):
        pools = self.create(8)

        entries = self.entries()
        self.assertEqual(2, len(self.fleet.fetched))
        self.assertEqual({'a@files#p', 'b@files#p'},
                         {entry.cluster_name for entry in entries})
        self.assertEqual([4, 4], shares(pool[0] for pool in pools))
