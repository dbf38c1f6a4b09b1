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

"""Clouds of which only a part has this package."""

from tests.cloud import scenario

NO_EFFECT = 'ImageCacheWeigher has no effect'
OURS = 'cache_aware_sched'


@scenario.scenario(name='mixed', order=70, computes=3)
def mixed(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """Stock nova and this package work together, in each combination."""
    hosts = cloud.computes.with_libvirt
    image_id = cloud.client.images.upload('mixed')

    cloud.schedulers.restart(ours=False)
    _boot_each(cloud, image_id)
    assert cloud.computes.holders(image_id) == hosts
    for host in hosts:
        cloud.client.wait_for_holding(host, image_id)
    facts['our computes, stock scheduler'] = 'boot and report'

    cloud.schedulers.restart()
    cloud.computes.restart(*hosts[1:], ours=False)
    _boot_each(cloud, image_id)
    reporting = [host for host in hosts
                 if cloud.client.cached_images(host) is not None]
    assert reporting == hosts[:1], reporting
    assert not _warnings(cloud)
    facts['our scheduler, one of three hosts ours'] = 'boot, no warning'

    cloud.computes.restart(hosts[0], ours=False)
    # They have seen reports: for them to warn they have to be new.
    cloud.schedulers.restart()
    _boot_each(cloud, image_id)
    _boot_each(cloud, image_id)
    warnings = _warnings(cloud)
    assert all(each == 1 for each in warnings.values()), warnings
    assert warnings, 'no scheduler says that its weigher has no effect'
    facts['our scheduler, stock computes'] = 'boot, one warning'


def _boot_each(cloud: scenario.Cloud, image_id: str) -> None:
    """Boot as many servers as there are hosts, and delete them."""
    servers = cloud.client.servers
    found = servers.wait(servers.request_at_once(
        cloud.computes.with_libvirt, image_id,
        hints={'max_same_image_instances_per_host': '1'}))
    assert {one.status for one in found} == {'ACTIVE'}, found
    servers.delete(*(one.id for one in found))
    for members in (cloud.computes, cloud.schedulers):
        for name in members.names:
            assert not members.said(name, f' ERROR {OURS}'), name


def _warnings(cloud: scenario.Cloud) -> dict[str, int]:
    """Return how often each scheduler that warned did so."""
    found = {name: cloud.schedulers.times_said(name, NO_EFFECT)
             for name in cloud.schedulers.names}
    return {name: times for name, times in found.items() if times}
