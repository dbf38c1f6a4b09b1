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

"""Tries to log in on another host, as nova-compute does for a copy."""

from collections.abc import Callable
import contextlib
import getpass
import os
import random

from nova import context as nova_context

from cache_aware_sched.checks.state import ReachedHost
from cache_aware_sched.config import CONF
from cache_aware_sched.neighbours import holders
from cache_aware_sched.neighbours import sending
from cache_aware_sched.neighbours import sources


#: Has nova's objects ask the conductor while the block runs. Begun when the
#: configuration was read: it says where the conductor is.
Asking = Callable[[], contextlib.AbstractContextManager[None]]


def reach(asking: Asking) -> ReachedHost:
    """Log in on one host that is up, any of those that report."""
    user = getpass.getuser()
    try:
        with asking():
            known = holders.reporting(nova_context.get_admin_context())
    except Exception as error:
        return ReachedHost(user, error=f'the conductor does not tell which '
                                       f'hosts there are: {error}')
    found = sources.order(known, str(CONF.host), None, (),
                          random.SystemRandom())
    if not found:
        return ReachedHost(user)
    try:
        sending.check(found[0].address,
                      os.path.join(CONF.instances_path, 'locks'))
    except sending.CopyFailed as error:
        return ReachedHost(user, found[0].host, str(error))
    return ReachedHost(user, found[0].host)
