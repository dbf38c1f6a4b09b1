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

"""Options of what a compute host keeps in its image cache."""

from importlib import metadata

from oslo_config import cfg
from oslo_config import types

from cache_aware_sched.conf.types import Finite
from cache_aware_sched.conf.types import IMAGE_ID

#: Where the managers that can be chosen are installed.
MANAGERS = 'cache_aware_sched.image_cache_managers'


def installed() -> list[str]:
    """Return the names of the managers that can be chosen."""
    return sorted(metadata.entry_points(group=MANAGERS).names)


_MAX_GB = 1_000_000

_LIMIT_HELP = """
It is kept in every pass of the image cache manager, and before an image is
fetched: what the manager finds least worth keeping is evicted first. What is
in use or protected is never evicted, even if that alone exceeds the limit.
"""

OPTIONS = [
    cfg.StrOpt(
        'image_cache_manager',
        default='age',
        help="""
Which image cache manager decides what a compute host keeps.

Read by ``nova-compute``.

Possible values:

* ``age``: evicts what no instance has used for long, as nova does. See
  ``[image_cache] remove_unused_base_images``,
  ``remove_unused_original_minimum_age_seconds`` and
  ``remove_unused_resized_minimum_age_seconds``.
* ``lru``: evicts nothing until a limit asks for room; then what was unused
  for longest.
* ``popularity``: evicts nothing until a limit asks for room; then the image
  with the fewest boots lately.
* ``protected``: evicts no image.
* ``none``: evicts in the next pass whatever no instance uses.
* The name of any other entry point in the namespace
  ``cache_aware_sched.image_cache_managers``.

Related options:

* ``[image_cache] manager_interval``
* ``image_cache_max_size_gb``
* ``image_cache_max_images``
* ``image_cache_high_watermark_percent``
* ``image_cache_min_free_gb``
* ``protected_images``
"""),
    cfg.IntOpt(
        'image_cache_max_size_gb',
        default=0,
        min=0,
        max=_MAX_GB,
        help=f"""
The size that the image cache may have, in GiB.

Read by ``nova-compute``.

A file counts with what it takes up on the disk. An image that is being
fetched counts with its size in Glance, one that nova converts to raw with
twice that, and neither with more than the root disk of its server. When it
has come, the limit is kept once more, with what it takes up then.
{_LIMIT_HELP}
An image that is larger than the limit evicts nothing. It is fetched for a
server all the same, and refused when it is to be fetched ahead of time.

Possible values:

* 0: no limit.
* A positive number of GiB.
"""),
    cfg.IntOpt(
        'image_cache_max_images',
        default=0,
        min=0,
        max=_MAX_GB,
        help=f"""
How many images the image cache may hold.

Read by ``nova-compute``.

Resized copies of an image count as that image; kernels and ramdisks are
images too.
{_LIMIT_HELP}
Possible values:

* 0: no limit.
* A positive number of images.
"""),
    cfg.IntOpt(
        'image_cache_high_watermark_percent',
        default=0,
        min=0,
        max=100,
        help=f"""
How full the file system that holds the image cache may get, as df shows it.

Read by ``nova-compute``.

When it is fuller than this, images are evicted until it is as full as
``image_cache_low_watermark_percent`` says.
{_LIMIT_HELP}
Possible values:

* 0: no limit.
* A percentage.

Related options:

* ``image_cache_low_watermark_percent``
"""),
    cfg.IntOpt(
        'image_cache_low_watermark_percent',
        default=0,
        min=0,
        max=100,
        help="""
How full the file system is left when images are evicted from it.

Read by ``nova-compute``.

Possible values:

* 0: the same as ``image_cache_high_watermark_percent``.
* A percentage, at most ``image_cache_high_watermark_percent``.

Related options:

* ``image_cache_high_watermark_percent``
"""),
    cfg.IntOpt(
        'image_cache_min_free_gb',
        default=0,
        min=0,
        max=_MAX_GB,
        help=f"""
How much of the file system that holds the image cache is kept free, in GiB.

Read by ``nova-compute``.
{_LIMIT_HELP}
Possible values:

* 0: no limit.
* A positive number of GiB.
"""),
    cfg.ListOpt(
        'protected_images',
        sample_default='',
        default=[],
        item_type=types.String(regex=f'^{IMAGE_ID}$'),
        help="""
Ids of images that are never evicted from the image cache of this host.

Read by ``nova-compute``.

They stay under any manager and any limit. An image that is not there is not
fetched because of this.

Related options:

* ``protected_images_file``
"""),
    cfg.StrOpt(
        'protected_images_file',
        help="""
A file that lists images that are never evicted, one id a line.

Read by ``nova-compute``.

Empty lines are passed over, as is what follows a ``#``. The file is read
again whenever it changed; nova-compute need not be restarted. A line that is
not the id of an image is named in a warning and skipped. If the file is
missing, what it listed last stays protected; to protect nothing any more,
leave an empty file.

Related options:

* ``protected_images``
"""),
    cfg.Opt(
        'image_cache_popularity_half_life_hours',
        type=Finite(min=0.01, max=87_600),
        default=168.0,
        help="""
Hours after which a boot counts half for the popularity of an image.

Read by ``nova-compute``.

The default is a week, so that an image that is booted every Monday is still
known on the next Monday. Only the manager ``popularity`` uses it.

Related options:

* ``image_cache_manager``
"""),
    cfg.BoolOpt(
        'image_cache_dry_run',
        default=False,
        help="""
Log what would be evicted from the image cache, and evict nothing.

Read by ``nova-compute``.

For trying a manager and its limits. Nothing is removed from the cache at
all, by no manager and under no limit.
"""),
]


def check(options: cfg.ConfigOpts.GroupAttr) -> None:
    """Refuse values that are good each and make no sense together.

    :raises oslo_config.cfg.ConfigFileValueError: naming the options
    """
    high = options.image_cache_high_watermark_percent
    low = options.image_cache_low_watermark_percent
    if low and not high:
        raise cfg.ConfigFileValueError(
            f'[cache_aware_sched] image_cache_low_watermark_percent is {low}, '
            f'but image_cache_high_watermark_percent is 0 (off): set both, or '
            f'neither.')
    if low > high:
        raise cfg.ConfigFileValueError(
            f'[cache_aware_sched] image_cache_low_watermark_percent is {low}, '
            f'above image_cache_high_watermark_percent, which is {high}.')
