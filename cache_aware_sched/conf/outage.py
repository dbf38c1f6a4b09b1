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

"""Options of what hosts do while Glance is down."""

from oslo_config import cfg

OPTIONS = [
    cfg.StrOpt(
        'fetch_from_hosts',
        default='never',
        choices=[
            ('never', 'A host fetches images from Glance only.'),
            ('outage', 'If Glance is down, a host copies an image that a '
             'server needs from another host that reports it.')],
        help="""
Whether a host copies images from other hosts.

Read by ``nova-compute``, and by ``nova-api`` with the filter ``image_records``
in its pipeline.

With ``outage``, a fetch for a server that fails because Glance is down is made
from another host of the same cell. nova-compute asks the conductor which hosts
report the complete image, and copies it from one of them over ssh, with the
means of ``[libvirt] remote_filesystem_transport``. The user that nova-compute
runs as must be able to log in on the other hosts, at their ``[DEFAULT]
my_ip``, as for a cold migration. Nothing is copied ahead of time. nova-api
then asks for no host that holds the image when it creates a server in an
outage.

This works with ``compute_driver = cache_aware.LibvirtDriver`` where disks are
files: ``[libvirt] images_type`` is ``default``, ``qcow2``, ``raw`` or
``flat``. Elsewhere it does nothing, and nova-compute says so when it starts.

Related options:

* ``fetch_from_hosts_concurrency``
* ``[libvirt] remote_filesystem_transport``
* ``[libvirt] images_type``
"""),
    cfg.IntOpt(
        'fetch_from_hosts_concurrency',
        default=2,
        min=1,
        max=64,
        help="""
How many copies are made from one host at a time, by all others together.

Read by ``nova-compute``, on the host that copies. Have the same value on all
hosts.

A host that would be one too many tries another host that holds the image, or
waits.

Related options:

* ``fetch_from_hosts``
"""),
]
