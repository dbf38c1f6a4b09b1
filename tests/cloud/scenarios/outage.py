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

"""Servers that boot while Glance is down, or hangs."""

import collections
from concurrent import futures
import time

from openstack import exceptions

from cache_aware_sched.api import breaker
from tests.cloud import conf
from tests.cloud import openstack_conf
from tests.cloud import running
from tests.cloud import scenario

#: Of each image.
SERVERS = 20

#: Seconds in which a server that cannot boot is to have failed, and in which
#: all is to be normal once Glance is back.
SOON = 10.0

#: Processes of nova-api.
WORKERS = 8

#: What nova says of each attempt to ask a Glance that is down, and how many
#: attempts a question has ([glance] num_retries).
ATTEMPT, ATTEMPTS = 'Error contacting glance server', 4

BEGIN, END = 'Glance is down for nova-api', 'Glance is back for nova-api'


@scenario.scenario(order=102, computes=3)
def outage(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """Servers boot from images that are remembered, where they are."""
    client = cloud.client
    images = {name: client.images.upload(name) for name in (
        'critical', 'golden', 'nowhere', 'unknown', 'later1', 'later2')}
    client.sdk.image.update_image(images['critical'], visibility='public')
    hosts = cloud.computes.with_libvirt[:3]
    cloud.schedulers.restart(options=_filters())
    options = conf.merge(
        openstack_conf.image_records(cloud.settings),
        {'cache_aware_sched': {'critical_images': images['critical']}})
    cloud.control.restart_api(options, workers=WORKERS)
    for name, where in (('critical', hosts), ('golden', hosts[:2])):
        client.precache(client.aggregate(name, where), images[name])
        for host in where:
            client.wait_for_holding(host, images[name])
    # These two are given to the project; the critical one to nobody.
    for name in ('golden', 'nowhere'):
        answer = client.sdk.compute.get(
            f'/images/{images[name]}', microversion='2.1')
        assert answer.status_code == 200, answer.text
    running.wait_for(
        'the critical image is not remembered', lambda: cloud.processes.said(
            'nova', '1 critical image looked up'), 90.0)

    cloud.control.stop('glance')
    _play(cloud, facts, 'Glance stopped', images)
    facts[f'Glance stopped: questions for {WORKERS} requests at once'] = (
        _questions(cloud, images['unknown']))
    facts[f'Glance stopped: {SERVERS} of one on two hosts, at once'] = (
        _boot_at_once(cloud, images['golden'], hosts[:2]))
    cloud.control.start('glance')
    facts['Glance stopped: normal again'] = _normal(
        cloud, images['later1'], hosts[0])

    cloud.processes.freeze('glance')
    try:
        _play(cloud, facts, 'Glance hung', images)
    finally:
        cloud.processes.thaw('glance')
    facts['Glance hung: normal again'] = _normal(
        cloud, images['later2'], hosts[0])

    facts['Glance stopped while they are asked for'] = _stop_in_the_middle(
        cloud, images['critical'])


@scenario.scenario(name='outage-restart', order=103, computes=1)
def outage_restart(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """nova-api is restarted while Glance is down, and still remembers."""
    client, host = cloud.client, cloud.computes.with_libvirt[0]
    golden = client.images.upload('golden')
    options = openstack_conf.image_records(cloud.settings)
    cloud.control.restart_api(options, workers=WORKERS)
    client.servers.boot('before', golden, host=host)

    cloud.control.stop('glance')
    cloud.control.restart_api(options, workers=WORKERS)
    _server, seconds = client.servers.boot('after', golden, host=host)

    facts['a boot after the restart'] = f'{seconds:.1f} s'


@scenario.scenario(name='outage-keystone', order=103, computes=1)
def outage_keystone(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """Keystone is down as well, and who has a token still boots servers."""
    client, host = cloud.client, cloud.computes.with_libvirt[0]
    golden = client.images.upload('golden')
    cloud.control.restart_api(openstack_conf.image_records(cloud.settings))
    client.servers.boot('before', golden, host=host)

    cloud.control.stop('glance', 'keystone')
    _server, seconds = client.servers.boot('after', golden, host=host)

    facts['a boot with a token that was used before'] = f'{seconds:.1f} s'
    cloud.control.start('keystone', 'glance')


def _filters() -> conf.Conf:
    return {
        **openstack_conf.image_cache_filter(),
        'cache_aware_sched': {
            # It shall not be the weigher that sends servers there.
            'image_cache_weight_multiplier': -100.0,
            'max_same_image_instances_per_host': 0}}


def _play(cloud: scenario.Cloud, facts: scenario.Facts, what: str,
          images: dict[str, str]) -> None:
    """Boot in an outage what can be booted, and what cannot."""
    said = cloud.processes.times_said('nova', BEGIN)
    start = time.monotonic()
    assert _status(cloud, images['unknown']) == 503
    facts[f'{what}: first request, of an unknown image'] = _seconds(start)
    start = time.monotonic()
    assert _status(cloud, images['unknown']) == 503
    facts[f'{what}: the next one'] = _seconds(start)

    facts[f'{what}: {SERVERS} of a critical image, in turn'] = _boot_in_turn(
        cloud, images['critical'])

    start = time.monotonic()
    status = _status(cloud, images['nowhere'])
    seconds = time.monotonic() - start
    facts[f'{what}: of one on no host'] = f'HTTP {status} in {seconds:.1f} s'
    assert status == 503 and seconds < SOON, status
    told = cloud.processes.times_said('nova', BEGIN) - said
    assert told == 1, f'{told} warnings'
    facts[f'{what}: warnings of {WORKERS} processes'] = told


def _questions(cloud: scenario.Cloud, image_id: str) -> str:
    """Ask all processes at once when it is time to; see one ask Glance."""
    before = -1
    # A request before may have left one who still asks.
    while (now := cloud.processes.times_said('nova', ATTEMPT)) != before:
        before = now
        time.sleep(breaker.RETRY + 1.5)
    with futures.ThreadPoolExecutor(WORKERS) as pool:
        found = set(pool.map(lambda _number: _status(cloud, image_id),
                             range(WORKERS)))
    attempts = cloud.processes.times_said('nova', ATTEMPT) - before
    assert found == {503}, found
    assert attempts == ATTEMPTS, attempts
    return f'1, of {attempts} attempts'


def _stop_in_the_middle(cloud: scenario.Cloud, image_id: str) -> str:
    """Stop Glance while servers are asked for."""
    servers = cloud.client.servers
    with futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(servers.request_at_once, [
            f'guest{number}' for number in range(SERVERS)], image_id)
        running.wait_for('no server was asked for',
                         lambda: bool(servers.all()), 60.0, 0.02)
        cloud.control.stop('glance')
        ids = asked.result()
    found = servers.wait(ids, within=300.0)
    assert {one.status for one in found} == {'ACTIVE'}, found
    return f'{len(found)} of {SERVERS} ACTIVE'


def _boot_in_turn(cloud: scenario.Cloud, image_id: str) -> str:
    """Boot servers one by one; return how long they took."""
    servers = cloud.client.servers
    found = [servers.boot(f'guest{number}', image_id)
             for number in range(SERVERS)]
    servers.delete(*(server.id for server, _seconds in found))
    taken = sorted(seconds for _server, seconds in found)
    return (f'all ACTIVE, each in {taken[0]:.1f} to {taken[-1]:.1f} s, on '
            f'{len({server.host for server, _seconds in found})} hosts')


def _boot_at_once(cloud: scenario.Cloud, image_id: str,
                  hosts: list[str]) -> str:
    """Boot servers at once; return how long the slowest took."""
    servers = cloud.client.servers
    start = time.monotonic()
    ids = servers.request_at_once(
        [f'guest{number}' for number in range(SERVERS)], image_id)
    asked = time.monotonic() - start
    found = servers.wait(ids, within=300.0)
    seconds = time.monotonic() - start
    active = [one for one in found if one.status == 'ACTIVE']
    assert len(active) == SERVERS, found
    where = collections.Counter(one.host for one in active)
    assert set(where) <= set(hosts), where
    servers.delete(*ids)
    return (f'all ACTIVE, the last in {seconds:.1f} s, asked for in '
            f'{asked:.1f} s, on {len(where)} hosts')


def _status(cloud: scenario.Cloud, image_id: str) -> int:
    """Ask for a server; return how nova-api refuses it."""
    before = set(cloud.client.servers.all())
    try:
        cloud.client.servers.request('refused', image_id)
    except exceptions.HttpException as error:
        assert set(cloud.client.servers.all()) == before
        assert 'Glance is down' in str(error), error
        assert image_id in str(error), error
        return int(error.status_code or 0)
    raise AssertionError('a server was made of an image that nobody holds')


def _normal(cloud: scenario.Cloud, image_id: str, host: str) -> str:
    """Boot what was not remembered; return how soon that was possible."""
    servers, start = cloud.client.servers, time.monotonic()
    while True:
        try:
            server = servers.request('later', image_id, host=host)
            break
        except exceptions.HttpException:
            assert time.monotonic() - start < SOON
            time.sleep(0.5)
    seconds = _seconds(start)
    [found] = servers.wait([server])
    assert found.status == 'ACTIVE', found
    servers.delete(server)
    return seconds


def _seconds(start: float) -> str:
    return f'{time.monotonic() - start:.1f} s'
