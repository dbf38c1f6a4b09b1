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


"""Critical images of a libvirt host: real files, the real nova."""

# isort: off
from tests.functional import test_image_cache
# isort: on

import os
import pathlib
import time

import fixtures
from nova import context as nova_context
from nova import exception

from cache_aware_sched.report import Holding
from cache_aware_sched import service_account
from cache_aware_sched.virt import critical_fetches
from cache_aware_sched.virt import fetch_schedule

MIB = test_image_cache.MIB


class CriticalTestCase(test_image_cache.ImageCacheTestCase):
    """host1 looks for its critical images all the time."""

    OPTIONS = {'critical_image_spread_seconds': 0}

    def setUp(self):
        for owner, name, value in (
                (critical_fetches, 'LOOK_SECONDS', 0.1),
                (fetch_schedule, 'FIRST_RETRY', 0.2),
                (fetch_schedule, '_LEAST', 0.05),
                (fetch_schedule, 'AGAIN', 0.5),
                (service_account, 'local_context',
                 nova_context.get_admin_context)):
            self.useFixture(fixtures.MockPatchObject(owner, name, value))
        super().setUp()
        self.need_qemu_img()
        self.calls = []
        self.around(self.glance, 'show',
                    lambda: self.calls.append('show'))
        self.around(self.glance, 'download',
                    lambda: self.calls.append('download'))

    def wait(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def wait_held(self, *image_ids):
        self.wait(lambda: self.held(*image_ids) == list(image_ids))

    def file(self, *image_ids):
        path = pathlib.Path(self.directory).parent / 'critical'
        new = path.with_name('critical.new')
        new.write_text(''.join(f'{one}\n' for one in image_ids))
        new.replace(path)
        return str(path)


class FetchTests(CriticalTestCase):

    def test_after_start(self):
        images = [self.image() for _image in range(3)]

        self.restart(critical_images=images)

        self.wait_held(*images)
        self.wait_for(images[0], Holding.WARM)
        self.boot(images[0])
        self.assertIn(('hit', images[0]), self.told())

    def test_comes_back_after_its_file_was_deleted(self):
        image_id = self.image()
        self.restart(critical_images=[image_id])
        self.wait_held(image_id)

        os.unlink(self.path(image_id))

        self.wait_held(image_id)

    def test_stays_under_pressure(self):
        critical, *others = [self.image() for _image in range(3)]
        self.restart(critical_images=[critical], image_cache_manager='none',
                     image_cache_max_images=1)
        self.wait_held(critical)
        os.utime(self.path(critical), (1, 1))

        for image_id in others:
            self.boot_and_delete(image_id)
            self.run_pass()

        self.assertEqual([critical], self.held(critical, *others))

    def test_may_go_after_it_was_dropped(self):
        image_id = self.image()
        self.restart(critical_images_file=self.file(image_id),
                     image_cache_manager='none')
        self.wait_held(image_id)

        self.file()
        os.utime(self.path(image_id), (1, 1))
        self.run_pass()

        self.assertEqual([], self.held(image_id))

    def test_change_of_the_file_is_seen(self):
        first, second = self.image(), self.image()
        self.restart(critical_images_file=self.file(first))
        self.wait_held(first)

        self.file(first, second)

        self.wait_held(first, second)

    def test_aggregate(self):
        image_id = self.image()
        aggregate = self._create_aggregate('gold')
        self.api.add_host_to_aggregate(aggregate, 'host1')
        self.api.api_post(f'/os-aggregates/{aggregate}/action', {
            'set_metadata': {'metadata': {'critical_images': image_id}}})

        self.run_pass()

        self.wait_held(image_id)

    def test_glance_is_down_for_a_while(self):
        image_id = self.image()
        is_down = [True]

        def fail():
            if is_down:
                raise exception.GlanceConnectionFailed(
                    server='glance', reason='no route')

        self.at_fetch(before=fail)
        self.restart(critical_images=[image_id])
        self.wait(lambda: f'critical image {image_id}' in self.log())
        time.sleep(0.5)
        self.assertEqual([], self.held(image_id))

        is_down.clear()

        self.wait_held(image_id)
        self.assertEqual(1, self.log().count('cannot fetch critical image'))

    def test_no_call_to_glance_while_all_are_there(self):
        image_id = self.image()
        self.restart(critical_images=[image_id])
        self.wait_held(image_id)
        self.restart()
        del self.calls[:]

        # Many looks, and passes.
        for _pass in range(3):
            time.sleep(0.3)
            self.run_pass()

        self.assertEqual([], self.calls)

    def test_host_that_cannot_hold_them(self):
        small, large = self.image(), self.image(size=2 * 2 ** 30)
        self.restart(critical_images=[small, large],
                     image_cache_max_size_gb=1)

        self.wait(lambda: 'cannot hold critical image' in self.log())
        self.wait_held(small)
        self.wait(lambda: self.report_now() or (
            self.report().facts.critical_missing == 1))

        facts = self.report().facts
        self.assertEqual((2, 'no_room'),
                         (facts.critical, facts.critical_trouble))

    def test_disks_from_images_in_ceph(self):
        self.flags(group='libvirt', images_type='rbd')
        image_id = self.image()
        del self.calls[:]

        self.restart(critical_images=[image_id])
        self.wait(lambda: 'images in Ceph' in self.log())
        self.report_now()

        self.assertEqual([], self.calls)
        self.assertEqual('not_kept', self.report().facts.critical_trouble)

    def test_end_waits_for_no_fetch(self):
        image_id = self.image()
        begun = []

        def slow():
            begun.append(1)
            while len(begun) < 2:
                time.sleep(0.02)

        self.at_fetch(before=slow)
        self.restart(critical_images=[image_id])
        self.wait(lambda: begun)

        self.computes['host1'].stop()

        self.assertEqual(1, len(begun))
        begun.append(1)

    def path(self, image_id):
        from cache_aware_sched import report
        return os.path.join(self.directory, report.image_sha1(image_id))
