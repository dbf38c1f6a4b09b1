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


"""Where a workload comes from: a trace, nova's databases, or nothing."""

import os

from cache_aware_sched.simulator.input import arrivals
from cache_aware_sched.simulator.input import images
from cache_aware_sched.simulator.input import options
from cache_aware_sched.simulator.input import synthetic
from cache_aware_sched.simulator.input import trace
from cache_aware_sched.simulator.workload import Workload


def _workload(found: arrivals.Arrivals, boots: int,
              how: options.Options) -> Workload:
    return images.assign(
        arrivals.chosen(found, boots, how.limit, how.seed), how.images,
        how.seed)


def from_trace(path: str | os.PathLike[str], how: options.Options,
               ) -> Workload:
    """Return the workload of a trace file.

    :raises BadTrace: naming the line of the first value that is no good
    :raises OSError: if the file cannot be read
    """
    return _workload(
        trace.read(path, how.trace, how.seed), how.boots, how)


def from_synthetic(how: options.Options) -> Workload:
    """Return a workload that is made up.

    :raises BadOption: if so few servers cannot use so much
    """
    return _workload(synthetic.make(
        how.synthetic, how.boots or options.SYNTHETIC_BOOTS, how.seed),
        0, how)


def from_nova(how: options.Options) -> Workload:
    """Return the workload that nova's databases remember.

    Reads nova's configuration into nova.conf.CONF, of the whole process.

    :raises Unreadable: naming the configuration or the database that cannot
        be read
    :raises BadOption: if the period is empty
    """
    # Only here: importing nova takes seconds.
    from cache_aware_sched import nova_databases
    from cache_aware_sched.simulator.input.nova import history as nova_history
    nova_databases.configure(how.history.config_files)
    return _workload(nova_history.read(
        how.history, nova_databases.api_database()), how.boots, how)
