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

import os

from tests.unit import managers
from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import image
from tests.unit.managers import OTHER_HOST
from tests.unit.managers import sha1


class InUseSuite:
    """What somebody needs stays, and what nobody needs goes for it."""

    def test_image_of_a_server(self):
        self.boot(1)

        self.assert_stays(*self.put_images(1))

    def test_resized_copies_of_the_image_of_a_server(self):
        self.boot(1)
        names = [self.put(f'{sha1(1)}{ending}', 2 ** 20)
                 for ending in ('', '_5', '_20', f'_{20 * GIB}', '_sm')]

        self.assert_stays(*names)

    def test_kernel_and_ramdisk(self):
        self.boot(1, kernel_id=image(2), ramdisk_id=image(3))

        self.assert_stays(*self.put_images(1, 2, 3, size=2 ** 20))

    def test_swap_disk(self):
        self.boot(1, disks=[managers.swap_disk(512)])

        self.assert_stays(self.put('swap_512', 2 ** 29))

    def test_ephemeral_disk(self):
        self.boot(1, disks=[managers.ephemeral_disk(1)])

        self.assert_stays(self.put(managers.ephemeral_name(1)))

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

        with manager.using(image(1), None):
            self.set_age(os.path.join(self.cache, sha1(1)), 10 * DAY)
            self.run_pass(manager)

            self.assert_left(sha1(1), *(() if self.evicts else unused))

    def test_image_that_a_server_was_made_of_just_now(self):
        """The claim of another process is seen by the time of the file."""
        def other_process(entry):
            with self.start().using(image(902)):
                pass

        manager = self.meddle(other_process)

        self.run_pass(manager)

        self.assertIn(sha1(902), self.names())

    def meddle(self, meddle):
        """Return a manager for which things happen before each removal."""
        self.squeeze()
        return self.start(store=managers.MeddlingStore(HOST, meddle))
