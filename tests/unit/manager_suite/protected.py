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

"""What is protected stays."""

import os

from tests.unit.managers import DAY
from tests.unit.managers import HOST
from tests.unit.managers import image
from tests.unit.managers import sha1


class ProtectedSuite:

    def test_resized_copy_is_protected(self):
        self.set(protected_images=[image(1)])

        self.assert_stays(self.put(f'{sha1(1)}_20'))

    def test_protected_under_every_limit(self):
        self.set(protected_images=[image(1)])
        self.limit_disk(10)
        self.put_images(1)
        for limits in ({'image_cache_max_size_gb': 1},
                       {'image_cache_high_watermark_percent': 1},
                       {'image_cache_min_free_gb': 9}):
            self.put_images(901, age=9 * DAY)
            self.set(**limits)

            self.run_pass(self.start())

            self.assert_left(sha1(1), *(
                () if self.evicts else (sha1(901),)))
            self.set(**dict.fromkeys(limits, 0))

    def test_file_is_read_again(self):
        self.protect('# nothing yet')
        unused = self.squeeze()
        manager = self.start()

        self.protect(f'{image(901)}  # the golden one', 'rubbish',
                     image(902))
        self.run_pass(manager)

        self.assert_left(*unused)
        self.assertIn("line 2 ('rubbish')", self.warnings()[0])

    def test_no_longer_protected(self):
        self.protect(image(901))
        unused = self.squeeze()
        manager = self.run_pass()
        self.assertIn(sha1(901), self.names())

        self.protect('# nothing any more')
        self.run_pass(manager)

        self.assert_left(*(() if self.evicts else unused))

    def test_missing_file(self):
        self.protect(image(901))
        unused = self.squeeze()
        manager = self.run_pass()

        os.unlink(os.path.join(self.path, 'protected'))
        self.run_pass(manager)
        self.run_pass(manager)

        self.assertIn(unused[0], self.names())
        self.assertEqual(1, len(self.warnings()))

    def test_file_that_is_not_there_at_the_start(self):
        """Nobody knows what it protects."""
        self.set(protected_images_file=os.path.join(self.path, 'protected'))
        unused = self.squeeze()
        names = [*unused, *self.put_images(3, age=9 * DAY),
                 self.put('swap_512', 2 ** 20, 9 * DAY),
                 self.put(f'{sha1(4)}.part', age=9 * DAY)]
        self.glance.add(900, 2 ** 20)
        manager = self.start()

        for number in (1, 2, 3):
            self.run_pass(manager)

            self.assert_left(*names)
            self.assertEqual(number, len(self.unread_warnings()))
        left = self.fetch(manager)

        self.assertEqual(set(names), left)
        self.assertIn(HOST, self.unread_warnings()[0])
        self.assertIn('protected_images_file', self.unread_warnings()[0])

    def test_file_that_comes_after_the_start(self):
        self.set(protected_images_file=os.path.join(self.path, 'protected'))
        unused = self.squeeze()
        manager = self.run_pass()

        self.protect(image(901))
        self.run_pass(manager)

        self.assert_left(*(unused[:1] if self.evicts else unused))
        self.assertEqual(1, len(self.unread_warnings()))

    def test_file_that_vanishes_after_it_came(self):
        self.protect(image(901))
        unused = self.squeeze()
        manager = self.start()

        os.unlink(os.path.join(self.path, 'protected'))
        self.run_pass(manager)

        # What it listed is known, and stays protected.
        self.assert_left(*(unused[:1] if self.evicts else unused))
        self.assertEqual([], self.unread_warnings())

    def test_file_that_is_not_there_at_the_start_of_a_dry_run(self):
        self.set(protected_images_file=os.path.join(self.path, 'protected'),
                 image_cache_dry_run=True)
        self.squeeze()

        self.run_pass()

        self.assertIn('would evict 0 ', self.logged()[-1])

    def unread_warnings(self):
        return [warning for warning in self.warnings()
                if 'evicts nothing' in warning]

    def protect(self, *lines):
        path = os.path.join(self.path, 'protected')
        with open(f'{path}.new', 'w') as file:
            file.write('\n'.join(lines) + '\n')
        os.replace(f'{path}.new', path)
        self.set(protected_images_file=path)
