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

"""What a user sees while Glance is down; the documents say the same."""

from openstack import exceptions

from tests.cloud import scenario

#: What nova-api says to everybody.
CAUSE = 'nova.exception.GlanceConnectionFailed'


@scenario.scenario(name='glance-down', order=100, computes=1)
def glance_down(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """Without Glance no server is created, and those that are there go on."""
    client, host = cloud.client, cloud.computes.with_libvirt[0]
    cached = client.images.upload('cached')
    absent = client.images.upload('absent')
    there, _ = client.servers.boot('there', cached, host=host)

    cloud.control.stop('glance')

    facts['boot of a cached image'] = _refusal(cloud, cached, host)
    facts['boot of another image'] = _refusal(cloud, absent, host)
    client.servers.check_alive(there.id)
    client.sdk.compute.reboot_server(there.id, 'HARD')
    client.servers.wait([there.id])
    client.servers.check_alive(there.id)
    facts['a hard reboot'] = 'works'
    client.servers.delete(there.id)
    facts['a deletion'] = 'works'

    cloud.control.start('glance')
    client.servers.boot('later', cached, host=host)
    facts['once it is back'] = 'boots'


def _refusal(cloud: scenario.Cloud, image_id: str, host: str) -> str:
    """Return what the user who asks for a server is told."""
    before = set(cloud.client.servers.all())
    try:
        cloud.client.servers.request('refused', image_id, host=host)
    except exceptions.HttpException as error:
        assert set(cloud.client.servers.all()) == before
        assert error.status_code == 500, error
        assert CAUSE in str(error.details), error.details
        return f'HTTP 500, {CAUSE}'
    raise AssertionError('a server can be created without Glance')
