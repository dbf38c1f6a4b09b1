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

"""Options of the report that a compute host gives of its image cache."""

from oslo_config import cfg

OPTIONS = [
    cfg.IntOpt(
        'report_max_bytes',
        default=16 * 1024,
        min=1024,
        max=48 * 1024,
        help="""
The size that the report of a host's cached images may have, in bytes.

Read by ``nova-compute``.

An image takes 16 bytes, so the default holds about a thousand. When there
are more, those that save the most time are reported, large ones and those in
use first, and the report says that it is truncated. The report is stored
with the host in the database and read for every request: larger reports cost
scheduling time.

The report is made smaller than this when other statistics of the host would
otherwise not fit into the database column with it.
"""),
    cfg.BoolOpt(
        'report_changes_at_once',
        default=True,
        help="""
Report an image as soon as it is in the cache, or begins to arrive.

Read by ``nova-compute``.

Otherwise the scheduler learns of it with the next periodic update of the
host's resources.

Related options:

* ``[DEFAULT] update_resources_interval``
"""),
]
