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

"""A cache with more images than a report can list."""

import uuid

from cache_aware_sched import report
from tests.cloud import disk
from tests.cloud import images
from tests.cloud import running
from tests.cloud import scenario

FILES = 10_000
#: Bytes of the column of the database.
ROW = 65_535


@scenario.scenario(name='full-report', order=50, computes=1)
def full_report(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """A host with 10,000 images reports what fits, and boots."""
    client, host = cloud.client, cloud.computes.with_libvirt[0]
    image_id = client.images.upload('booted')
    cache = cloud.computes.cache(host)
    cache.mkdir(parents=True, exist_ok=True)
    for _ in range(FILES):
        with (cache / images.sha1(str(uuid.uuid4()))).open('wb') as file:
            file.truncate(disk.MIB)
    cloud.computes.restart(host, options={
        'DEFAULT': {'image_cache_manager_interval': 5}})

    running.wait_for(f'{host} does not report {FILES} images',
                     lambda: _images(cloud, host) >= FILES, 60.0)
    server, seconds = client.servers.boot('guest', image_id, host=host)

    client.wait_for_holding(host, image_id)
    found = client.cached_images(host)
    assert found is not None
    assert found.header.truncated
    assert found.header.images == FILES + 1, found.header
    users = {file.sha1: file.users for file in found}
    assert users[report.image_key(image_id)] == 1
    size = int(client.sql(
        f'select octet_length(stats) from nova_cell1.compute_nodes '
        f"where deleted = 0 and host = '{host}';")[0])
    assert size < ROW
    running.wait_for(
        f'{host}: no pass of the image cache manager',
        lambda: cloud.computes.said(host, f'{FILES + 1:,} files'), 60.0)
    assert len(cloud.computes.images(host)) == FILES + 1
    client.servers.check_alive(server.id)
    assert client.computes()[host] == 'up'
    for mark in (' ERROR nova', ' ERROR cache_aware_sched'):
        assert not cloud.computes.said(host, mark), f'{host} logged {mark}'
    facts['images'] = found.header.images
    facts['of them listed'] = found.header.records
    facts['bytes of the row'] = size
    facts['boot'] = f'{seconds:.1f} s'


def _images(cloud: scenario.Cloud, host: str) -> int:
    found = cloud.client.cached_images(host)
    return 0 if found is None else found.header.images
