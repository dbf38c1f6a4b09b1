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

"""The filter of nova-api, and where it stands between nova and Glance."""

import dataclasses
import json
import threading
import time
from unittest import mock

import fixtures
import glanceclient.exc
from keystoneauth1 import exceptions as ksa_exc
from nova import exception
from nova.image import glance
import webob

from cache_aware_sched.api import answers as answers_mod
from cache_aware_sched.api import api_requests
from cache_aware_sched.api import breaker as breaker_mod
from cache_aware_sched.api import critical_records
from cache_aware_sched.api import glance_seam
from cache_aware_sched.api import holders
from cache_aware_sched.api import image_records
from cache_aware_sched.api import records
from cache_aware_sched.api import values as values_mod
from cache_aware_sched.config import CONF
from cache_aware_sched.fleet import hosts as fleet_hosts
from cache_aware_sched import nova_databases
from cache_aware_sched import report
from cache_aware_sched import service_account
from tests.unit import base
from tests.unit import factories

IMAGE = factories.IMAGE
OUTAGE = exception.GlanceConnectionFailed(server='http://g', reason='no')


class GlanceModel(dict):
    """What glanceclient makes of an image."""

    schema = {'name': 'image', 'properties': {
        name: {'is_base': True} for name in (
            'id', 'status', 'owner', 'visibility', 'name', 'size')}}
    deleted = False

    def __getattr__(self, name):
        return self[name]


class SeamTestCase(base.TestCase):
    """nova's own client, whose calls of Glance are answered here."""

    def setUp(self):
        super().setUp()
        # Put back what is wrapped.
        for name, function in (
                ('API.get', glance.API.get), (
                    '_translate_from_glance', glance._translate_from_glance)):
            self.useFixture(fixtures.MonkeyPatch(
                f'nova.image.glance.{name}', function))
        self.useFixture(fixtures.MonkeyPatch(
            'cache_aware_sched.api.glance_seam._original', None))
        self.context.auth_token = 'a token'
        self.image = GlanceModel(
            id=IMAGE, status='active', owner=self.context.project_id, name='x',
            size=1, visibility='private')
        self.call = self.useFixture(fixtures.MockPatchObject(
            glance.GlanceClientWrapper, 'call',
            side_effect=lambda *args, **kwargs: self.image)).mock
        self.set(image_record_timeout=0.5)

    def start(self):
        """Have nova-api start with the filter; return what it is before."""
        self.application = mock.Mock(side_effect=self.answer)
        return image_records.filter_factory({})(self.application)

    def answer(self, environ, start_response):
        """Do what nova-api does of a request for a server."""
        try:
            image = glance.API().get(self.context, IMAGE)
        except answers_mod.GlanceIsDown:
            start_response('403 Forbidden', [])
            return [b'']
        start_response('202 Accepted', [])
        return [json.dumps(image, default=str).encode()]

    def get(self):
        return glance.API().get(self.context, IMAGE)


class TestSeam(SeamTestCase):

    def test_it_is_as_read(self):
        """Pinned: nova 31.3.1 to 34.0.0."""
        self.assertTrue(glance_seam.install())

        self.assertEqual([], self.errors() + self.warnings())

    def test_nova_that_is_other_than_read(self):
        def get(self, context, image, more=1):
            return {}

        # Not with a fixture, which would show the parameters of the original.
        patch = mock.patch.object(glance.API, 'get', get)
        patch.start()
        self.addCleanup(patch.stop)

        filtered = self.start()

        self.assertEqual(self.application, filtered)
        self.assertEqual({}, glance.API().get(self.context, IMAGE))
        [line] = self.errors()
        self.assertIn('nova.image.glance.API.get is not as', line)

    def test_nova_that_does_not_tell_the_visibility(self):
        self.useFixture(fixtures.MonkeyPatch(
            'nova.image.glance._translate_from_glance', lambda image: {}))

        self.assertTrue(glance_seam.install())

        self.assertTrue(any('community' in line for line in self.warnings()))

    def test_community_images_are_for_all(self):
        self.start()
        self.image['visibility'] = 'community'
        self.get()
        self.call.side_effect = OUTAGE
        self.context.project_id = 'another'

        asked = api_requests.ApiRequest(
            api_requests.RequestKind.BOOT, image=IMAGE, from_records=True)
        token = glance_seam.begin(asked)
        self.addCleanup(glance_seam.end, token)

        self.assertEqual(IMAGE, self.get()['id'])

    def test_an_id_in_upper_case_that_glance_does_not_find(self):
        self.start()
        image_id = 'abcdef' + IMAGE[6:]
        self.image.update(id=image_id, visibility='public')
        glance.API().get(self.context, image_id)
        self.context.project_id = 'another'
        self.call.side_effect = glanceclient.exc.HTTPNotFound()
        self.assertRaises(exception.ImageNotFound, glance.API().get,
                          self.context, image_id.upper())

        memory = glance_seam.shared().memory
        self.assertIsNone(memory.find(
            records.Asker('another'), image_id, time.time()))
        self.assertIsNotNone(memory.find(
            records.Asker('others'), image_id, time.time()))

    def test_only_plain_questions_are_answered(self):
        self.start()
        self.get()
        self.call.side_effect = OUTAGE
        token = glance_seam.begin(api_requests.ApiRequest(
            api_requests.RequestKind.BOOT, image=IMAGE, from_records=True))
        self.addCleanup(glance_seam.end, token)

        for more in ({'include_locations': True}, {'show_deleted': False}):
            self.assertRaises(exception.GlanceConnectionFailed,
                              glance.API().get, self.context, IMAGE, **more)

    def test_an_error_of_its_own(self):
        self.start()
        for name in ('asks', 'remember', 'is_refused'):
            memory = glance_seam.shared().memory
            with mock.patch.object(memory, name, side_effect=KeyError(name)):
                self.call.side_effect = lambda *args, **kwargs: self.image
                self.assertEqual(IMAGE, self.get()['id'], name)
                self.call.side_effect = glanceclient.exc.HTTPNotFound()
                self.assertRaises(exception.ImageNotFound, self.get)

        [line] = self.errors()
        self.assertIn("KeyError('asks')", line)

    def test_no_thread_can_be_started(self):
        self.start()
        token = glance_seam.begin(api_requests.ApiRequest(
            api_requests.RequestKind.BOOT, image=IMAGE))
        self.addCleanup(glance_seam.end, token)

        with mock.patch.object(threading.Thread, 'start',
                               side_effect=RuntimeError("can't start")):
            self.assertEqual(IMAGE, self.get()['id'])

    def test_a_context_without_a_project(self):
        self.start()
        self.context.project_id = None
        self.get()
        self.call.side_effect = OUTAGE
        asked = api_requests.ApiRequest(
            api_requests.RequestKind.BOOT, image=IMAGE, from_records=True)
        token = glance_seam.begin(asked)
        self.addCleanup(glance_seam.end, token)

        self.assertRaises(answers_mod.GlanceIsDown, self.get)
        self.assertIn('is not remembered', asked.outage)


class TestFilter(SeamTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            holders.ImageHolders, 'is_on_no_host', return_value=False))
        self.filter = self.start()

    def send(self, path='/servers', method='POST', body=None):
        request = webob.Request.blank(path, method=method)
        request.content_type = 'application/json'
        request.body = json.dumps(body or {
            'server': {'imageRef': IMAGE}}).encode()
        self.seen = []
        original = self.application.side_effect

        def seeing(environ, start_response):
            self.seen.append(webob.Request(environ).json)
            return original(environ, start_response)

        self.application.side_effect = seeing
        try:
            return request.get_response(self.filter)
        finally:
            self.application.side_effect = original

    def test_nothing_changes_without_an_outage(self):
        self.assertEqual(202, self.send().status_int)

        self.assertEqual([{'server': {'imageRef': IMAGE}}], self.seen)

    def test_other_requests_are_passed_on(self):
        self.call.side_effect = OUTAGE
        for path, method in (('/servers', 'GET'), ('/images', 'POST')):
            self.assertRaises(exception.GlanceConnectionFailed,
                              self.send, path, method)

    def test_it_is_asked_twice_with_the_hint_the_second_time(self):
        self.send()
        self.call.side_effect = OUTAGE

        response = self.send()

        self.assertEqual(202, response.status_int)
        self.assertEqual(IMAGE, response.json['id'])
        self.assertEqual({'image_cache': 'require'},
                         self.seen[1]['os:scheduler_hints'])
        self.assertNotIn('os:scheduler_hints', self.seen[0])

    @mock.patch.object(breaker_mod, 'RETRY', 600.0)
    def test_the_next_ones_do_not_ask_glance(self):
        self.send()
        self.call.side_effect = OUTAGE
        self.send()
        self.call.reset_mock()

        for _boot in range(3):
            self.assertEqual(202, self.send().status_int)

        self.assertEqual(0, self.call.call_count)

    def test_the_one_that_probes_does_not_wait(self):
        self.send()
        self.call.side_effect = OUTAGE
        self.send()
        hangs, asked = threading.Event(), threading.Event()
        self.addCleanup(hangs.set)

        def hang(*args, **kwargs):
            asked.set()
            hangs.wait(30)

        self.call.side_effect = hang
        breaker = glance_seam.shared().breaker
        now = time.time() + breaker_mod.RETRY + 0.5
        # It would wait as long as the question hangs.
        with mock.patch.object(breaker, '_clock', lambda: now), (
                mock.patch.object(answers_mod, 'within', side_effect=(
                    lambda seconds, context, ask, _learn: ask(context)))):
            self.assertEqual(202, self.send().status_int)

            self.assertTrue(asked.wait(30))

    def test_what_glance_answers_is_no_outage(self):
        self.send()
        for error in (glanceclient.exc.HTTPNotFound(),
                      glanceclient.exc.HTTPForbidden(),
                      glanceclient.exc.HTTPUnauthorized(),
                      glanceclient.exc.HTTPBadRequest()):
            self.call.side_effect = error
            # nova-api makes an answer of it
            self.assertRaises(exception.NovaException, self.send)
            self.assertIsNone(glance_seam.shared().breaker.outage())

    def test_what_keystone_answers_ends_no_outage(self):
        self.send()
        breaker = glance_seam.shared().breaker
        breaker.failed('no', IMAGE, False)
        self.call.side_effect = ksa_exc.Unauthorized()

        with mock.patch.object(breaker, 'may_ask',
                               return_value=breaker_mod.Leave.GIVEN):
            self.assertRaises(ksa_exc.Unauthorized, self.send)

        self.assertIsNotNone(breaker.outage())

    def test_each_way_in_which_it_is_down(self):
        self.send()
        for error in (OUTAGE, glanceclient.exc.HTTPInternalServerError(),
                      glanceclient.exc.HTTPBadGateway(),
                      glanceclient.exc.HTTPServiceUnavailable(),
                      glanceclient.exc.CommunicationError()):
            self.call.side_effect = error
            self.assertEqual(202, self.send().status_int, error)
            glance_seam.shared().breaker.answered()

    def test_it_hangs(self):
        self.send()
        thawed, attempts = threading.Event(), []
        self.addCleanup(thawed.set)

        def hang(context, *args, **kwargs):
            # As nova does for each of its attempts
            attempts.append(context.get_auth_plugin())
            thawed.wait(30)
            try:
                context.get_auth_plugin()
            except answers_mod.GlanceHangs as error:
                attempts.append(error)
                ended.set()
                raise

        ended = threading.Event()
        self.call.side_effect = hang

        self.assertEqual(202, self.send().status_int)

        # Then nova does not ask again when nobody waits any more
        thawed.set()
        self.assertTrue(ended.wait(10))
        self.assertEqual(2, len(attempts))

    def test_a_refusal_that_nobody_waited_for(self):
        self.send()
        thawed = threading.Event()
        self.addCleanup(thawed.set)

        def hang(*args, **kwargs):
            thawed.wait(30)
            raise glanceclient.exc.HTTPNotFound()

        self.call.side_effect = hang
        self.assertEqual(202, self.send().status_int)
        memory = glance_seam.shared().memory
        refused = threading.Event()
        self.useFixture(fixtures.MockPatchObject(
            memory, 'is_refused', side_effect=lambda *given: (
                type(memory).is_refused(memory, *given), refused.set())))

        thawed.set()

        self.assertTrue(refused.wait(10))
        self.assertEqual(503, self.send().status_int)

    def test_what_nova_has_done_is_not_done_twice(self):
        """As if it went on without an image of which there is an outage."""
        def answer(environ, start_response):
            try:
                self.get()
            except answers_mod.GlanceIsDown:
                start_response('202 Accepted', [])
            return [b'{}']

        self.application.side_effect = answer
        self.call.side_effect = OUTAGE

        self.assertEqual(202, self.send().status_int)

        self.assertEqual(1, len(self.seen))

    def test_a_fault_as_nova_has_it(self):
        self.call.side_effect = OUTAGE

        response = self.send()

        self.assertEqual(503, response.status_int)
        self.assertEqual('application/json', response.content_type)
        self.assertEqual({'serviceUnavailable': {
            'code': 503, 'message': f'Glance is down, and image {IMAGE} is '
            'not remembered. Try again later.'}}, response.json)
        self.assertTrue(int(response.headers['Retry-After']) > 0)

    def lose_an_answer(self):
        """Have a process end between its question and the answer."""
        asker = records.Asker(self.context.project_id)
        glance_seam.shared().memory.asks(asker, IMAGE, time.time() - 60)

    def test_a_process_that_ended_between_question_and_answer(self):
        """Glance may have refused the image."""
        self.send()
        self.lose_an_answer()
        self.call.side_effect = OUTAGE

        for _request in range(2):
            self.assertEqual(503, self.send().status_int)
        # The next one does not wait either
        self.assertEqual(1, self.call.call_count - 1)

        # Then it counts again as soon as Glance gives it
        self.call.side_effect = lambda *args, **kwargs: self.image
        with mock.patch.object(glance_seam.shared().breaker, 'may_ask',
                               return_value=breaker_mod.Leave.GIVEN):
            self.assertEqual(202, self.send().status_int)
        self.call.side_effect = OUTAGE
        self.assertEqual(202, self.send().status_int)

    def test_a_process_that_ended_in_an_outage(self):
        """Glance has not answered, so no answer is lost."""
        self.send()
        self.call.side_effect = OUTAGE
        self.send()  # opens the breaker
        breaker = glance_seam.shared().breaker
        known = breaker.outage()
        breaker._set(dataclasses.replace(known, since=known.since - 120),
                     time.time())
        self.lose_an_answer()

        self.assertEqual(202, self.send().status_int)


class TestWhereRecordsAre(SeamTestCase):

    def kept_by(self, **options):
        self.set(**options)
        return image_records._values(
            CONF.cache_aware_sched.image_record_secret or '')._values

    def test_in_the_process(self):
        self.set_nova('cache', enabled=True,
                      backend='dogpile.cache.pymemcache')
        for secret in (None, 'too short'):
            self.assertIsInstance(
                self.kept_by(image_record_secret=secret),
                values_mod.ProcessValues)
        for enabled, backend in ((False, 'dogpile.cache.pymemcache'),
                                 (True, 'oslo_cache.dict')):
            self.set_nova('cache', enabled=enabled, backend=backend)
            self.assertIsInstance(
                self.kept_by(image_record_secret='x' * 32),
                values_mod.ProcessValues)
        self.assertEqual(4, len(self.warnings()))
        self.assertNotIn('too short', ''.join(self.warnings()))

    def test_in_the_servers_of_the_cache(self):
        # Its client is not asked for anything here.
        self.set_nova('cache', enabled=True, backend='dogpile.cache.redis')
        with mock.patch('nova.cache_utils.get_client') as client:
            found = self.kept_by(image_record_secret='x' * 32)

        self.assertIsInstance(found, values_mod.SharedValues)
        self.assertIs(client.return_value.region, found._region)
        self.assertEqual([], self.warnings())

    def test_servers_that_hang_would_hold_every_boot(self):
        self.set_nova('cache', enabled=True,
                      backend='dogpile.cache.pymemcache')
        with mock.patch('nova.cache_utils.get_client'):
            self.kept_by(image_record_secret='x' * 32)

        [warning] = self.warnings()
        self.assertIn('[cache] backend = dogpile.cache.pymemcache', warning)
        self.assertIn('oslo_cache.memcache_pool', warning)

    def test_requests_that_hang_end_some_time(self):
        self.start()

        self.assertEqual(image_records.HANGS, CONF.glance.timeout)

    def test_a_timeout_of_the_operator_stays(self):
        self.set_nova('glance', timeout=7)

        self.start()

        self.assertEqual(7, CONF.glance.timeout)


class TestCriticalRecords(SeamTestCase):

    def setUp(self):
        super().setUp()
        self.set(critical_images=[IMAGE])
        self.useFixture(fixtures.MockPatchObject(
            service_account, 'local_context', return_value=self.context))
        self.start()
        self.critical = critical_records.CriticalRecords(
            glance_seam.shared(), CONF.cache_aware_sched)

    def known(self):
        return glance_seam.shared().memory.find(
            records.Asker('anybody'), IMAGE, time.time()) is not None

    def test_one_that_is_for_everybody(self):
        for visibility in ('public', 'community'):
            self.image['visibility'] = visibility

            self.assertTrue(self.critical.refresh())

            self.assertTrue(self.known())

    def test_one_that_is_not(self):
        for visibility in ('private', 'shared'):
            self.image['visibility'] = visibility

            self.assertTrue(self.critical.refresh())

            self.assertFalse(self.known())
        [line] = self.warnings()[-1:]
        self.assertIn('it is neither public nor', line)

    def test_one_that_was_deleted_or_deactivated(self):
        self.image['visibility'] = 'public'
        for change in (
                lambda: self.image.update(status='deactivated'),
                lambda: setattr(self.call, 'side_effect',
                                glanceclient.exc.HTTPNotFound())):
            self.image['status'] = 'active'
            self.critical.refresh()
            change()

            self.critical.refresh()

            self.assertFalse(self.known())

    def test_an_outage(self):
        self.image['visibility'] = 'public'
        self.critical.refresh()
        self.call.side_effect = OUTAGE

        self.assertFalse(self.critical.refresh())

        self.assertTrue(self.known())

    def test_no_account(self):
        service_account.local_context.side_effect = (
            service_account.NoAccount('none'))

        self.critical.refresh()

        self.assertIn('Critical images are remembered only as soon as',
                      self.warnings()[-1])

    def test_no_thread_can_be_started(self):
        critical = critical_records.CriticalRecords(
            glance_seam.shared(), CONF.cache_aware_sched)

        with mock.patch.object(threading.Thread, 'start',
                               side_effect=RuntimeError("can't start")):
            critical.refresh_if_due()

        self.assertTrue(any("can't start" in line
                            for line in self.warnings()))

    def test_it_is_done_from_time_to_time(self):
        done = threading.Event()
        self.useFixture(fixtures.MockPatchObject(
            self.critical, 'refresh', side_effect=lambda: done.set() or True))

        self.critical.refresh_if_due()

        self.assertTrue(done.wait(10))
        done.clear()
        self.critical.refresh_if_due()
        self.assertEqual(1, self.critical.refresh.call_count)

    def test_records_that_soon_get_old(self):
        self.set(image_record_max_age=60)
        critical = critical_records.CriticalRecords(
            glance_seam.shared(), CONF.cache_aware_sched)
        looked = threading.Event()
        self.useFixture(fixtures.MockPatchObject(
            critical, 'refresh', side_effect=lambda: looked.set() or True))
        clock = self.useFixture(fixtures.MockPatch(
            'cache_aware_sched.api.critical_records.time')).mock.monotonic

        # Then they are there at any time
        for clock.return_value in (1_000.0, 1_031.0, 1_062.0):
            critical.refresh_if_due()
            self.assertTrue(looked.wait(5))
            looked.clear()


class TestImageHolders(base.TestCase):

    def nowhere(self, *reported, state=fleet_hosts.UP, unread=(),
                copied=False):
        """Return whether an image is nowhere, by what hosts report."""
        hosts = [mock.Mock(state=state, reported=one) for one in reported]
        for host in hosts:
            if host.reported is not None:
                host.reported = mock.Mock(
                    **{'holding.return_value': host.reported})
        fleet = mock.Mock(unread=dict(unread), hosts=hosts)
        self.useFixture(fixtures.MockPatchObject(
            fleet_hosts, 'read', return_value=fleet))
        self.useFixture(fixtures.MockPatchObject(
            nova_databases.KeptDatabases, '__call__', return_value=(0, [])))
        return holders.ImageHolders().is_on_no_host(IMAGE, copied)

    def test_it_is(self):
        cold = report.Holding.COLD
        self.assertTrue(self.nowhere(cold, cold))
        for other in (report.Holding.WARM, report.Holding.ARRIVING,
                      report.Holding.UNKNOWN, None):
            self.assertFalse(self.nowhere(cold, other), other)

    def test_who_cannot_be_asked(self):
        self.assertFalse(self.nowhere())
        self.assertFalse(self.nowhere(report.Holding.COLD, state='down'))
        self.assertFalse(self.nowhere(
            report.Holding.COLD, unread={'cell2': 'down'}))

    def test_databases_that_do_not_answer(self):
        self.useFixture(fixtures.MockPatchObject(
            nova_databases.KeptDatabases, '__call__',
            side_effect=nova_databases.Unreadable('no')))

        self.assertFalse(
            holders.ImageHolders().is_on_no_host(IMAGE, copied=False))
        self.assertIn('cannot be read: no', self.warnings()[-1])

    def test_a_disabled_host_that_may_send_it(self):
        warm = report.Holding.WARM

        self.assertFalse(self.nowhere(
            warm, state=fleet_hosts.DISABLED, copied=True))
        self.assertTrue(self.nowhere(
            report.Holding.COLD, state=fleet_hosts.DISABLED, copied=True))

    def test_databases_that_hang(self):
        self.assertTrue(self.nowhere(report.Holding.COLD))
        answered, read = threading.Event(), fleet_hosts.read
        self.addCleanup(answered.set)
        read.reset_mock()
        read.side_effect = lambda *_given: (
            answered.wait(30), read.return_value)[1]
        self.useFixture(fixtures.MockPatchObject(holders, 'PATIENCE', 0.05))
        found = holders.ImageHolders()

        # Then nobody waits long, and they are not asked again meanwhile
        for _request in range(3):
            self.assertFalse(found.is_on_no_host(IMAGE, copied=False))
        self.assertEqual(1, read.call_count)

        # Nor when they have answered
        answered.set()
        found._reading.join(10)
        for _request in range(3):
            self.assertTrue(found.is_on_no_host(IMAGE, copied=False))
        self.assertEqual(1, read.call_count)

    def test_no_thread_can_be_started(self):
        self.useFixture(fixtures.MockPatchObject(
            threading.Thread, 'start', side_effect=RuntimeError('no more')))

        self.assertFalse(self.nowhere(report.Holding.COLD))
