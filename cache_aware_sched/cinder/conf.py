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

"""The options of ``[cache_aware_sched]`` in cinder.conf. No Cinder."""

from oslo_config import cfg

from cache_aware_sched.conf import types

#: As of the weigher in nova-scheduler.
MULTIPLIER_BOUND = 1_000_000

#: The multiplier above which nothing more is saved in most of the runs on the
#: page "Volumes from images", and below which more is fetched.
DEFAULT_MULTIPLIER = 5.0

GROUP = cfg.OptGroup(
    'cache_aware_sched',
    title='Cache-aware scheduling of volumes',
    help="""
Which backends are preferred for volumes that are made from an image.

Only ``cinder-scheduler`` reads these options.
""")

OPTIONS = [
    cfg.Opt(
        'image_volume_cache_weight_multiplier',
        type=types.Finite(min=-MULTIPLIER_BOUND, max=MULTIPLIER_BOUND),
        default=DEFAULT_MULTIPLIER,
        help="""
How much a pool is preferred whose image-volume cache holds the image.

Read by ``cinder-scheduler``.

The weight that is multiplied is absolute: 1.0 stands for everything that a
cached volume could ever save, 0 for nothing. It fades to 0 in a pool that
would become fuller than the other candidates, and in one that was just given
several volumes of the image. The weights of Cinder's own weighers add up, and
CapacityWeigher stretches the smallest difference over 1.0: it takes more than
1 to outweigh that.

Possible values:

* 0: the weigher has no effect and asks the database nothing.
* A positive number: pools that hold the image are preferred.
* A negative number: pools that do not hold the image are preferred.

Related options:

* ``[DEFAULT] scheduler_default_weighers``
* ``[DEFAULT] capacity_weight_multiplier``
* ``image_volume_cache_enabled`` of each backend
* ``image_volume_arrival_seconds``
"""),
    cfg.IntOpt(
        'image_volume_arrival_seconds',
        default=300,
        min=0,
        max=3600,
        help="""
How long a pool counts as fetching an image after it was given a volume of it.

Read by ``cinder-scheduler``.

No table shows that a pool fetches an image until the cached volume is there.
So each process of ``cinder-scheduler`` remembers where it has sent the first
volume of an image, and prefers that pool for the next ones. If no cached
volume is there after these seconds, the pool is not expected to make one of
that image any more. For as long it also remembers how many volumes of an image
it has sent to a pool. Choose more than the creation of a volume takes whose
image must be fetched.

Possible values:

* 0: nothing is remembered.
* A positive number of seconds.

Related options:

* ``image_volume_cache_weight_multiplier``
"""),
]


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Return the options, for oslo-config-generator."""
    return [(GROUP, list(OPTIONS))]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Make the options known to ``conf``; doing so twice does no harm."""
    conf.register_group(GROUP)
    conf.register_opts(OPTIONS, group=GROUP)


def values(conf: cfg.ConfigOpts) -> tuple[float, int]:
    """Return the multiplier and the seconds of an arrival.

    :raises ValueError: naming the option whose value is none
    """
    found = [getattr(conf[GROUP.name], option.dest) for option in OPTIONS]
    for option, value in zip(OPTIONS, found, strict=True):
        if value is None:
            raise cfg.ConfigFileValueError(
                f'Option {option.dest} in group [{GROUP.name}] is empty')
    return found[0], found[1]
