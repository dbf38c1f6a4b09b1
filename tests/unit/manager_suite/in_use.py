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

"""What is in use stays."""

import contextlib
import os

import fixtures

from tests.unit import managers
from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import image
from tests.unit.managers import OTHER_HOST
from tests.unit.managers import sha1


class InUseSuite:
    """What somebody needs stays, and what nobody needs goes for it."""

    def test_resized_copies_of_the_image_of_a_server(self):
        self.boot(1)
        names = [self.put(f'{sha1(1)}{ending}', 2 ** 20)
                 for ending in ('', '_5', '_20', f'_{20 * GIB}', '_sm')]

        self.assert_stays(*names)

    def test_swap_disk(self):
        self.boot(1, disks=[managers.swap_disk(512)])

        self.assert_stays(self.put('swap_512', 2 ** 29))

    def test_ephemeral_disk(self):
        self.boot(1, disks=[managers.ephemeral_disk(1)])

        self.assert_stays(self.put(managers.ephemeral_name(1)))

    def test_second_ephemeral_disk(self):
        self.boot(1, disks=[managers.ephemeral_disk(1),
                            managers.ephemeral_disk(2),
                            managers.ephemeral_disk(3)])

        self.assert_stays(*[self.put(managers.ephemeral_name(gib), 2 ** 20)
                            for gib in (1, 2, 3)])

    def test_ephemeral_disk_with_another_file_system(self):
        self.boot(1, disks=[managers.ephemeral_disk(1)])

        self.assert_stays(self.put('ephemeral_1_abcdef0'))

    def test_empty_disks_of_other_sizes_go(self):
        self.boot(1, disks=[managers.swap_disk(512),
                            managers.ephemeral_disk(1)])
        others = [self.put(name, 2 * GIB, 9 * DAY) for name in (
            'swap_51', 'swap_5120', managers.ephemeral_name(11),
            'ephemeral_10_abcdef0')]
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*(() if self.evicts else (*others, *unused)))

    def test_empty_disks_while_a_server_is_made(self):
        """Nobody can tell which it gets."""
        self.assert_empty_disks_stay(image(1))

    def test_empty_disks_while_a_server_is_made_that_boots_from_a_volume(self):
        self.assert_empty_disks_stay('', None)

    def assert_empty_disks_stay(self, *image_ids):
        """See them stay while a server is made, and go afterwards."""
        blank = [self.put(name, 2 * GIB, 9 * DAY) for name in (
            'swap_512', managers.ephemeral_name(1))]
        unused = self.squeeze()
        self.glance.add(900, GIB)
        manager = self.start()

        with manager.cache.using(*image_ids):
            for make_room in (self.run_pass, self.fetch):
                make_room(manager)
                self.assert_left(*blank, *(() if self.evicts else unused))

        self.run_pass(manager)
        self.assert_left(*(() if self.evicts else (*blank, *unused)))

    def test_empty_disks_of_a_server_that_moves_here(self):
        """Its row names the other host, and its disks are not here yet."""
        moving = self.boot(1, [managers.swap_disk(512),
                               managers.ephemeral_disk(1)], host=OTHER_HOST)
        self.migrate(moving, 'migrating', OTHER_HOST, HOST)

        self.assert_stays(self.put('swap_512'),
                          self.put(managers.ephemeral_name(1)))

    def test_server_whose_move_ends_while_the_database_is_asked(self):
        """It is in one answer or the other, whichever is first."""
        moving = self.boot(1, host=OTHER_HOST)
        self.migrate(moving, 'finished', OTHER_HOST, HOST)
        servers_by = self.database.servers_by

        def end(context, filters, **kwargs):
            found = servers_by(context, filters, **kwargs)
            if 'host' in filters:
                moving.host, moving.task_state = OTHER_HOST, None
                self.database.migrations.clear()
            return found

        self.useFixture(fixtures.MockPatchObject(
            managers.objects.InstanceList, 'get_by_filters', end))
        kept = self.put_images(1)

        self.squeeze()
        self.run_pass()

        self.assertLessEqual(set(kept), self.names())

    def test_empty_disks_of_a_server_that_begins_to_be_made(self):
        """After the pass has looked what is in use."""
        names = [self.put('swap_512', 2 * GIB, 9 * DAY),
                 self.put(managers.ephemeral_name(1), 2 * GIB, 9 * DAY)]
        with contextlib.ExitStack() as boots:
            manager = self.meddle(lambda entry: boots.enter_context(
                manager.cache.using(image(1))))

            self.run_pass(manager)

            self.assertLessEqual(set(names), self.names())

    def test_server_that_was_claimed_after_nova_listed_them(self):
        names = self.put_images(1, age=10 * DAY)
        unused = self.squeeze()
        listed = managers.objects.InstanceList(objects=[])

        self.boot(1, host=HOST)
        self.start().update(self.context, listed)

        self.assert_left(*names, *(() if self.evicts else unused))

    def test_server_that_only_nova_s_list_has(self):
        names = self.put_images(1, age=10 * DAY)
        unused = self.squeeze()
        listed = managers.objects.InstanceList(objects=[self.boot(1)])
        self.database.clear()

        self.start().update(self.context, listed)

        self.assert_left(*names, *(() if self.evicts else unused))

    def test_no_replica_of_the_database_is_asked(self):
        """It may not know yet who has just been claimed."""
        self.squeeze()
        self.glance.add(900, GIB)
        asked = self.useFixture(fixtures.MockPatchObject(
            managers.objects.InstanceList, 'get_by_filters',
            side_effect=self.database.servers_by)).mock

        for make_room in (self.run_pass, self.fetch):
            asked.reset_mock()
            self.squeeze()
            make_room(self.start())

            asked.assert_called()
            self.assertNotIn(True, [call.kwargs.get('use_slave')
                                    for call in asked.call_args_list])

    def test_server_that_boots_from_a_volume(self):
        self.boot()
        self.boot(None, kernel_id=image(1))

        self.assert_stays(*self.put_images(1))

    def test_server_of_another_host_on_the_same_storage(self):
        self.share_storage(HOST, OTHER_HOST)
        self.boot(1, host=OTHER_HOST)

        self.assert_stays(*self.put_images(1))

    def test_server_of_a_host_that_has_its_own_storage(self):
        self.boot(1, host=OTHER_HOST)
        self.put_images(1, size=2 * GIB, age=10 * DAY)
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*(() if self.evicts else (sha1(1), *unused)))

    def test_both_ends_of_what_moves(self):
        for source, destination in (
                (HOST, OTHER_HOST), (OTHER_HOST, HOST)):
            self.database.clear()
            # The server is the other host's already, or not here yet.
            moving = self.boot(1, host=OTHER_HOST, kernel_id=image(2))
            self.migrate(moving, 'migrating', source, destination)

            self.assert_stays(*self.put_images(1, 2, size=2 ** 20))

    def test_move_in_each_state(self):
        for status in ('accepted', 'queued', 'preparing', 'pre-migrating',
                       'migrating', 'running', 'running (post-copy)',
                       'post-migrating', 'finished', 'confirming',
                       'reverting'):
            self.database.clear()
            self.migrate(self.boot(1, host=OTHER_HOST), status)
            self.put_images(1)
            self.squeeze()

            self.run_pass()

            self.assertIn(sha1(1), self.names(), status)

    def test_move_that_waits_to_be_confirmed(self):
        moved = self.boot(1, host=OTHER_HOST, vm_state='resized')
        self.migrate(moved, 'finished', task_state=None)

        self.assert_stays(*self.put_images(1, size=2 ** 20))

    def test_move_that_is_over(self):
        self.migrate(self.boot(1, host=OTHER_HOST), 'confirmed')

        self.assert_goes_with_a_pass(1)

    def test_server_that_does_not_move_whatever_its_migration_says(self):
        for status in ('accepted', 'pre-migrating', 'running', 'finished'):
            self.database.clear()
            self.migrate(self.boot(1, host=OTHER_HOST), status,
                         task_state=None)

            self.assert_goes_with_a_pass(1)

    def test_server_that_was_deleted_while_it_moved(self):
        self.migrate(self.boot(1, host=OTHER_HOST, deleted=True), 'running')

        self.assert_goes_with_a_pass(1)

    def assert_goes_with_a_pass(self, number):
        """See an image go, from a manager that evicts what nobody needs."""
        self.put_images(number, size=2 * GIB, age=10 * DAY)
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*(() if self.evicts else (sha1(number), *unused)))

    def test_image_that_a_server_is_made_of_now(self):
        self.put_images(1)
        manager = self.start()
        self.glance.add(900, GIB)
        unused = set(self.squeeze())
        manager = self.start(type(manager))

        with manager.cache.using(image(1), None):
            self.set_age(os.path.join(self.cache, sha1(1)), 10 * DAY)
            self.run_pass(manager)

            self.assert_left(sha1(1), *(() if self.evicts else unused))

    def test_image_that_a_server_was_made_of_just_now(self):
        """The claim of another process is seen by the time of the file."""
        def other_process(entry):
            with self.start().cache.using(image(902)):
                pass

        manager = self.meddle(other_process)

        self.run_pass(manager)

        self.assertIn(sha1(902), self.names())

    def meddle(self, meddle):
        """Return a manager for which things happen before each removal."""
        self.squeeze()
        return self.start(store=managers.MeddlingStore(HOST, meddle))
