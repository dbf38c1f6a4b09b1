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

"""What the tests of the simulator simulate."""

from cache_aware_sched.simulator import engine
from cache_aware_sched.simulator import policy
from cache_aware_sched.simulator import settings
from cache_aware_sched.simulator import workload

MB = 10 ** 6
GIB = 2 ** 30
PROJECT = 'b' * 32
OTHER_PROJECT = 'c' * 32
A, B, C = (f'aaaaaaaa-0000-4000-8000-00000000000{number}'
           for number in range(3))


def boot(at, image=A, lifetime=None, project=PROJECT, vcpus=1, ram_mb=1024,
         disk_gb=20):
    return workload.Boot(at, 0, vcpus, ram_mb, lifetime, disk_gb, image,
                         project)


def load(*boots, mb=1000):
    """Return a workload whose images are all of one size."""
    return workload.Workload(boots, {
        image: workload.Image(image, mb * MB, False) for image in (A, B, C)})


def cloud(hosts=2, **options):
    """Return a cloud that is easy to calculate by hand.

    An image of 1000 MB takes a host 10 s, and a warm boot 2 s.
    """
    return settings.Settings(**{
        'hosts': hosts, 'fetch_mb_s': 100.0, 'glance_mb_s': 0.0,
        'boot_seconds': 2.0, 'claim_delay': 0.5, 'warm_up': 0.0,
        **options})


def ours(*lines):
    """Return this package with some of its options."""
    return policy.ours(
        fragment='\n'.join(('[cache_aware_sched]', *lines)))


def simulate(boots, the_policy=None, seed=0, **options):
    """Return the simulation and its result."""
    the_load = boots if isinstance(
        boots, workload.Workload) else load(*boots)
    return engine.simulate(
        the_load, cloud(**options), the_policy or policy.stock(), seed)


def findings(result):
    """Return a result without the time that it took."""
    return {name: value for name, value in result.to_dict().items()
            if name != 'seconds'}
