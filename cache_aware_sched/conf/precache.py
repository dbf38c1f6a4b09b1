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

"""Options of what is fetched before a server asks for it."""

from oslo_config import cfg
from oslo_config import types

from cache_aware_sched.conf.types import IMAGE_ID

#: Stands for every project.
ANY_OWNER = '*'

_READ_BY = 'Read by the command ``cache-aware-sched precache``.'

OPTIONS = [
    cfg.ListOpt(
        'critical_images',
        sample_default='',
        default=[],
        item_type=types.String(regex=f'^{IMAGE_ID}$'),
        help="""
Ids of images that this host always keeps in its image cache.

Read by ``nova-compute``, and by ``nova-api`` with the filter ``image_records``
in its pipeline.

They are protected, as ``protected_images`` are, and are fetched when they are
missing. A host that has no room for one says so in its log, in its report and
in ``cache-aware-sched check``. Where servers are made from images in Ceph
(``[libvirt] images_type = rbd``) nothing is fetched because of this.

The metadata key ``critical_images`` of an aggregate names more of them for its
hosts, separated by commas.

``nova-api`` keeps records of those that are public, so that servers boot from
them while Glance is down.

Related options:

* ``critical_images_file``
* ``critical_image_spread_seconds``
* ``protected_images``
"""),
    cfg.StrOpt(
        'critical_images_file',
        help="""
A file that lists images that are always kept, one id a line.

Read by ``nova-compute``, and by ``nova-api`` with the filter ``image_records``
in its pipeline.

The file is read as ``protected_images_file`` is, and again within a minute
after it changed; nova-compute need not be restarted. If it is missing, what it
listed last stays critical; to have no critical images any more, leave an empty
file.

Related options:

* ``critical_images``
"""),
    cfg.IntOpt(
        'critical_image_spread_seconds',
        default=600,
        min=0,
        max=86_400,
        help="""
Seconds over which hosts spread their fetches of an image that became critical.

Read by ``nova-compute``.

Each host waits for a random time up to this before it fetches an image that
it is missing, so that hosts that start together, or that read the same file,
do not all ask Glance at once. A fetch that fails is repeated after a minute at
first and after an hour at last, also at random times. With the default, 1,000
hosts begin fewer than two fetches a second.

Possible values:

* 0: fetch at once. For a small cloud.
* A number of seconds.

Related options:

* ``critical_images``
"""),
    cfg.ListOpt(
        'precache_owners',
        sample_default='',
        default=[],
        item_type=types.String(regex=r'^(\*|[0-9A-Za-z_.-]{1,255})$'),
        help=f"""
Ids of the projects whose images may be fetched ahead of time.

{_READ_BY}

Name the projects of the cloud itself first: an image of theirs is there for
many. What a user uploads is often booted once.

Possible values:

* Nothing: only the images in ``precache_images``.
* Ids of projects, as the ``owner`` that Glance has for an image.
* ``*``: the images of all projects.

Related options:

* ``precache_images``
* ``precache_exclude``
"""),
    cfg.ListOpt(
        'precache_images',
        sample_default='',
        default=[],
        item_type=types.String(regex=f'^{IMAGE_ID}$'),
        help=f"""
Ids of images that may always be fetched ahead of time, whoever owns them.

{_READ_BY}

They are fetched where servers of them are asked for, and where
``--expect`` announces some.

Related options:

* ``precache_owners``
"""),
    cfg.ListOpt(
        'precache_exclude',
        sample_default='',
        default=[],
        item_type=types.String(regex=f'^{IMAGE_ID}$'),
        help=f"""
Ids of images that are never fetched ahead of time.

{_READ_BY}

It goes before ``precache_owners`` and ``precache_images``. What
``nova-compute`` keeps for other reasons stays.

Related options:

* ``precache_owners``
* ``precache_images``
"""),
    cfg.StrOpt(
        'precache_coordination_url',
        secret=True,
        help=f"""
Where the controllers agree on which of them fetches images ahead of time.

{_READ_BY}

All commands that have the same one keep their limits together, and one
``precache watch`` is active among them.

Possible values:

* Nothing: a directory of this machine, below ``[DEFAULT] state_path``. Then
  only the commands of this machine know of each other.
* An address that the library tooz takes, as
  ``etcd3+http://controller:2379``, which needs ``tooz[etcd3gw]``, or
  ``redis://:password@controller:6379``, which needs ``tooz[redis]``.
"""),
]
