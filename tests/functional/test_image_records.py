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
"""Servers that are asked for while Glance is down."""

from tests.functional import base

# isort: off
# After nova's own fixtures.
import os
import threading
import uuid

import fixtures
import glanceclient.exc
from nova import context as context_mod
from nova import exception
from nova.tests import fixtures as nova_fixtures
from nova.tests.functional.api import client as api_client

from cache_aware_sched.api import breaker as breaker_mod
from cache_aware_sched.api import glance_seam
from cache_aware_sched.api import image_records
from cache_aware_sched.virt import fake
# isort: on

OUTAGE = exception.GlanceConnectionFailed(
    server='http://glance:9292', reason='refused')
PIPELINE = 'authtoken keystonecontext'
PASTE = """
[filter:image_records]
paste.filter_factory = cache_aware_sched.api.image_records:filter_factory
"""


class ImageRecordsTestCase(base.CloudTestCase):
    """Of two hosts host2 holds an image."""

    HOSTS = ('host1', 'host2')
    MULTIPLIER = -100.0

    def configure(self):
        super().configure()
        self.enable_image_cache_filter()
        with open(base.api_paste()) as file:
            paste = file.read().replace(
                PIPELINE, f'{PIPELINE} image_records') + PASTE
        path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'api-paste.ini')
        with open(path, 'w') as file:
            file.write(paste)
        self.flags(group='wsgi', api_paste_config=path)

    def setUp(self):
        super().setUp()
        self.start(*self.HOSTS)
        self.warm = self.image()
        self.cache('host2', self.warm)

    def failing(self, error=OUTAGE):
        """Return what has Glance fail."""
        return fixtures.MockPatchObject(
            self.glance, 'show', side_effect=error)

    def stop_glance(self):
        """Have Glance refuse connections from now on."""
        self.useFixture(self.failing())

    def refused(self, image, client=None, hints=None, **more):
        """Ask for a server; return the answer, which is no server."""
        before = len(self.admin_api.get_servers(detail=False))
        server = self._build_server(
            image_uuid=image, flavor_id=self.flavor, networks='none')
        response = (client or self.api).api_post(
            '/servers', {'server': {**server, **more},
                         'os:scheduler_hints': hints or {}},
            check_response_status=False)
        self.assertEqual(
            before, len(self.admin_api.get_servers(detail=False)))
        return response

    def assert_outage(self, response, *texts):
        self.assertEqual(503, response.status)
        fault = response.body['serviceUnavailable']
        self.assertEqual(503, fault['code'])
        for text in ('Glance is down', *texts):
            self.assertIn(text, fault['message'])

    def of_project(self, project):
        """Return a client of another project."""
        client = api_client.TestOpenStackClient(
            'other', self.api.base_url, project_id=project,
            roles=['reader', 'member'])
        client.microversion = self.api.microversion
        return client

    def hints(self, server):
        """Return the hints that nova keeps with a server."""
        from nova import context
        from nova import objects
        return objects.RequestSpec.get_by_instance_uuid(
            context.get_admin_context(), server['id']).scheduler_hints


class BootTests(ImageRecordsTestCase):

    def test_a_remembered_image(self):
        self.boot(self.warm, host='host2')
        self.stop_glance()

        servers = [self.boot(self.warm) for _server in range(3)]

        # Then they go where it is, though the weigher would rather not
        self.assertEqual({'host2': 3}, dict(self.hosts_of(servers)))
        self.assertEqual(['require'], self.hints(servers[0])['image_cache'])
        self.assertIn('is answered from memory', self.stdlog.logger.output)

    def test_an_image_that_nobody_asked_for(self):
        self.stop_glance()

        response = self.refused(self.warm)

        self.assert_outage(response, self.warm, 'is not remembered')
        self.assertIn('Retry-After', response.headers)
        # And nova's log is not full of it
        self.assertNotIn('Traceback', self.stdlog.logger.output)

    def forgotten_image(self):
        """Return an image that is remembered, and that no host holds."""
        cold = self.image()
        self.boot(cold, hints={'image_cache': 'ignore'}, host='host1')
        fake.image_cache('host1').remove(cold)
        self.report('host1')
        return cold

    def test_a_remembered_image_that_no_host_holds(self):
        cold = self.forgotten_image()
        self.stop_glance()

        for hints in ({}, {'image_cache': 'ignore'}):
            self.assert_outage(
                self.refused(cold, hints=hints), cold, 'is on no host')

    def test_nobody_can_send_what_no_host_holds(self):
        cold = self.forgotten_image()
        self.useFixture(fixtures.MockPatch(
            'cache_aware_sched.api.image_records.'
            '_hosts_fetch_from_each_other', return_value=True))
        self.stop_glance()

        self.assert_outage(self.refused(cold), cold, 'is on no host')

    def test_reports_that_cannot_be_read(self):
        cold = self.image()
        self.boot(cold, host='host1')
        fake.image_cache('host1').remove(cold)
        self.report('host1')
        self.useFixture(fixtures.MockPatch(
            'cache_aware_sched.fleet.hosts.read', side_effect=OSError))
        self.stop_glance()

        # Then the scheduler finds out
        server = self.boot(cold, expect='ERROR')
        self.assertIn('No valid host', server['fault']['message'])

    def test_a_hint_of_the_user_stays(self):
        self.boot(self.warm)
        self.stop_glance()

        server = self.boot(self.warm, hints={'image_cache': 'ignore'})

        self.assertEqual(['ignore'], self.hints(server)['image_cache'])

    def test_no_hint_where_hosts_fetch_from_each_other(self):
        self.boot(self.warm)
        self.useFixture(fixtures.MockPatch(
            'cache_aware_sched.api.image_records.'
            '_hosts_fetch_from_each_other', return_value=True))
        self.stop_glance()

        server = self.boot(self.warm)

        self.assertNotIn('image_cache', self.hints(server) or {})

    def test_several_servers_at_once(self):
        self.boot(self.warm, host='host2')
        self.stop_glance()

        self.request(self.warm, number=3)

        self.assertEqual({'host2': 4}, self.spread())

    def test_the_older_form_of_the_api(self):
        self.boot(self.warm)
        self.stop_glance()

        server = self._build_server(
            image_uuid=self.warm, flavor_id=self.flavor, networks='none')
        found = self.api.api_post('/servers', {
            'server': server,
            'OS-SCH-HNT:scheduler_hints': {'other': 'x'}}).body['server']

        self._wait_for_state_change(found, 'ACTIVE')
        self.assertEqual(['require'], self.hints(found)['image_cache'])

    def test_without_an_outage_nothing_changes(self):
        server = self.boot(self.warm)

        self.assertEqual('host1', server['OS-EXT-SRV-ATTR:host'])
        self.assertNotIn('image_cache', self.hints(server) or {})

    def test_an_existing_volume_needs_no_glance(self):
        self.stop_glance()
        asked = glance_seam.shared().breaker

        self.assertIsNone(asked.outage())
        server = self._build_server(
            image_uuid='', flavor_id=self.flavor, networks='none')
        server['block_device_mapping_v2'] = [{
            'boot_index': 0, 'destination_type': 'volume',
            'source_type': 'volume',
            'uuid': nova_fixtures.CinderFixture.IMAGE_BACKED_VOL}]
        found = self.api.post_server({'server': server})

        self._wait_for_state_change(found, 'ACTIVE')
        self.assertNotIn('image_cache', self.hints(found) or {})

    def test_a_volume_that_is_made_from_an_image(self):
        self.boot(self.warm)
        self.stop_glance()

        response = self.refused('', block_device_mapping_v2=[{
            'boot_index': 0, 'destination_type': 'volume', 'volume_size': 1,
            'source_type': 'image', 'uuid': self.warm}])

        self.assert_outage(response)


class AnswersOfGlanceTests(ImageRecordsTestCase):
    """What Glance says counts, whatever is remembered."""

    def after(self, error):
        """Return what a boot gets, and one in the outage that follows."""
        self.boot(self.warm)
        with self.failing(error):
            first = self.refused(self.warm)
        self.stop_glance()
        return first, self.api.api_post('/servers', {
            'server': self._build_server(
                image_uuid=self.warm, flavor_id=self.flavor,
                networks='none')}, check_response_status=False)

    def test_that_there_is_none(self):
        first, then = self.after(
            exception.ImageNotFound(image_id=self.warm))

        self.assertEqual(400, first.status)
        self.assert_outage(then, 'is not remembered')

    def test_that_it_is_not_theirs(self):
        first, then = self.after(
            exception.ImageNotAuthorized(image_id=self.warm))

        self.assertEqual(400, first.status)
        self.assert_outage(then, 'is not remembered')

    def test_too_many_requests(self):
        first, then = self.after(
            glanceclient.exc.from_response(TooMany(), ''))

        self.assertEqual(500, first.status)  # as of nova alone
        # It says nothing about the image
        self.assertEqual(202, then.status)

    def test_it_was_deactivated(self):
        self.boot(self.warm)
        self.glance.images[self.warm]['status'] = 'deactivated'
        self.assertEqual(400, self.refused(self.warm).status)
        self.glance.images[self.warm]['status'] = 'active'
        self.stop_glance()

        self.assert_outage(self.refused(self.warm), 'is not remembered')


class TooMany:
    status_code, text, headers = 429, '', {}


class ProjectTests(ImageRecordsTestCase):

    def test_a_private_image(self):
        private = self.image(visibility='private', is_public=False)
        self.cache('host2', private)
        self.boot(private)
        self.stop_glance()

        self.assert_outage(
            self.refused(private, self.of_project('other')),
            'is not remembered')
        self.boot(private)

    def test_a_public_image(self):
        self.boot(self.warm)
        self.stop_glance()

        server = self._build_server(
            image_uuid=self.warm, flavor_id=self.flavor, networks='none')
        found = self.of_project('other').post_server({'server': server})

        self._wait_for_state_change(found, 'ACTIVE')


class HangTests(ImageRecordsTestCase):

    def configure(self):
        super().configure()
        self.set(image_record_timeout=0.5)

    def setUp(self):
        super().setUp()
        self.boot(self.warm)
        self.thawed, self.asked = threading.Event(), []
        self.addCleanup(self.thawed.set)

    def hang(self):
        def show(*args, **kwargs):
            self.asked.append(args)
            self.thawed.wait(30)
            raise OUTAGE

        return self.failing(show)

    def test_a_remembered_image(self):
        self.useFixture(fixtures.MockPatchObject(
            breaker_mod, 'RETRY', 600.0))
        self.useFixture(self.hang())

        for _server in range(3):
            self.boot(self.warm)

        # Then one of them has waited for Glance
        self.assertEqual(1, len(self.asked))
        output = self.stdlog.logger.output
        self.assertEqual(1, output.count('Glance is down for nova-api'))
        self.assertIn('no answer within 0.5 seconds', output)

    def test_when_it_is_back(self):
        with self.hang():
            self.boot(self.warm)
        other = self.image()
        self.cache('host2', other)
        # When it is time to look again
        self.useFixture(fixtures.MockPatchObject(
            breaker_mod, 'RETRY', 0.0))
        glance_seam.shared().breaker.failed('once more', self.warm, False)

        self.boot(other)

        self.assertIsNone(glance_seam.shared().breaker.outage())
        self.assertIn(': it was down for',
                      self.stdlog.logger.output)


class OtherRequestTests(ImageRecordsTestCase):

    def setUp(self):
        super().setUp()
        self.server = self.boot(self.warm, host='host2')

    def test_a_precache(self):
        aggregate = self.aggregate(self.HOSTS)
        self.api.microversion = '2.81'
        self.stop_glance()

        response = self.api.api_post(
            f'/os-aggregates/{aggregate}/images',
            {'cache': [{'id': self.warm}]}, check_response_status=False)

        self.assert_outage(response)

    def test_to_show_and_list_images(self):
        self.stop_glance()
        self.useFixture(fixtures.MockPatchObject(
            self.glance, 'detail', side_effect=OUTAGE))
        self.api.microversion = '2.1'

        for path in (f'/images/{self.warm}', '/images'):
            self.assertEqual(500, self.api.api_request(path).status_code)

    def test_a_rebuild(self):
        """nova-compute asks Glance for the record, also of the same image."""
        other = self.image()
        self.boot(other)
        self.stop_glance()

        for image in (self.warm, other):
            response = self.api.api_post(
                f'/servers/{self.server["id"]}/action',
                {'rebuild': {'imageRef': image}}, check_response_status=False)

            self.assert_outage(response, image, 'cannot be looked up')

    def test_another_action(self):
        self.stop_glance()

        self.api.post_server_action(self.server['id'], {'reboot': {
            'type': 'HARD'}})

        self._wait_for_state_change(self.server, 'ACTIVE')


class CriticalTests(ImageRecordsTestCase):

    def configure(self):
        super().configure()
        self.critical, self.private = str(uuid.uuid4()), str(uuid.uuid4())
        self.set(critical_images=[self.critical, self.private])
        self.useFixture(fixtures.MockPatch(
            'cache_aware_sched.service_account.local_context',
            side_effect=context_mod.get_admin_context))

    def image_with(self, image_id, visibility):
        self.glance.images[image_id] = {
            **self.glance.images[self.warm], 'id': image_id,
            'visibility': visibility}
        self.cache('host2', image_id)

    def test_one_that_nobody_asked_for(self):
        self.image_with(self.critical, 'community')
        self.image_with(self.private, 'private')
        # Given it is time to look
        image_records._critical.refresh()
        self.stop_glance()

        server = self.boot(self.critical)

        self.assertEqual('host2', server['OS-EXT-SRV-ATTR:host'])
        self.assert_outage(self.refused(self.private), 'is not remembered')
        self.assertIn(f'Critical image {self.private} is remembered for those '
                      'only who were given it', self.stdlog.logger.output)

    def test_one_that_was_withdrawn(self):
        self.image_with(self.critical, 'public')
        image_records._critical.refresh()
        self.glance.images[self.critical]['visibility'] = 'private'
        image_records._critical.refresh()
        self.stop_glance()

        self.assert_outage(self.refused(self.critical), 'is not remembered')
