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

"""What is needed stays, and what nobody needs goes for it."""

import os

from nova.compute import task_states
from nova import objects

from cache_aware_sched.testing import stage
from cache_aware_sched.testing.stage import DAY
from cache_aware_sched.testing.stage import GIB
from cache_aware_sched.testing.stage import HOST
from cache_aware_sched.testing.stage import image
from cache_aware_sched.testing.stage import MIB
from cache_aware_sched.testing.stage import OTHER_HOST
from cache_aware_sched.testing.stage import SETTLED
from cache_aware_sched.testing.stage import sha1


class Traits(stage.StoreStage):
    """What sets the managers apart; the rest is the same for all.

    :cvar evicts: whether the manager lets go of anything for a limit
    :cvar keeps_unused: whether it keeps what nobody uses until a limit asks
        for room
    :cvar expires: whether it lets go of what was not used for long, though no
        limit asks for room
    """

    evicts = True
    keeps_unused = True
    expires = False

    def unneeded(self, *numbers: int, of: int = 1) -> tuple[int, ...]:
        """Return the images that a manager keeps that evicts some.

        :param of: how many go, the first of them first
        """
        if not self.evicts:
            return numbers
        return numbers[of:] if self.keeps_unused else ()

    def squeeze(self) -> tuple[int, ...]:
        """Have nothing fit but one image that is needed.

        :returns: what is left then of what nobody needs
        """
        self.configure(image_cache_max_size_gb=1, image_cache_max_images=1)
        self.put_images(901, 902, size=2 * GIB, age=9 * DAY)
        return () if self.evicts else (901, 902)

    def assert_stay(self, *numbers: int) -> None:
        """See images stay in a pass, and before a fetch."""
        self.put_images(*numbers, size=MIB, age=10 * DAY)
        unneeded = self.squeeze()
        manager = self.run_pass()

        self.assert_left(*numbers, *unneeded)
        if not unneeded:
            self.squeeze()
        with self.fetching(900, manager=manager):
            self.assert_left(*numbers, *unneeded)

    def protect(self, *lines: str) -> None:
        """Write the file of the protected images."""
        path = os.path.join(self.instances_path, 'protected')
        with open(f'{path}.new', 'w') as file:
            file.write(''.join(f'{line}\n' for line in lines))
        os.replace(f'{path}.new', path)
        self.configure(protected_images_file=path)


class NeededSuite(Traits):
    """What somebody needs stays, and what nobody needs goes for it."""

    def test_image_of_a_server(self) -> None:
        """By nova's database."""
        self.boot(1)

        self.assert_stay(1)

    def test_images_of_a_server(self) -> None:
        """A server may be booted with a kernel and a ramdisk."""
        self.boot(1, kernel_id=image(2), ramdisk_id=image(3))

        self.assert_stay(1, 2, 3)

    def test_image_of_a_server_that_moves_here(self) -> None:
        """Its row names the other host until it is here."""
        moving = self.boot(1, host=OTHER_HOST,
                           task_state=task_states.RESIZE_MIGRATING)
        self.database.migrations.append(objects.Migration(
            instance_uuid=moving.uuid, status='migrating',
            source_compute=OTHER_HOST, dest_compute=HOST))

        self.assert_stay(1)

    def test_image_of_a_server_elsewhere(self) -> None:
        """Its host has an image cache of its own."""
        self.boot(901, host=OTHER_HOST)
        unneeded = self.squeeze()

        self.run_pass()

        self.assert_left(*unneeded)

    def test_what_only_the_store_can_see(self) -> None:
        """A disk of which nova's database knows nothing."""
        self.put_image(image(1), MIB, 10 * DAY)
        self.use_image(image(1))
        self.store.touch()
        unneeded = self.squeeze()

        self.run_pass()

        self.assert_left(1, *unneeded)

    def test_server_that_is_just_being_made(self) -> None:
        """Nothing shows yet that it needs its image."""
        self.put_image(image(1), MIB, 10 * DAY)
        unneeded = self.squeeze()
        manager = self.start()

        with manager.cache.using(image(1)):
            self.run_pass(manager)

            self.assert_left(1, *unneeded)

    def test_image_that_is_being_fetched(self) -> None:
        """It is kept while it arrives, and the room for it too."""
        unneeded = self.squeeze()

        with self.fetching(1) as manager:
            self.put_image(image(1), MIB, 0)
            self.run_pass(manager)

            self.assert_left(1, *unneeded)

    def test_what_is_left_of_a_fetch(self) -> None:
        """It goes when nobody has written to it for long."""
        self.configure(image_cache_max_size_gb=1)
        self.put_part(image(1), age=0)
        self.put_part(image(2), age=DAY)

        self.run_pass()

        self.assertEqual([sha1(1)], [
            entry.sha1 for entry in self.store.entries(self.store.now())])

    def test_protected_by_option(self) -> None:
        """Also if the option spells the id otherwise."""
        self.configure(protected_images=[image(1).upper()])

        self.assert_stay(1)

    def test_protected_by_file(self) -> None:
        """The file may have comments."""
        self.protect('# golden', image(1))

        self.assert_stay(1)

    def test_protection_that_cannot_be_read(self) -> None:
        """Nobody knows what it protects: all stays."""
        self.configure(protected_images_file=os.path.join(
            self.instances_path, 'nothing'))
        self.squeeze()

        self.run_pass()

        self.assert_left(901, 902)

    def test_critical_image(self) -> None:
        """What a host must hold is protected."""
        self.configure(critical_images=[image(1)])

        self.assert_stay(1)

    def test_critical_image_of_an_aggregate(self) -> None:
        """The aggregates of the host are asked in each pass."""
        self.database.aggregates = {'golden': {'critical_images': image(1)}}
        self.put_image(image(1), MIB, 10 * DAY)
        unneeded = self.squeeze()

        self.run_pass()

        self.assert_left(1, *unneeded)

    def test_database_that_does_not_answer(self) -> None:
        """Nobody knows what is in use: all stays, and fetches go on."""
        self.squeeze()
        self.database.answers = False

        with self.assertLogs('cache_aware_sched', 'ERROR'):
            manager = self.run_pass()
            with self.fetching(900, manager=manager):
                pass

        self.assert_left(901, 902)

    def test_use_is_noted(self) -> None:
        """A pass touches what servers use."""
        self.boot(1)
        self.put_images(1, age=DAY)

        self.run_pass()

        self.assertAlmostEqual(
            self.store.now(), self.entry(1).last_used,
            delta=self.accuracy + 60)

    def test_unused_for_long(self) -> None:
        """What nova's own manager would remove goes with some."""
        self.configure('image_cache',
                       remove_unused_original_minimum_age_seconds=DAY)
        self.put_images(1, age=2 * DAY)
        self.put_images(2, age=SETTLED)

        self.run_pass()

        self.assert_left(*(() if self.expires else (1,)),
                         *((2,) if self.keeps_unused else ()))

    def test_unused_for_long_though_nova_is_to_remove_nothing(self) -> None:
        """Then only a limit asks for room."""
        self.configure('image_cache', remove_unused_base_images=False)
        self.put_images(1, age=99 * DAY)

        self.run_pass()

        self.assert_left(*((1,) if self.keeps_unused else ()))
