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

"""nova's configuration with the options of this package in it."""

import nova.conf
from nova import exception
from oslo_config import cfg
from oslo_log import log as logging

from cache_aware_sched import conf
from cache_aware_sched import nova_release
from cache_aware_sched import once

LOG = logging.getLogger(__name__)

CONF = nova.conf.CONF
conf.register_opts(CONF)


def checked() -> cfg.ConfigOpts.GroupAttr:
    """Return the option group after reading every option of it once.

    :raises nova.exception.InvalidConfiguration: naming the option whose value
        is out of bounds. Not a ValueError, as oslo.config's is: of that nova
        makes "Compute driver ... is not of type ..." (nova 34.0.0).
    """
    try:
        conf.check(CONF)
    except ValueError as error:
        raise exception.InvalidConfiguration(str(error)) from error
    _warn_of_release()
    options: cfg.ConfigOpts.GroupAttr = CONF.cache_aware_sched
    return options


def _warn_of_release() -> None:
    """Warn once if nova may have changed what this package relies on."""
    if not nova_release.is_tried():
        once.warning(
            LOG, ('release',),
            'cache_aware_sched was tried with nova %(tried)s, and this is '
            'nova %(release)s: what it relies on may have changed. Install a '
            'release of cache_aware_sched that was made for it.',
            {'tried': ', '.join(nova_release.TRIED),
             'release': nova_release.installed()})
