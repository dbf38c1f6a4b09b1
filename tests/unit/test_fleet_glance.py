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


import contextlib
import http.server
import json
import threading
import time
from unittest import mock
import urllib.parse

from keystoneauth1 import loading
from nova import objects

from cache_aware_sched.fleet import glance
from cache_aware_sched import service_account
from tests.unit import base
from tests.unit import factories

IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE


class GlanceTestCase(base.TestCase):
    """With a real client of HTTP, and a server in the place of Glance."""

    def setUp(self):
        super().setUp()
        self.asked = []
        self.pages = {}
        self.single = None
        self.status = 200
        self.delay = 0.0
        test = self

        class Handler(http.server.BaseHTTPRequestHandler):

            def do_GET(self):
                test.asked.append(self.path)
                time.sleep(test.delay)
                url = urllib.parse.urlsplit(self.path)
                query = urllib.parse.parse_qs(url.query)
                body, status = test.pages.get(query.get('marker', [''])[0], {
                    'images': []}), test.status
                if test.single is not None and url.path != '/v2/images':
                    body = test.single.get(url.path.rpartition('/')[2])
                    status = 200 if body else 404
                body = json.dumps(body).encode()
                # A client that waits no longer has hung up.
                with contextlib.suppress(BrokenPipeError):
                    self.send_response(status)
                    self.send_header('Content-Type', 'application/json')
                    self.send_header('Content-Length', str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url = f'http://127.0.0.1:{server.server_port}'
        loading.register_auth_conf_options(service_account.CONF, 'placement')
        self.set_nova(group='placement', auth_type='none')
        self.set_nova(group='glance', endpoint_override=self.url)


class TestNames(GlanceTestCase):

    def page(self, *images, marker='', next=None):
        self.pages[marker] = {
            'images': [{'id': id_, 'name': name} for id_, name in images],
            **({'next': f'/v2/images?marker={next}'} if next else {})}

    def test_names(self):
        self.page((IMAGE, 'debian'), ('x', 'other'), (OTHER_IMAGE, None))

        self.assertEqual({IMAGE: 'debian', OTHER_IMAGE: ''},
                         glance.names([IMAGE, OTHER_IMAGE, 'gone', '']))

    def test_nothing_is_asked_for_nothing(self):
        self.assertEqual({}, glance.names(['']))
        self.assertEqual([], self.asked)

    def test_pages(self):
        self.page(('x', 'x'), next='1')
        self.page((IMAGE, 'debian'), marker='1', next='2')

        self.assertEqual({IMAGE: 'debian'}, glance.names([IMAGE]))
        self.assertEqual(2, len(self.asked))

    def test_pages_without_end(self):
        self.page(('x', 'x'), next='1')
        self.page(('y', 'y'), marker='1', next='1')

        self.assertEqual({}, glance.names([IMAGE]))
        self.assertEqual(glance.PAGES, len(self.asked))

    def assert_unknown(self, text):
        error = self.assertRaises(
            glance.GlanceSilent, glance.names, [IMAGE])
        self.assertIn(text, str(error))

    def test_answer_that_is_none(self):
        for self.status in (401, 500):
            self.assert_unknown(f'HTTP {self.status}')
        self.status = 200
        self.pages[''] = {'no': 'images'}
        self.assert_unknown('images')

    def test_owner_and_size(self):
        self.pages[''] = {'images': [{
            'id': IMAGE, 'name': 'debian', 'owner': 'cloud', 'size': 5,
            'virtual_size': 9, 'status': 'active'},
            {'id': OTHER_IMAGE, 'name': None, 'owner': None, 'size': None,
             'virtual_size': None, 'status': 'queued'}]}

        self.assertEqual({
            IMAGE: glance.GlanceImage('debian', 'cloud', 5, 9, True),
            OTHER_IMAGE: glance.GlanceImage('', '', 0, 0, False)},
            glance.records([IMAGE, OTHER_IMAGE]))

    def test_image_that_is_shown_no_more(self):
        self.page((IMAGE, 'debian'))

        found = glance.records([IMAGE, OTHER_IMAGE])

        self.assertEqual('debian', found[IMAGE].name)
        self.assertIsNone(found[OTHER_IMAGE])
        # What is hidden can be booted.
        self.assertEqual([False, True],
                         ['os_hidden=true' in path for path in self.asked])

    def test_image_on_a_page_that_is_not_read(self):
        self.page(('x', 'x'), next='1')
        self.page(('y', 'y'), marker='1', next='1')

        self.assertEqual({}, glance.records([IMAGE]))

    def test_images_on_pages_that_are_not_read_are_asked_for_singly(self):
        self.page(('x', 'x'), next='1')
        self.page(('y', 'y'), marker='1', next='1')
        self.single = {IMAGE: {'id': IMAGE, 'name': 'old', 'owner': 'cloud'}}

        found = glance.records([IMAGE, OTHER_IMAGE], single=1)

        self.assertEqual('old', found.pop(IMAGE).name)
        self.assertEqual({}, found)
        self.assertEqual({OTHER_IMAGE: None}, glance.records(
            [OTHER_IMAGE], single=1))
        self.assertEqual(2 * glance.PAGES + 2, len(self.asked))

    def test_glance_is_down(self):
        self.set_nova(group='glance', endpoint_override='http://127.0.0.1:1')

        self.assert_unknown('Glance does not tell the names of images')

    def test_glance_that_does_not_answer(self):
        self.delay = 1.0
        with mock.patch.object(glance, 'SECONDS', 0.1):
            self.assert_unknown('Glance does not tell')

    def test_no_account(self):
        self.set_nova(group='placement', auth_type=None)

        self.assert_unknown('nova.conf has no account in')
        self.assertEqual([], self.asked)


class TestDescribe(GlanceTestCase):

    def test_image_with_its_properties(self):
        self.pages[''] = {
            'id': IMAGE, 'name': 'debian', 'size': 7, 'min_disk': 1,
            'disk_format': 'qcow2', 'hw_disk_bus': 'scsi', 'self': '/v2/x',
            'schema': '/v2/y', 'file': '/v2/z', 'os_hash_value': 'abc'}

        found = glance.describe(IMAGE)

        self.assertEqual([f'/v2/images/{IMAGE}'], self.asked)
        self.assertEqual({'hw_disk_bus': 'scsi'}, found.pop('properties'))
        self.assertEqual({'id': IMAGE, 'name': 'debian', 'size': 7,
                          'min_disk': 1, 'disk_format': 'qcow2'}, found)
        self.assertEqual('scsi', objects.ImageMeta.from_dict(
            {**found, 'properties': {'hw_disk_bus': 'scsi'}}
        ).properties.hw_disk_bus)

    def test_no_such_image(self):
        self.status = 404

        error = self.assertRaises(glance.GlanceSilent, glance.describe, 'a/b')

        self.assertEqual(['/v2/images/a%2Fb'], self.asked)
        self.assertIn('does not describe image a/b', str(error))
        self.assertIn('404', str(error))
