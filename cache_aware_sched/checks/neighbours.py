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

"""The check of the way to other hosts. No nova."""

from cache_aware_sched.checks.check import fail
from cache_aware_sched.checks.check import ok
from cache_aware_sched.checks.check import Outcome
from cache_aware_sched.checks.check import SetUpCheck
from cache_aware_sched.checks.check import skipped
from cache_aware_sched.checks.check import warn
from cache_aware_sched.checks.state import SetUp


def _reached(set_up: SetUp) -> Outcome | None:
    if set_up.compute is None:
        return skipped('no nova.conf of nova-compute was given')
    if not set_up.compute.fetches_from_hosts:
        return ok(f'{set_up.compute.source} does not have fetch_from_hosts = '
                  'outage')
    if set_up.compute.images_type:
        return warn(
            'fetch_from_hosts = outage has no effect with [libvirt] '
            f'images_type = {set_up.compute.images_type}',
            'Leave fetch_from_hosts unset on such hosts.')
    found = set_up.reached
    if found is None:
        return skipped('not tried: use --reach-hosts on a compute host, as '
                       'the user of nova-compute')
    if not found.host:
        return skipped(found.error or 'there is no other host that is up')
    if found.error:
        return fail(
            f'user {found.user} cannot copy from host {found.host}: '
            f'{found.error}',
            'Let the user of nova-compute log in on the other hosts over ssh '
            'without a password, as for a cold migration; have its host keys '
            'known, and util-linux and coreutils installed there.')
    return ok(f'user {found.user} can log in on host {found.host}')


CHECKS = (
    SetUpCheck('CAS213', 'Compute hosts', 'Other hosts can be reached',
               'With fetch_from_hosts = outage a host copies images from '
               'other hosts over ssh. Whether that works shows in an outage.',
               _reached),
)
