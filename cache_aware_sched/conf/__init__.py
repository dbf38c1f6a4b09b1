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

"""The options of ``[cache_aware_sched]``, one module an area.

No module below imports nova, so that the sample configuration and the
documentation are made without it.
"""

from oslo_config import cfg

from cache_aware_sched.conf import compute
from cache_aware_sched.conf import decision_log
from cache_aware_sched.conf import fake
from cache_aware_sched.conf import image_records
from cache_aware_sched.conf import imagecache
from cache_aware_sched.conf import lvm
from cache_aware_sched.conf import outage
from cache_aware_sched.conf import precache
from cache_aware_sched.conf import scheduler

GROUP = cfg.OptGroup(
    'cache_aware_sched',
    title='Cache-aware scheduling',
    help="""
Where servers are placed by the images that hosts hold, what hosts report of
their image caches, and what they keep in them.

Both nova-scheduler and nova-compute read the options of the cap, which must
be the same everywhere: ``max_same_image_instances_per_host``,
``max_same_image_share_per_host``, ``same_image_scope`` and
``same_image_cap_policy``. The help of each other option names its service.
""")

_MODULES = (scheduler, decision_log, compute, imagecache, lvm,
            precache, image_records, outage, fake)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Return all options of the package, for oslo-config-generator."""
    return [(GROUP, [opt for module in _MODULES for opt in module.OPTIONS])]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Make the options known to ``conf``; doing so twice does no harm."""
    conf.register_group(GROUP)
    for group, options in list_opts():
        conf.register_opts(options, group=group)


def check(conf: cfg.ConfigOpts) -> None:
    """Read every option once, so that a bad value stops the service now.

    oslo.config looks at a value when it is first asked for, which could be
    hours after the start.

    :raises oslo_config.cfg.ConfigFileValueError: naming the option
    """
    _check_each(conf)
    imagecache.check(conf[GROUP.name])
    lvm.check(conf[GROUP.name])


def _check_each(conf: cfg.ConfigOpts) -> None:
    for group, options in list_opts():
        for option in options:
            value = getattr(conf[group.name], option.dest)
            if value is None and option.default is not None:
                raise cfg.ConfigFileValueError(
                    f'Option {option.dest} in group [{group.name}] is empty')
