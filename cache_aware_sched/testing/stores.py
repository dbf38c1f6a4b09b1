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

"""What every store has to do."""

from typing import Any

from cache_aware_sched.imagecache import entry as entry_mod
from cache_aware_sched.imagecache import store as store_mod
from cache_aware_sched.testing import removals
from cache_aware_sched.testing import stage
from cache_aware_sched.testing.stage import DAY
from cache_aware_sched.testing.stage import GIB
from cache_aware_sched.testing.stage import HOUR
from cache_aware_sched.testing.stage import image
from cache_aware_sched.testing.stage import MIB
from cache_aware_sched.testing.stage import SETTLED
from cache_aware_sched.testing.stage import sha1

Removal = store_mod.Removal


class EntriesSuite(stage.StoreStage):
    """It tells what is there."""

    def test_nothing_is_there(self) -> None:
        """Then there is nothing to be told, and nothing wrong."""
        self.assertEqual([], self.store.entries(self.store.now()))
        self.assertFalse(self.backing())

    def test_entry_of_an_image(self) -> None:
        """An image has an entry, with its size and its last use."""
        self.put_image(image(1), 2 * GIB, DAY)

        now = self.store.now()
        [entry] = self.store.entries(now)

        self.assertEqual(
            (sha1(1), entry_mod.Kind.IMAGE, 2 * GIB),
            (entry.sha1, entry.kind, entry.size))
        self.assertAlmostEqual(
            now - DAY, entry.last_used, delta=self.accuracy)

    def test_entries_of_several_images(self) -> None:
        """Each has a name of its own, which stays the same."""
        expected = self.put_images(1, 2, 3, size=MIB)

        names = [{entry.sha1: entry.name
                  for entry in self.store.entries(self.store.now())}
                 for _ in range(2)]

        self.assertEqual(expected, set(names[0]))
        self.assertEqual(3, len(set(names[0].values())))
        self.assertEqual(names[0], names[1])

    def test_order_of_the_last_uses(self) -> None:
        """The first is the one that was not used for longest."""
        self.put_images(2, 3, 1, step=3 * HOUR)

        found = sorted(self.store.entries(self.store.now()),
                       key=lambda entry: entry.used_ns)

        self.assertEqual([sha1(number) for number in (2, 3, 1)],
                         [entry.sha1 for entry in found])

    def test_entries_after_a_restart(self) -> None:
        """What is in the cache is what is in the store."""
        self.put_images(1, 2)
        before = set(self.store.entries(self.store.now()))

        after = set(self.make_store().entries(self.store.now()))

        self.assertEqual(before, after)

    def test_image_that_is_being_fetched(self) -> None:
        """It is no image yet."""
        self.put_part(image(1))

        [entry] = self.store.entries(self.store.now())

        self.assertEqual((entry_mod.Kind.TEMPORARY, sha1(1)),
                         (entry.kind, entry.sha1))

    def test_used_no_later_than_now(self) -> None:
        """A use in the future would outlive all others."""
        self.put_image(image(1), age=-DAY)

        now = self.store.now()
        [entry] = self.store.entries(now)

        self.assertLessEqual(entry.last_used, now + self.accuracy)

    def test_what_only_the_store_can_see(self) -> None:
        """A disk keeps the image that it is made on top of."""
        self.put_images(1, 2)
        self.use_image(image(1))

        self.assertIn(self.entry(1).name, self.backing())
        self.assertNotIn(self.entry(2).name, self.backing())

    def test_what_is_known_to_be_in_use(self) -> None:
        """The answer has it too."""
        self.put_images(1, 2)

        self.assertIn(self.entry(2).name,
                      self.backing({self.entry(2).name}))

    def backing(self, known: Any = ()) -> set[str]:
        """Return the names of what disks need."""
        now = self.store.now()
        return self.store.backing(
            self.store.entries(now), set(known), now - SETTLED, 60.0, True)

    def test_store_that_cannot_be_read(self) -> None:
        """Then nothing is told, rather than that nothing is there."""
        self.put_images(1)
        self.break_store()

        with self.assertRaises(OSError):
            self.store.entries(self.store.now())


class UseSuite(stage.StoreStage):
    """It notes what is used."""

    def test_touch(self) -> None:
        """What is touched was used now."""
        self.put_images(1, 2, age=DAY)

        self.store.touch(self.entry(1).name)

        now = self.store.now()
        self.assertAlmostEqual(
            now, self.entry(1).last_used, delta=self.accuracy)
        self.assertLess(self.entry(2).last_used, now - DAY / 2)

    def test_touch_of_what_is_not_there(self) -> None:
        """Nothing comes of it."""
        self.put_images(1)
        name = self.entry(1).name
        self.store.remove(self.entry(1), removals.free)

        self.store.touch(name, 'nothing')

        self.assert_left()

    def test_claim(self) -> None:
        """Who found it before cannot remove it any more."""
        self.put_images(1, age=DAY)
        found = self.entry(1)

        self.store.claim(sha1(1))

        self.assertIs(Removal.IN_USE, self.store.remove(found, removals.free))
        self.assert_left(1)

    def test_claim_of_what_is_not_there(self) -> None:
        """It is about to be fetched."""
        self.store.claim(sha1(1))

        self.assert_left()


class StoreConformance(EntriesSuite, UseSuite, removals.RemovalSuite,
                       removals.HostSuite):
    """What every :class:`cache_aware_sched.imagecache.store.Store` does."""
