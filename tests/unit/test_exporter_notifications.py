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

"""Tests of the exporter as a listener, with oslo.messaging's own parts."""

import threading

import fixtures
from nova.db.api import models as api_models
import oslo_messaging
from oslo_messaging import conffixture
import sqlalchemy as sa

from cache_aware_sched.api import outage_notification
from cache_aware_sched.exporter import notifications
from cache_aware_sched import nova_databases
from tests.unit import exported
from tests.unit import factories

GIB = factories.GIB


def payload(server='s1', image=factories.IMAGE, host='a', size=3 * GIB,
            reason=None):
    return {'image_id': image, 'host': host, 'size': size, 'reason': reason,
            'file': 'f1', 'instance_uuid': server}


class NotificationTests(exported.ExporterTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(conffixture.ConfFixture(nova_databases.CONF))
        self.set_nova(transport_url='fake:///', control_exchange='nova')
        self.make_exporter(notifications=True)
        self.events = notifications.ImageCacheEvents(self.exporter.counters)

    def tell(self, action, data=None, versioned=False, seconds=0, **fields):
        data = data or payload(**fields)
        self.events.info(
            None, 'compute.a', f'image_cache.{action}',
            {'nova_object.data': data} if versioned else data,
            {'timestamp': f'2026-01-01 12:00:{seconds:02d}.5'})

    def boots(self):
        found = self.values('boots_total', 'cache')
        return found['warm'], found['cold']

    def test_hit_and_miss(self):
        self.tell('hit')
        self.tell('miss', server='s2')

        self.assertEqual((1, 1), self.boots())
        self.assertEqual({(): 1}, self.values('fetches_total'))

    def test_outages_of_glance(self):
        for action, seconds in (('begin', 0.0), ('end', 1260.5),
                                ('begin', 0.0), ('end', float('nan')),
                                ('end', 'long'), ('end', -5)):
            self.events.info(None, 'api.a', f'glance_outage.{action}',
                             {'host': 'a', 'seconds': seconds}, {})

        self.assertEqual({(): 2}, self.values('glance_outages_total'))
        self.assertEqual({(): 1260.5},
                         self.values('glance_outage_seconds_total'))

    def test_both_forms_are_one_boot(self):
        for versioned in (False, True):
            self.tell('hit', versioned=versioned)
            self.tell('evict', server=None, reason='age', versioned=versioned)

        self.assertEqual((1, 0), self.boots())
        self.assertEqual(1, self.values('evictions_total', 'reason')['age'])

    def test_hostile_eviction(self):
        for number, (size, reason, told) in enumerate((
                (10 ** 400, '\ud800"\n', '?"\n'),
                (float('inf'), 'x' * 10 ** 6, 'x' * notifications.MAX_LABEL),
                ('many', ['a'], "['a']"), (-5, 7, '7'))):
            self.tell('evict', server=None, host=str(number), size=size,
                      reason=reason)
            self.scrape()
            self.assertEqual(
                1, self.values('evictions_total', 'reason')[told])

        self.assertEqual({0}, set(self.values(
            'evicted_bytes_total', 'reason').values()))

    def test_time_that_is_none(self):
        for number, time in enumerate((
                '9999-12-31T23:59:59-23:59', 'noon', None, 5)):
            self.events.info(
                None, 'compute.a', 'image_cache.hit', payload(f's{number}'),
                {'timestamp': time})

        self.assertEqual((4, 0), self.boots())

    def test_server_that_is_rebuilt(self):
        self.tell('hit')
        self.tell('hit', seconds=30)

        self.assertEqual((2, 0), self.boots())

    def test_decisions_do_not_count_the_boot_again(self):
        self.tell('hit')
        self.decide(exported.decision('s1'))

        self.assertEqual((1, 0), self.boots())
        self.assertEqual(12.5, self.values(
            'fetch_saved_seconds_total', 'mode')['enforced'])

    def test_host_knows_better_how_the_server_booted(self):
        self.decide(exported.decision('s1'))
        self.scrape()
        self.tell('miss')
        self.create('s1', 60)
        self.scrape()

        self.assertEqual(1, self.values('boot_seconds_count', 'cache')['cold'])

    def test_regret(self):
        self.tell('evict', server=None, reason='image_cache_max_images')
        self.tell('miss', seconds=40)

        self.assertEqual({(): 1}, self.values('evictions_regretted_total'))
        self.assertEqual(3 * GIB, self.values('evicted_bytes_total', 'reason')[
            'image_cache_max_images'])

    def test_image_that_nobody_knows(self):
        self.tell('evict', server=None, image=None, size=None, reason='age')

        self.assertEqual(1, self.values('evictions_total', 'reason')['age'])

    def test_what_cannot_be_read(self):
        self.tell('hit', data={'host': 'a'})
        self.tell('hit')

        self.assertEqual((1, 0), self.boots())
        self.assertIn('image_cache.hit of compute.a cannot be read',
                      self.warnings()[0])

    def test_each_pool_gets_every_message(self):
        """So Ceilometer, which has no pool, loses none."""
        theirs = []
        told = threading.Event()

        class Ceilometer:
            def info(self, context, publisher, event_type, data, metadata):
                theirs.append(event_type)
                told.set()

        [ours] = notifications.listeners([None], self.events)
        transport = oslo_messaging.get_notification_transport(
            nova_databases.CONF)
        other = oslo_messaging.get_notification_listener(
            transport, [oslo_messaging.Target(
                exchange='nova', topic='notifications')], [Ceilometer()],
            executor='threading')
        for listener in (ours, other):
            listener.start()
            self.addCleanup(listener.wait)
            self.addCleanup(listener.stop)
        notifier = oslo_messaging.Notifier(
            transport, 'compute.a', driver='messaging',
            topics=['notifications'])
        notifier.info({}, 'compute.instance.create.end', {})
        notifier.info({}, 'image_cache.hit', payload())

        self.assertTrue(told.wait(60))
        self.wait_for(lambda: self.boots() == (1, 0))
        self.wait_for(lambda: theirs == ['compute.instance.create.end',
                                         'image_cache.hit'])

    def test_outages_that_nova_api_tells_of(self):
        [ours] = notifications.listeners([None], self.events)
        ours.start()
        self.addCleanup(ours.wait)
        self.addCleanup(ours.stop)
        self.useFixture(fixtures.MonkeyPatch(
            'nova.rpc.LEGACY_NOTIFIER', oslo_messaging.Notifier(
                oslo_messaging.get_notification_transport(nova_databases.CONF),
                driver='messaging', topics=['notifications'])))

        outage_notification.send('begin', 0.0)
        outage_notification.send('end', 12.3456)

        self.wait_for(lambda: self.values('glance_outage_seconds_total') == {
            (): 12.346})
        self.assertEqual({(): 1}, self.values('glance_outages_total'))

    def wait_for(self, condition):
        for _round in range(600):
            if condition():
                return
            threading.Event().wait(0.1)
        self.fail('it never came')


class TransportTests(exported.ExporterTestCase):

    def urls(self, *urls):
        cells = api_models.CellMapping.__table__
        with self.api.begin() as connection:
            connection.execute(sa.delete(cells))
            for number, url in enumerate(urls):
                connection.execute(sa.insert(cells).values(
                    uuid=f'{number:036d}', transport_url=url))
        return notifications.transport_urls(self.database())

    def test_those_of_the_cells(self):
        self.assertEqual(
            ['rabbit://a/', 'rabbit://b/'],
            self.urls('none:///', 'rabbit://a/', 'rabbit://b/', 'rabbit://a/',
                      None))

    def test_that_of_nova_api(self):
        self.set_nova(transport_url='rabbit://api/')

        self.assertEqual(['rabbit://a/', 'rabbit://api/'],
                         self.urls('rabbit://a/'))

    def test_template(self):
        self.set_nova(transport_url='rabbit://user:secret@c:5672/nova')

        self.assertEqual(['rabbit://user:secret@c:5672/nova'], self.urls(
            'rabbit://{username}:{password}@{hostname}:{port}/{path}'))

    def test_one_that_is_for_notifications_only(self):
        self.set_nova('oslo_messaging_notifications',
                      transport_url='rabbit://n/')

        self.assertEqual([None], self.urls('rabbit://a/'))
