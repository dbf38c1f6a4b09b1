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

"""Options of the decision log."""

from oslo_config import cfg

OPTIONS = [
    cfg.StrOpt(
        'decision_log_file',
        help="""
The file to which nova-scheduler writes why servers go where they go.

Read by ``nova-scheduler``.

One JSON line for each decision in which this package has a say: the best five
hosts with all that decided about them, the host that leads, and the host that
would have led without the image cache. ``cache-aware-sched explain --past``
and ``cache-aware-sched decisions summary`` read it. The workers of a
scheduler share the file. It is written outside the path of requests; if it
cannot be written, requests go on without it.

Possible values:

* Not set: decisions are not logged.
* The path of a file on a local disk, in a directory that nova-scheduler may
  write to. About 1.5 KB a decision.

Related options:

* ``decision_log_max_size_mb``
* ``decision_log_max_files``
"""),
    cfg.IntOpt(
        'decision_log_max_size_mb',
        default=100,
        min=1,
        max=100_000,
        help="""
How large the decision log may become, in MB, before a new file is begun.

Read by ``nova-scheduler``.

``decision_log_file`` is then renamed, with ``.1`` behind its name.

Related options:

* ``decision_log_file``
* ``decision_log_max_files``
"""),
    cfg.IntOpt(
        'decision_log_max_files',
        default=10,
        min=1,
        max=1000,
        help="""
How many files the decision log has at most, the one that is written included.

Read by ``nova-scheduler``.

Related options:

* ``decision_log_file``
* ``decision_log_max_size_mb``
"""),
]
