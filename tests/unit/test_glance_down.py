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
import errno
from unittest import mock

from glanceclient.common import http as glance_http
import glanceclient.exc
from keystoneauth1 import exceptions as ksa_exc
from nova.compute import vm_states
from nova import exception
from nova.image import glance
import requests

from cache_aware_sched import glance_outage
from cache_aware_sched.virt import glance_down
from tests.unit import base
from tests.unit import factories

CONNECTION = exception.GlanceConnectionFailed(server='http://g', reason='no')


class Response:
    """What glanceclient looks at of an answer."""

    def __init__(self, status, text):
        self.status_code, self.text, self.ok = status, text, False
        self.content = text.encode()
        self.headers = {'content-type': 'text/html'}


def undiscovered(cause):
    """Return what keystoneauth raises for an address without a version."""
    error = ksa_exc.DiscoveryFailure('no versioned endpoints')
    error.__context__ = cause
    return error


def answer(status, text=''):
    """Return what glanceclient raises of an answer of Glance or a proxy."""
    try:
        glance_http._BaseHTTPClient._handle_response(
            None, Response(status, text))
    except glanceclient.exc.HTTPException as error:
        return error
    raise AssertionError(f'{status} is no error')


class Broken:
    """The bytes of an image, of which the first ones come."""

    wrapped = 'there are some'

    def __init__(self, error):
        self.error = error

    def __iter__(self):
        yield b'first'
        raise self.error


class TestIsOutage(base.TestCase):

    def test_of_glance(self):
        for error in (
                CONNECTION, glanceclient.exc.CommunicationError(message='no'),
                answer(500), answer(501), answer(502), answer(503),
                answer(504, '<h1>504 Gateway Time-out</h1>'),
                # glanceclient has no class for these, and names no number
                answer(504, 'upstream request timeout'), answer(520)):
            self.assertTrue(glance_outage.is_outage(error), error)

    def show(self, error):
        """Have nova ask for an image, with an error of its session."""
        wrapper = glance.GlanceClientWrapper()
        wrapper.client, wrapper.api_server = mock.Mock(), 'http://g'
        wrapper.client.images.get.side_effect = error
        try:
            glance.GlanceImageServiceV2(client=wrapper).show(
                self.context, factories.IMAGE)
        except Exception as found:
            return found
        self.fail('nothing was raised')

    def test_what_the_session_comes_upon(self):
        for error in (
                # A certificate that has expired
                ksa_exc.SSLError('no'),
                # Keystone gives nova no token for itself
                ksa_exc.ServiceUnavailable(), ksa_exc.GatewayTimeout(),
                # The same, for an auth_url without a version
                undiscovered(ksa_exc.ServiceUnavailable()),
                undiscovered(ksa_exc.ConnectFailure())):
            self.assertTrue(glance_outage.is_outage(self.show(error)), error)
            # As of Neutron it says nothing about Glance
            self.assertFalse(glance_outage.is_outage(type(error)('no')))
        for error in (ksa_exc.Unauthorized(),
                      # The address is wrong
                      undiscovered(ksa_exc.NotFound()),
                      ksa_exc.DiscoveryFailure()):
            self.assertFalse(glance_outage.is_outage(self.show(error)), error)

    def test_of_the_image_or_the_host(self):
        for error in (
                answer(401), answer(403), answer(404), answer(413),
                answer(410, '<h1>410 Gone</h1>'), answer(429),
                answer(410, '504 of them'),
                exception.ImageNotFound(image_id=factories.IMAGE),
                exception.ImageNotAuthorized(image_id=factories.IMAGE),
                OSError(errno.ENOSPC, 'No space left on device'),
                RuntimeError('no')):
            self.assertFalse(glance_outage.is_outage(error), error)

    def download(self, error):
        """Have nova download an image whose bytes end with an error."""
        service = glance.GlanceImageServiceV2(client=object())
        target = f'{self.create_tempfiles([("image", "")])[0]}'
        try:
            service._verify_and_write(
                self.context, factories.IMAGE, None, Broken(error), None,
                target)
        except Exception as found:
            return found
        self.fail('nothing was raised')

    def test_a_download_that_breaks_off(self):
        for error in (requests.ConnectionError('reset'),
                      requests.exceptions.ChunkedEncodingError('cut'),
                      requests.Timeout('late')):
            self.assertTrue(glance_outage.is_outage(self.download(error)))
            # Of somebody else's client it says nothing about Glance
            self.assertFalse(glance_outage.is_outage(type(error)('no')))

    def test_a_disk_that_gets_full(self):
        self.assertFalse(glance_outage.is_outage(self.download(
            OSError(errno.ENOSPC, 'No space left on device'))))


class TestSentOn(base.TestCase):

    def raised(self, error, vm_state=vm_states.BUILDING):
        instance = factories.instance(host='compute7', vm_state=vm_state)
        try:
            with glance_down.sent_on(instance):
                raise error
        except Exception as found:
            return found

    def test_nova_is_told_to_try_the_next_host(self):
        found = self.raised(CONNECTION)

        self.assertIsInstance(found, exception.GroupAffinityViolation)
        self.assertIs(CONNECTION, found.__cause__)
        [line] = self.warnings()
        for part in ('compute7', factories.IMAGE, 'http://g failed: no'):
            self.assertIn(part, str(found))
            self.assertIn(part, line)

    def test_the_cause_is_named_where_its_text_does_not(self):
        self.assertIn('HTTPBadGateway', str(self.raised(answer(502))))

    def test_other_errors_stay_what_they_are(self):
        error = exception.ImageNotFound(image_id=factories.IMAGE)

        self.assertIs(error, self.raised(error))
        self.assertEqual([], self.warnings())

    def test_other_servers_are_not_sent_on(self):
        """As one that is rebuilt or unshelved."""
        self.assertIs(CONNECTION, self.raised(
            CONNECTION, vm_states.ACTIVE))
