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

"""An operator evicts an image, on the compute host itself."""

import json
import os
import subprocess
from typing import Any

from cache_aware_sched.imagecache import evictable
from tests.cloud import images
from tests.cloud import scenario


def _evict(cloud: scenario.Cloud, host: str, image_id: str,
           *options: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the command on a host; return its status and its rows."""
    done = subprocess.run(
        cloud.computes.hosts.inside(host, [
            cloud.settings.program('cache-aware-sched'), 'image', 'evict',
            '--config-file', str(cloud.computes.config_file(host)), host,
            image_id, '-f', 'json', *options]),
        capture_output=True, text=True, check=False, timeout=120,
        env=cloud.processes.environment)
    assert done.stdout, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return done.returncode, rows


@scenario.scenario(order=45, computes=1)
def evict(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """An image that a server uses stays; without the server it is evicted."""
    image_id = cloud.client.images.upload('evicted')
    server, _seconds = cloud.client.servers.boot('user', image_id)
    host = server.host
    file = cloud.computes.cache(host) / images.sha1(image_id)

    status, [row] = _evict(cloud, host, image_id)
    assert status == 1 and server.id in row['Why not'], row
    facts['in use'] = 'stays'

    cloud.client.servers.delete(server.id)
    status, [row] = _evict(cloud, host, image_id)
    assert status == 1 and 'it was used' in row['Why not'], row
    facts['just used'] = 'stays'

    then = file.stat().st_mtime - evictable.GRACE_SECONDS
    os.utime(file, (then, then))
    status, [row] = _evict(cloud, host, image_id, '--dry-run')
    assert (status, row['Evicted']) == (0, 'would be'), row
    assert file.exists()
    status, [row] = _evict(cloud, host, image_id)
    assert (status, row['Evicted']) == (0, 'yes'), row
    assert not file.exists()
    again, _seconds = cloud.client.servers.boot('again', image_id, host=host)
    cloud.client.servers.check_alive(again.id)
    facts['unused'] = 'evicted, and fetched again'
