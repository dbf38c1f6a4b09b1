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

"""Whether the cloud works at all."""

from tests.cloud import images
from tests.cloud import openstack_conf
from tests.cloud import scenario


@scenario.scenario(order=0, computes=2)
def smoke(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """A server boots, its host reports the image, and boots it again."""
    client = cloud.client
    image_id = client.images.upload('smoke', kind='qcow2')

    first, cold = client.servers.boot('first', image_id)
    reported = client.wait_for_holding(first.host, image_id)
    second, warm = client.servers.boot('second', image_id, host=first.host)

    assert images.sha1(image_id) in cloud.computes.images(first.host)
    assert any(cloud.schedulers.said(name, openstack_conf.OUR_WEIGHER_LOGS)
               for name in cloud.schedulers.names), 'no weigher of ours'
    client.servers.check_alive(second.id)
    found = client.cached_images(first.host)
    assert found is not None
    [row] = cloud.command('image', 'show', image_id)
    assert (row['Host'], row['Image'], row['Servers']) == (
        first.host, 'complete', 2), row
    rows = {row['Host']: row for row in cloud.command('host', 'list')}
    assert rows[first.host]['Images'] == found.header.images, rows
    # The hosts of other scenarios are there too, disabled.
    assert rows[first.host]['State'] == 'up', rows
    assert {row['Cell'] for row in rows.values()} == {'cell1'}, rows
    facts['first boot'] = f'{cold:.1f} s'
    facts['second boot'] = f'{warm:.1f} s'
    facts['reported after'] = f'{reported:.1f} s'
    facts['images reported'] = found.header.images
