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

"""What the package costs in memory."""

import statistics

from tests.cloud import scenario

#: Times as much memory as stock nova's, at most.
WANTED = 1.05


@scenario.scenario(name='memory', order=120, computes=3, schedulers=2)
def memory(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """A compute and a scheduler take up at most 5 % more with the package."""
    image_ids = [cloud.client.images.upload(f'image{number}')
                 for number in range(3)]
    stock, ours = (_after_work(cloud, image_ids, has) for has in (False, True))

    for what, before in stock.items():
        ratio = statistics.fmean(ours[what]) / statistics.fmean(before)
        facts[what] = (f'{statistics.fmean(ours[what]):.1f} MiB, '
                       f'{ratio:.3f} of stock nova')
        assert ratio <= WANTED, (
            f'{what}: {ratio:.3f}; stock {before}, ours {ours[what]}')


def _after_work(cloud: scenario.Cloud, image_ids: list[str], ours: bool
                ) -> dict[str, list[float]]:
    """Return the MiB of the services of each kind after some work."""
    cloud.configure(ours=ours)
    # Placed by the schedulers
    _boot(cloud, [(image_id, None) for image_id in image_ids * 2])
    # A compute that never had a server takes up less: each gets the same.
    _boot(cloud, [(image_id, host) for image_id in image_ids
                  for host in cloud.computes.with_libvirt])
    computes, schedulers = cloud.computes, cloud.schedulers
    return {what: [round(members.memory(name) / 2 ** 20, 1) for name in names]
            for what, members, names in (
                ('nova-compute', computes, computes.with_libvirt),
                ('nova-scheduler', schedulers, schedulers.names))}


def _boot(cloud: scenario.Cloud, wanted: list[tuple[str, str | None]]) -> None:
    """Boot servers of images, some on a host of their own, and delete them."""
    servers = cloud.client.servers
    found = servers.wait([
        servers.request(f'{number}', image_id, host=host)
        for number, (image_id, host) in enumerate(wanted)])
    assert {one.status for one in found} == {'ACTIVE'}, found
    servers.delete(*(one.id for one in found))
