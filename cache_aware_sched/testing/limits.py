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

"""The limits are kept, in a pass and before a fetch."""

from cache_aware_sched.imagecache import evictable
from cache_aware_sched.imagecache import fetches
from cache_aware_sched.testing import needed
from cache_aware_sched.testing.stage import DAY
from cache_aware_sched.testing.stage import GIB
from cache_aware_sched.testing.stage import image

_A_MOMENT = evictable.GRACE_SECONDS / 2


class LimitSuite(needed.Traits):
    """The limits are kept in a pass."""

    def test_no_limit(self) -> None:
        """Nothing asks for room."""
        self.put_images(1, 2, 3)

        self.run_pass()

        self.assert_left(*((1, 2, 3) if self.keeps_unused else ()))

    def test_size(self) -> None:
        """As many go as have to."""
        self.configure(image_cache_max_size_gb=3)
        self.put_images(1, 2, 3, 4, 5)

        self.run_pass()

        self.assert_left(*self.unneeded(1, 2, 3, 4, 5, of=2))

    def test_size_that_is_just_kept(self) -> None:
        """A limit may be reached."""
        self.configure(image_cache_max_size_gb=3)
        self.put_images(1, 2, 3)

        self.run_pass()

        self.assert_left(*((1, 2, 3) if self.keeps_unused else ()))

    def test_images(self) -> None:
        """As many go as have to."""
        self.configure(image_cache_max_images=2)
        self.put_images(1, 2, 3, 4)

        self.run_pass()

        self.assert_left(*self.unneeded(1, 2, 3, 4, of=2))

    def test_watermarks(self) -> None:
        """Above the high one all goes down to the low one."""
        self.configure(image_cache_high_watermark_percent=50,
                       image_cache_low_watermark_percent=20)
        self.limit_disk(10)
        self.put_images(1, 2, 3, 4, 5, 6)

        self.run_pass()

        self.assert_left(*self.unneeded(1, 2, 3, 4, 5, 6, of=4))

    def test_min_free(self) -> None:
        """So much stays free for the disks of servers."""
        self.configure(image_cache_min_free_gb=7)
        self.limit_disk(10)
        self.put_images(1, 2, 3, 4, 5)

        self.run_pass()

        self.assert_left(*self.unneeded(1, 2, 3, 4, 5, of=2))

    def test_image_larger_than_all_may_be(self) -> None:
        """It goes, and nothing else for it."""
        self.configure(image_cache_max_size_gb=3)
        self.put_images(1, 2, 3)
        self.put_image(image(4), 4 * GIB)

        self.run_pass()

        self.assert_left(*self.unneeded(4, 1, 2, 3))

    def test_limit_that_cannot_be_kept(self) -> None:
        """What is in use stays all the same, and the log tells."""
        self.configure(image_cache_max_images=1)
        for number in (1, 2):
            self.boot(number)
        self.put_images(1, 2, 3)

        with self.assertLogs('cache_aware_sched', 'INFO') as logs:
            self.run_pass()

        self.assert_left(1, 2, *(() if self.evicts else (3,)))
        self.assertIn('still exceeded: image_cache_max_images',
                      logs.output[-1])

    def test_just_used_goes_last(self) -> None:
        """A boot may be about to show that it uses it."""
        self.configure(image_cache_max_size_gb=1)
        self.put_image(image(1), GIB, _A_MOMENT)
        self.put_images(2, 3)

        self.run_pass()

        self.assert_left(1, *(() if self.evicts else (2, 3)))

    def test_dry_run(self) -> None:
        """Everything stays."""
        self.configure(image_cache_dry_run=True)
        self.squeeze()

        with self.fetching(1, manager=self.run_pass()):
            self.assert_left(901, 902)


class FetchSuite(needed.Traits):
    """Room is made before an image is fetched."""

    def test_boot(self) -> None:
        """What is in its way goes before."""
        self.configure(image_cache_max_size_gb=3)
        self.put_images(1, 2, 3)

        with self.fetching(4):
            self.assert_left(*self.wanted(1, 2, 3))

    def test_room_that_is_there(self) -> None:
        """Nothing need go."""
        self.configure(image_cache_max_size_gb=4, image_cache_max_images=4)
        self.put_images(1, 2, 3)

        with self.fetching(4):
            self.assert_left(1, 2, 3)

    def test_disk_that_it_would_fill(self) -> None:
        """The watermark holds with the image on the disk."""
        self.configure(image_cache_high_watermark_percent=60)
        self.limit_disk(10)
        self.put_images(1, 2, 3, 4, 5)

        with self.fetching(6, 3 * GIB):
            self.assert_left(*self.wanted(1, 2, 3, 4, 5, of=2))

    def test_boot_of_too_large_an_image(self) -> None:
        """It is fetched, and nothing goes in vain."""
        self.configure(image_cache_max_size_gb=3)
        self.put_images(1, 2, 3)

        with self.fetching(4, 4 * GIB):
            self.assert_left(1, 2, 3)

    def test_pre_caching_of_too_large_an_image(self) -> None:
        """It is refused."""
        self.configure(image_cache_max_size_gb=3)
        self.put_images(1, 2, 3)

        with self.assertRaises(fetches.NoRoom):  # noqa: SIM117
            with self.fetching(4, 4 * GIB, ahead=True):
                self.fail('it is fetched')
        self.assert_left(1, 2, 3)

    def test_pre_caching_for_which_too_much_is_needed(self) -> None:
        """It is refused before anything goes for it."""
        self.configure(image_cache_max_size_gb=3,
                       protected_images=[image(2)])
        self.boot(1)
        self.put_images(1, 2, 3)

        with self.assertRaises(fetches.NoRoom):  # noqa: SIM117
            with self.fetching(4, 2 * GIB, ahead=True):
                self.fail('it is fetched')
        self.assert_left(1, 2, 3)

    def test_two_fetches_at_once(self) -> None:
        """Room is kept for both."""
        self.configure(image_cache_max_size_gb=4)
        self.put_images(1, 2, 3)

        with self.fetching(4) as manager:
            self.assert_left(1, 2, 3)
            with self.fetching(5, manager=manager):
                self.assert_left(*self.wanted(1, 2, 3))

    def test_image_larger_than_glance_said(self) -> None:
        """Room is made for what has come."""
        self.configure(image_cache_max_size_gb=4)
        self.put_images(1, 2, 3)
        with self.fetching(5, 2 ** 20) as manager:
            self.put_image(image(5), 3 * GIB, 0)

        manager.cache.fetched(image(5))

        self.assert_left(*self.wanted(1, 2, 3, of=2), 5)

    def test_image_of_which_no_server_was_made(self) -> None:
        """It goes before what is of use to somebody."""
        self.configure(image_cache_max_size_gb=4)
        self.put_images(1, 2, 3)
        with self.fetching(5, 2 ** 20) as manager:
            self.put_image(image(5), 3 * GIB, 0)

        manager.cache.fetched(image(5), in_vain=True)

        self.assert_left(1, 2, 3, *(() if self.evicts else (5,)))

    def test_use_is_remembered(self) -> None:
        """What was used last is not the first to go."""
        self.configure(image_cache_max_images=2)
        self.put_images(1, 2, age=9 * DAY)
        manager = self.start()
        with manager.cache.using(image(1)):
            pass

        with self.fetching(3, manager=manager):
            self.assertIn(self.entry(1).name, {
                entry.name for entry in self.store.entries(
                    self.store.now())})

    def wanted(self, *numbers: int, of: int = 1) -> tuple[int, ...]:
        """Return what is left if so many have to go before a fetch."""
        return numbers[of:] if self.evicts else numbers
