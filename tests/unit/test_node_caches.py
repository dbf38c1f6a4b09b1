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

from cache_aware_sched.scheduler import node_caches
from tests.unit import base


class TestNodeCaches(base.TestCase):

    def setUp(self):
        super().setUp()
        self.caches = node_caches.NodeCaches()
        self.now = 1000.0

    def pass_by(self, seconds):
        self.now += seconds
        self.caches.sweep(self.now)

    def get(self, key, node):
        cache = self.caches.of(key)
        return cache.get(node) or cache.older(node)

    def test_keys_are_told_apart(self):
        for key in 'ab':
            self.caches.of(key)['node'] = key * 3

        self.assertEqual(['aaa', 'bbb', None], [
            self.get(key, 'node') for key in 'abc'])

    def test_key_that_was_not_asked_for_the_longest_is_forgotten(self):
        for key in range(node_caches.MAX_CACHES):
            self.caches.of(key)['node'] = 'x'
        self.caches.of(0)

        self.caches.of('new')

        # A cache that is asked for anew takes the place of another one.
        self.assertEqual(['x', 'x', None], [
            self.get(key, 'node') for key in (0, 2, 1)])

    def test_node_that_was_asked_for_is_remembered(self):
        self.caches.of('a')['node'] = 'x'

        for _sweep in range(4):
            self.pass_by(node_caches.SWEEP_EVERY)
            self.assertEqual('x', self.get('a', 'node'))

    def test_node_that_was_not_is_forgotten(self):
        cache = self.caches.of('a')
        cache.update(node='x', gone='y')

        for _sweep in range(2):
            self.pass_by(node_caches.SWEEP_EVERY)
            self.get('a', 'node')

        self.assertIsNone(self.get('a', 'gone'))
        self.assertEqual(1, len({**cache, **cache._older}))

    def test_nothing_is_forgotten_before_it_is_time(self):
        self.pass_by(0)
        self.caches.of('a')['node'] = 'x'

        for _sweep in range(3):
            self.pass_by(node_caches.SWEEP_EVERY / 4)

        self.assertEqual('x', self.caches.of('a').get('node'))
