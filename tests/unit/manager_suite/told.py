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

"""What operators are told."""

import os
import time

from tests.unit import managers
from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import HOUR
from tests.unit.managers import image
from tests.unit.managers import sha1

MIB = 2 ** 20


class ToldSuite:
    """What operators and the scheduler get to see."""

    def test_notifications(self):
        notifier = self.listen()
        self.boot(901)
        self.run_pass()
        del self.database.servers[:]
        self.squeeze()

        self.run_pass()

        by_file = {payload['file']: payload
                   for payload in self.evictions(notifier)}
        if not self.evicts:
            self.assertEqual({}, by_file)
            return
        reason = by_file[sha1(901)].pop('reason')
        self.assertEqual(self.reason, reason)
        self.assertEqual(
            {'image_id': image(901), 'host': HOST, 'size': 2 * GIB,
             'file': sha1(901), 'instance_uuid': None}, by_file[sha1(901)])
        self.assertIsNone(by_file[sha1(902)]['image_id'])

    def test_versioned_notification(self):
        notifier = self.listen()
        self.squeeze()

        self.run_pass()

        versioned = [
            payload['nova_object.data'] for _context, _event, payload in (
                call.args for call in notifier.info.call_args_list)
            if 'nova_object.data' in payload]
        self.assertEqual(self.evictions(notifier), versioned)
        self.assertEqual(2 if self.evicts else 0, len(versioned))

    def test_image_that_is_protected_or_booted_is_known_by_its_id(self):
        manager = self.start()
        manager.cache.booted(self.context, image(901), True, 1,
                             managers.server().uuid)
        with manager.cache.using(image(902)):
            pass
        notifier = self.listen()
        self.squeeze()

        self.run_pass()

        self.assertEqual(
            {image(901), image(902)} if self.evicts else set(),
            {payload['image_id'] for payload in self.evictions(notifier)})

    def test_notification_that_cannot_be_sent(self):
        notifier = self.listen()
        notifier.info.side_effect = RuntimeError('no bus')
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*(() if self.evicts else unused))
        self.assertEqual(1 if self.evicts else 0, len(self.warnings()))

    def test_scheduler_is_told_once_a_pass(self):
        self.squeeze()

        manager = self.run_pass()

        self.assertEqual(1 if self.evicts else 0, self.changes)
        self.run_pass(manager)
        self.assertEqual(1 if self.evicts else 0, self.changes)

    def test_scheduler_is_told_before_a_fetch(self):
        self.squeeze()
        self.glance.add(4, GIB)

        with self.start().cache.fetching(self.context, image(4)):
            self.assertEqual(1 if self.evicts else 0, self.changes)

    def test_line_of_a_pass(self):
        self.boot(1)
        self.set(protected_images=[image(2)])
        self.put_images(1, 2, size=MIB)
        self.squeeze()

        self.run_pass()

        gone = (f'evicted 2 ({4 * GIB} bytes, {self.reason} 2)'
                if self.evicts else
                'evicted 0 (0 bytes); still exceeded: '
                'image_cache_max_size_gb, image_cache_max_images')
        if self.evicts:
            gone += '; still exceeded: image_cache_max_images'
        self.assertEqual(
            f'Image cache of host {HOST}: 4 files, {4 * GIB + 2 * MIB} '
            f'bytes; in use 1, protected 1, {gone}', self.logged()[-1])

    def test_line_of_each_eviction(self):
        with self.start().cache.using(image(902)):
            pass
        unused = self.squeeze()

        self.run_pass()

        gone = zip(unused, ('unknown', image(902)), strict=True)
        self.assertEqual(
            [f'Host {HOST} evicted {name} (image {image_id}, {2 * GIB} '
             f'bytes): {self.reason}' for name, image_id in gone]
            if self.evicts else [], sorted(self.logged()[:-1]))

    def test_dry_run(self):
        self.set(image_cache_dry_run=True)
        notifier = self.listen()
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*unused)
        *lines, summary = self.logged()
        gone = unused if self.evicts else []
        self.assertEqual(
            [f'Host {HOST} would evict {name} (image unknown, {2 * GIB} '
             f'bytes): {self.reason}' for name in gone], sorted(lines))
        self.assertIn(f'would evict {len(gone)} ', summary)
        self.assertEqual([], self.evictions(notifier))
        self.assertEqual(0, self.changes)

    def test_dry_run_before_a_fetch(self):
        self.set(image_cache_dry_run=True)
        notifier = self.listen()
        unused = self.squeeze()
        self.glance.add(4, GIB)

        left = self.fetch(self.start(), 4)

        self.assertEqual(set(unused), left)
        self.assertEqual([], self.evictions(notifier))
        self.assertEqual(0, self.changes)

    def test_dry_run_refuses_no_pre_cache(self):
        """A limit is tried; what is fetched ahead of time is not."""
        self.set(image_cache_dry_run=True, image_cache_max_size_gb=3)
        self.boot(1)
        self.set(protected_images=[image(2)])
        names = self.put_images(1, 2)
        for number, size in ((4, 4 * GIB), (5, 2 * GIB)):
            self.glance.add(number, size)

            left = self.fetch(self.start(), number, ahead=True)

            self.assertEqual(set(names), left)
            self.assertIn(
                f'would not fetch image {image(number)} ahead of time',
                self.logged()[-1])

    def test_what_is_used_is_touched_in_a_dry_run_too(self):
        self.set(image_cache_dry_run=True)
        self.boot(1)
        [name] = self.put_images(1, age=9 * DAY)

        self.run_pass()

        self.assertGreater(
            os.stat(os.path.join(self.cache, name)).st_mtime,
            time.time() - HOUR)
