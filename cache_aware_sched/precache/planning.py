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

"""Makes a plan for a cloud, as people read it."""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping

from cache_aware_sched import fetch_time
from cache_aware_sched.precache import demand
from cache_aware_sched.precache import inputs
from cache_aware_sched.precache.plan import PlanLine
from cache_aware_sched.precache.plan import PlannedCopy
from cache_aware_sched.precache.plan import PlanOptions
from cache_aware_sched.precache.plan import PrecachePlan
from cache_aware_sched.precache import planner
from cache_aware_sched.precache import renewing
from cache_aware_sched.precache import terms
from cache_aware_sched.precache import zone_demand
from cache_aware_sched import report


def make(known: inputs.PlanInputs, options: PlanOptions,
         choice: inputs.PrecacheChoice,
         announced: Collection[inputs.Announced],
         cap: int = 0) -> PrecachePlan:
    """Return the plan for a cloud.

    :param cap: servers of one image that a host may run, 0 for any number: of
        those that are announced it cannot take more
    """
    asked = zone_demand.ImageDemand(known, options.half_life, announced)
    per_copy = min(demand.CREATES_PER_COPY, cap or demand.CREATES_PER_COPY)
    hosts = list(inputs.hosts(known, options.domain_key))
    found = planner.plan(
        hosts,
        zone_demand.wishes(known, asked, choice, options.min_copies, per_copy))
    ids = {report.image_key(image): image for image in asked.image_ids}
    shown = {image: said for image, said in known.described.items() if said}
    sent = {image: said.size for image, said in shown.items()}
    rate = fetch_time.usual_rate([
        host.reported.header.rate for host in known.fleet.hosts
        if host.reported and host.reported.header.rate])
    names = {image: said.name for image, said in shown.items()}
    return PrecachePlan(
        tuple(PlannedCopy(image := ids[fetch.image], fetch.zone, fetch.host,
                          sent.get(image) or fetch.size, fetch.evicts,
                          takes=fetch.size)
              for fetch in found.fetches),
        tuple(_lines(found, ids, names, sent, rate)), rate,
        tuple(inputs.doubts(known)),
        tuple(PlannedCopy(ids[one.image], one.zone, one.host, one.size,
                          renews=True)
              for one in renewing.renewals(hosts, found.images)))


def _lines(found: terms.Plan, ids: Mapping[str, str],
           names: Mapping[str, str], sent: Mapping[str, int],
           rate: float) -> Iterator[PlanLine]:
    for image in found.images:
        wish, image_id = image.wish, ids[image.wish.image]
        size = sent.get(image_id) or wish.size
        # As if each host with a copy took as many of its servers.
        share = len(image.hosts) / image.wanted if image.wanted else 0.0
        yield PlanLine(
            image_id, names.get(image_id, ''), wish.zone, wish.boots_per_day,
            image.there, image.wanted, image.unknown, image.hosts, size,
            wish.boots_per_day * share * fetch_time.fetch_seconds(size, rate),
            image.short)
