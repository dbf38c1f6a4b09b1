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

"""All checks, in the order in which they are shown. No nova."""

from cache_aware_sched.checks import api
from cache_aware_sched.checks import cloud
from cache_aware_sched.checks import computes
from cache_aware_sched.checks import critical
from cache_aware_sched.checks import neighbours
from cache_aware_sched.checks import plug_ins
from cache_aware_sched.checks import raw_disks
from cache_aware_sched.checks import scheduler

ALL = tuple(sorted(
    (*scheduler.CHECKS, *plug_ins.CHECKS, *computes.CHECKS, *critical.CHECKS,
     *neighbours.CHECKS, *raw_disks.CHECKS, *cloud.CHECKS, *api.CHECKS),
    key=lambda one: one.code))

#: Codes of checks that are no more: none may be given to another check.
RETIRED: frozenset[str] = frozenset()
