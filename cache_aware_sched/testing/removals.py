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

"""What a store does with what it is told to remove, and of its disk."""

import os
import threading

from cache_aware_sched.imagecache import file_system
from cache_aware_sched.imagecache import limits
from cache_aware_sched.imagecache import store as store_mod
from cache_aware_sched.testing import stage
from cache_aware_sched.testing.stage import DAY
from cache_aware_sched.testing.stage import GIB
from cache_aware_sched.testing.stage import HOST
from cache_aware_sched.testing.stage import image
from cache_aware_sched.testing.stage import sha1

Removal = store_mod.Removal


def free() -> bool:
    """Return that nobody uses an entry."""
    return True


class RemovalSuite(stage.StoreStage):
    """It removes what it is told, if nobody has begun to use it."""

    def test_removal(self) -> None:
        """One entry goes, and the others stay."""
        self.put_images(1, 2, 3)

        removal = self.store.remove(self.entry(2), free)

        self.assertIs(Removal.REMOVED, removal)
        self.assert_left(1, 3)

    def test_what_was_removed_already(self) -> None:
        """It is gone, which is no failure."""
        self.put_images(1)
        found = self.entry(1)
        self.store.remove(found, free)

        self.assertIs(Removal.GONE, self.store.remove(found, free))

    def test_what_is_not_free_any_more(self) -> None:
        """It is asked once more when nobody can begin to use it."""
        self.put_images(1)

        removal = self.store.remove(self.entry(1), lambda: False)

        self.assertIs(Removal.IN_USE, removal)
        self.assert_left(1)

    def test_what_has_come_back(self) -> None:
        """It is another entry than the one that was found."""
        self.put_images(1, age=DAY)
        found = self.entry(1)
        self.store.remove(found, free)
        self.put_image(image(1), age=0)

        self.store.remove(found, free)

        self.assert_left(1)

    def test_what_was_put_back_after_a_removal(self) -> None:
        """Nothing of the removal is left that would be in its way."""
        self.put_images(1)
        self.store.remove(self.entry(1), free)
        self.put_image(image(1))

        self.assertIs(
            Removal.REMOVED, self.store.remove(self.entry(1), free))
        self.assert_left()

    def test_two_at_once(self) -> None:
        """One of them removes it."""
        self.put_images(1)
        found, removals = self.entry(1), []

        def remove() -> None:
            removals.append(self.store.remove(found, free))

        threads = [threading.Thread(target=remove) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        self.assertEqual(1, removals.count(Removal.REMOVED))
        self.assertNotIn(Removal.FAILED, removals)
        self.assert_left()

    def test_image_that_somebody_has_locked(self) -> None:
        """A disk is being made of it at this very moment."""
        self.put_images(1)
        found = self.entry(1)

        with self.locked(image(1)):
            removal = self.store.remove(found, free)

        self.assertIs(Removal.IN_USE, removal)
        self.assert_left(1)

    def test_store_that_removes_nothing(self) -> None:
        """It says so, and raises nothing."""
        self.put_images(1)
        found = self.entry(1)
        self.break_store()

        removal = self.store.remove(found, free)

        self.assertIn(removal, (Removal.FAILED, Removal.IN_USE))


class HostSuite(stage.StoreStage):
    """It tells of the host, and of what the entries are on."""

    def test_hosts(self) -> None:
        """The host itself uses it."""
        self.store.register()

        self.assertIn(HOST, self.store.hosts())

    def test_time(self) -> None:
        """It is seconds since the epoch."""
        self.put_image(image(1), age=0)

        self.assertAlmostEqual(self.store.now(), self.entry(1).last_used,
                               delta=self.accuracy)

    def test_disk(self) -> None:
        """It tells what is free, or that there are no bounds."""
        self.put_images(1)

        disk = self.store.disk()

        if disk is not None:
            self.assertIsInstance(disk, limits.Disk)
            self.assertGreaterEqual(disk.available, 0)

    def test_room_that_a_removal_makes(self) -> None:
        """It is there in the end."""
        self.limit_disk(10)
        self.put_images(1, 2, size=2 * GIB)
        before = self.store.disk()

        self.store.remove(self.entry(1), free)

        after = self.store.disk()
        self.assertEqual([6 * GIB, 8 * GIB], [
            disk and disk.available for disk in (before, after)])

    def test_bytes_of_the_instances_disk(self) -> None:
        """They are a number, with and without entries."""
        self.assertGreaterEqual(self.store.disk_usage(), 0)
        self.put_images(1)

        self.assertGreaterEqual(self.store.disk_usage(), 0)

    def test_file_of_the_history(self) -> None:
        """It can be written, if there is one."""
        self.store.register()
        path = self.store.history_path()

        if path is not None:
            self.assertTrue(os.access(os.path.dirname(path), os.W_OK))

    def test_name_of_the_store(self) -> None:
        """Who reads the log knows where to look."""
        self.put_images(1)

        self.assertTrue(self.store.path())

    def test_file_system(self) -> None:
        """What cannot be told is not claimed."""
        self.assertIsInstance(
            self.store.file_system(), file_system.FileSystem)

    def test_store_that_is_broken(self) -> None:
        """What must not raise does not."""
        self.put_images(1)
        name = self.entry(1).name
        self.break_store()

        self.store.register()
        self.store.touch(name)
        self.store.claim(sha1(1))
        self.store.file_system()
        self.store.disk()
        self.store.disk_usage()

        self.assertIn(HOST, self.store.hosts())
