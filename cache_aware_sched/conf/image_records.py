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

"""Options of what nova-api remembers of images, for when Glance is down."""

from oslo_config import cfg

from cache_aware_sched.conf.types import Finite

_READ_BY = ('Read by ``nova-api`` with the filter ``image_records`` in its '
            'pipeline.')

OPTIONS = [
    cfg.IntOpt(
        'image_record_max_age',
        default=604_800,
        min=60,
        max=31_536_000,
        help=f"""
Seconds for which nova-api may use what Glance told it of an image.

{_READ_BY}

While Glance is down, a server boots from an image whose record is younger. A
project that must not use an image any more can do so for that long, if it
could before the outage and has not asked since.

Related options:

* ``image_record_secret``
* ``image_record_timeout``
"""),
    cfg.Opt(
        'image_record_timeout',
        default=4.0,
        type=Finite(min=0.5, max=60.0),
        help=f"""
Seconds that a boot waits for Glance before nova-api takes it for down.

{_READ_BY}

nova itself gives up after three seconds where Glance refuses connections, and
never where Glance hangs. Only the requests that notice an outage wait that
long; the others are answered at once. Choose more than the slowest answer of
a Glance that is busy.

Related options:

* ``image_record_max_age``
"""),
    cfg.StrOpt(
        'image_record_secret',
        secret=True,
        help=f"""
What nova-api signs the records of images with.

{_READ_BY}

It must be the same on all hosts of ``nova-api``, at least 16 characters, and
known to nobody else. Who knows it and can write to the servers of ``[cache]``
can let a project boot the images of others.

Possible values:

* Nothing: each process of ``nova-api`` remembers on its own, and has forgotten
  everything after a restart.
* Random characters, as from ``openssl rand -hex 32``: the records are in the
  servers of ``[cache]``, and all processes have them.

Related options:

* ``[cache] enabled``
* ``[cache] backend``
"""),
]
