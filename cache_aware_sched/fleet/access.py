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
"""How the databases of a cloud are found."""

import dataclasses

from cache_aware_sched.option import Checked
from cache_aware_sched.option import option


@dataclasses.dataclass(frozen=True, slots=True)
class Access(Checked):
    """Where nova's databases are."""

    config_files: tuple[str, ...] = option(
        (), 'A configuration file of nova, of which [api_database] connection '
        'is needed. Default: those that nova itself finds, as '
        '/etc/nova/nova.conf.', metavar='FILE')
    cell_databases: tuple[tuple[str, str], ...] = option(
        (), 'A cell, by its name or uuid, and a file in the format of '
        'nova.conf whose [database] connection is to be read for it, as of a '
        'replica. An address without a password may be given instead of the '
        'file. Default: the database that nova has for the cell.')
