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

from tests.cloud import scenario

#: Times as much memory as stock nova's, at most.
WANTED = 1.05
SERVERS = 6


@scenario.scenario(name='memory', order=120, computes=3, schedulers=2)
def memory(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """A compute and a scheduler take up at most 5 % more with the package."""
    image_ids = [cloud.client.images.upload(f'image{number}')
                 for number in range(3)]
    stock, ours = (_after_work(cloud, image_ids, has) for has in (False, True))

    for what, before in stock.items():
        ratio = ours[what] / before
        facts[what] = (f'{ours[what] / 2 ** 20:.1f} MiB, '
                       f'{ratio:.3f} of stock nova')
        assert ratio <= WANTED, f'{what}: {ratio:.3f}'


def _after_work(cloud: scenario.Cloud, image_ids: list[str], ours: bool
                ) -> dict[str, float]:
    """Return the mean bytes of a service of each kind after some work."""
    cloud.configure(ours=ours)
    servers = cloud.client.servers
    asked = [f'{number}' for number in range(SERVERS)]
    found = servers.wait(servers.request_at_once(
        asked, lambda name: image_ids[int(name) % len(image_ids)]))
    assert {one.status for one in found} == {'ACTIVE'}, found
    servers.delete(*(one.id for one in found))
    computes, schedulers = cloud.computes, cloud.schedulers
    return {what: sum(map(members.memory, names)) / len(names)
            for what, members, names in (
                ('nova-compute', computes, computes.with_libvirt),
                ('nova-scheduler', schedulers, schedulers.names))}
