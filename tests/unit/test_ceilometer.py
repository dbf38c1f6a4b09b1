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

"""The event definitions, and what Ceilometer's own parser makes of them.

Ceilometer is there in the environment "ceilometer" of tox.
"""

import importlib.util
import pathlib
import unittest

from oslo_config import cfg
import yaml

from cache_aware_sched.imagecache import notification
from tests.unit import base
from tests.unit import factories

FILE = (pathlib.Path(__file__).parents[2]
        / 'etc/ceilometer/event_definitions_image_cache.yaml')

EVENTS = {
    'hit': notification.Event(
        'hit', factories.IMAGE, 'host1', 4 * factories.GIB, None, 'f1',
        factories.new_uuid()),
    'evict': notification.Event(
        'evict', factories.OTHER_IMAGE, 'host1', 7, 'image_cache_max_images',
        'f2'),
    'miss': notification.Event('miss', None, 'host1', None, None, 'f3'),
}


class DefinitionTests(base.TestCase):

    def test_every_field_of_a_notification_has_a_trait(self):
        [definition] = yaml.safe_load(FILE.read_text())

        self.assertEqual(
            {f'image_cache.{action}' for action in EVENTS},
            set(definition['event_type']))
        for form in ('payload.{}', "payload.'nova_object.data'.{}"):
            self.assertEqual(
                {form.format(field) for field in EVENTS['hit'].payload()},
                {field for trait in definition['traits'].values()
                 for field in trait['fields'] if field.startswith(
                     form.partition('{')[0])
                 and ('nova_object' in form or 'nova_object' not in field)})


@unittest.skipUnless(
    importlib.util.find_spec('ceilometer'),
    'no Ceilometer: run the environment "ceilometer" of tox')
class CeilometerTests(base.TestCase):

    def setUp(self):
        super().setUp()
        from ceilometer.event import converter
        conf = cfg.ConfigOpts()
        conf.register_opts(converter.OPTS, group='event')
        conf([], default_config_files=[])
        conf.set_override('definitions_cfg_file', str(FILE), group='event')
        self.converter = converter.setup_events(
            conf, trait_plugin_mgr=self.trait_plugins())

    def trait_plugins(self):
        """Return those of Ceilometer's plug-ins that there are."""
        import stevedore
        return stevedore.ExtensionManager('ceilometer.event.trait_plugin')

    def event(self, action, versioned):
        event = EVENTS[action]
        payload = (notification.ImageCachePayload(event).obj_to_primitive()
                   if versioned else event.payload())
        return self.converter.to_event('info', {
            'event_type': f'image_cache.{action}', 'payload': payload,
            'publisher_id': 'compute.host1', 'ctxt': {}, 'metadata': {
                'message_id': factories.new_uuid(),
                'timestamp': '2026-11-26 12:00:00'}})

    def test_events_have_their_traits(self):
        from ceilometer.event import models
        for versioned in (False, True):
            for action, event in EVENTS.items():
                made = self.event(action, versioned)

                self.assertEqual(f'image_cache.{action}', made.event_type)
                traits = {trait.name: trait.value for trait in made.traits}
                payload = event.payload()
                wanted = {'image_id': payload['image_id'],
                          'resource_id': payload['image_id'],
                          'instance_id': payload['instance_uuid'],
                          **{name: payload[name] for name in (
                              'host', 'size', 'reason', 'file')}}
                self.assertEqual(
                    {name: value for name, value in wanted.items()
                     if value is not None},
                    {name: traits[name] for name in wanted if name in traits},
                    (action, versioned))
                self.assertEqual(
                    {'size': models.Trait.INT_TYPE} if payload['size'] else {},
                    {trait.name: trait.dtype for trait in made.traits
                     if trait.name == 'size'})

    def test_other_notifications_are_left_alone(self):
        made = self.converter.to_event('info', {
            'event_type': 'image_cache_other', 'payload': EVENTS[
                'hit'].payload(), 'publisher_id': 'x', 'ctxt': {},
            'metadata': {'message_id': factories.new_uuid(),
                         'timestamp': '2026-11-26 12:00:00'}})

        self.assertNotIn('image_id', {trait.name for trait in made.traits})
