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

"""What operators and the scheduler are told, and what goes wrong."""

from typing import Any

from cache_aware_sched.imagecache import entry as entry_mod
from cache_aware_sched.imagecache import store as store_mod
from cache_aware_sched.testing import needed
from cache_aware_sched.testing.stage import DAY
from cache_aware_sched.testing.stage import GIB
from cache_aware_sched.testing.stage import HOST
from cache_aware_sched.testing.stage import image
from cache_aware_sched.testing.stage import MIB
from cache_aware_sched.testing.stage import server
from cache_aware_sched.testing.stage import sha1


class ToldSuite(needed.Traits):
    """Hits, misses and evictions are told."""

    def test_hit_and_miss(self) -> None:
        """Each boot is one of both."""
        told = self.listen()
        manager, uuid = self.start(), server().uuid

        for hit in (True, False):
            manager.cache.booted(self.context, image(1), hit, GIB, uuid)

        for event in ('hit', 'miss'):
            self.assertEqual(
                [{'image_id': image(1), 'host': HOST, 'size': GIB,
                  'file': sha1(1), 'instance_uuid': uuid, 'reason': None}],
                told(event))

    def test_evictions(self) -> None:
        """Each is told, with the image if anybody knows it."""
        told = self.listen()
        manager = self.start()
        with manager.cache.using(image(901)):
            pass
        self.squeeze()
        known = self.entry(902).image_id

        manager = self.run_pass()

        self.assertEqual(
            {(image(901), 2 * GIB), (known, 2 * GIB)}
            if self.evicts else set(),
            {(one['image_id'], one['size']) for one in told('evict')})
        self.assertEqual(1 if self.evicts else 0, self.changes)
        self.run_pass(manager)
        self.assertEqual(1 if self.evicts else 0, self.changes)

    def test_popularity_after_a_restart(self) -> None:
        """What is remembered of the boots outlives nova-compute."""
        if self.store.history_path() is None:
            self.skipTest('this store has no history')
        self.put_images(1)
        manager = self.start()
        for _ in range(3):
            manager.cache.booted(self.context, image(1), True, GIB,
                                 server().uuid)

        listing = self.start().cache.look()

        [entry] = listing.entries
        self.assertEqual(image(1), entry.image_id)
        self.assertAlmostEqual(3.0, entry.boots, places=2)

    def test_eviction_that_an_operator_asks_for(self) -> None:
        """By the id; it needs no limit, and what is in use stays."""
        self.boot(1)
        self.put_images(1, 2)
        manager = self.start()

        kept, gone = (manager.cache.evict_image(image(number))
                      for number in (1, 2))

        self.assertIn('1 server', kept[0].kept)
        self.assertEqual([''], [answer.kept for answer in gone])
        self.assert_left(1)

    def test_room_that_is_reported(self) -> None:
        """It is what a fetch can have without any eviction."""
        self.configure(image_cache_max_size_gb=4)
        self.limit_disk(100)
        self.put_images(1)

        self.assertEqual(3 * GIB, self.start().cache.room())


class TroubleSuite(needed.Traits):
    """What goes wrong harms nothing."""

    def test_store_that_cannot_be_read(self) -> None:
        """A pass says so, and a boot goes on."""
        self.squeeze()
        manager = self.start()
        self.break_store()

        with self.assertLogs('cache_aware_sched', 'WARNING'):
            self.run_pass(manager)
            with self.fetching(1, manager=manager):
                pass
        manager.cache.fetched(image(1))

        self.assertEqual(0, self.changes)

    def test_removal_that_fails(self) -> None:
        """The others go."""
        unneeded = self.squeeze()
        manager = self.start()
        remove = manager.store.remove
        stuck = self.entry(901)

        def fail(entry: entry_mod.Entry, *args: Any) -> store_mod.Removal:
            if entry.name == stuck.name:
                return store_mod.Removal.FAILED
            return remove(entry, *args)

        self.patch_object(manager.store, 'remove', fail)

        self.run_pass(manager)

        self.assert_left(901, *(number for number in unneeded
                                if number != 901))

    def test_boot_that_begins_before_the_removal(self) -> None:
        """It has claimed its image, and finds it there."""
        self.put_images(1, size=2 * GIB, age=9 * DAY)
        self.configure(image_cache_max_size_gb=1)
        manager = self.start()
        remove = manager.store.remove

        def meddle(entry: entry_mod.Entry, *args: Any,
                   ) -> store_mod.Removal:
            manager.store.claim(sha1(1))
            return remove(entry, *args)

        self.patch_object(manager.store, 'remove', meddle)

        self.run_pass(manager)

        self.assert_left(1)

    def test_image_that_somebody_has_locked(self) -> None:
        """It stays until the next pass."""
        unneeded = self.squeeze()

        with self.locked(image(901)):
            self.run_pass()

        self.assert_left(901, *(number for number in unneeded
                                if number != 901))

    def test_policy_that_fails(self) -> None:
        """It evicts nothing."""
        self.put_images(1, 2, size=MIB)
        self.configure(image_cache_max_images=1)
        manager = self.start()

        def fail(*args: object) -> None:
            raise RuntimeError('no idea')

        for name in ('order', 'expired'):
            self.patch_object(manager, name, fail)

        with self.assertLogs('cache_aware_sched', 'ERROR'):
            self.run_pass(manager)

        self.assert_left(1, 2)
