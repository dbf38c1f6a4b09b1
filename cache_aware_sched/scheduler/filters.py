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

"""The filters.

Image anti-affinity filter: cap the servers of one image on a host. A host that
holds an image attracts its servers; this keeps them from all being lost with
that one host. See ``max_same_image_instances_per_host`` for where the cap is
set, and :mod:`cache_aware_sched.scheduler.same_image.count` for what is
counted. Rebuilds are let through: they cannot go elsewhere, and nova would put
the server into ERROR.

Image cache filter: of a request with the hint ``image_cache = require``, only
pass hosts that hold the image. That binds rebuilds too: better a server in
ERROR with its old disk than one without a disk.
"""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any
import weakref

from nova.scheduler import filters
from oslo_log import log as logging

from cache_aware_sched.conf import scheduler as conf
from cache_aware_sched import config
from cache_aware_sched.decision_log import writer
from cache_aware_sched.report import Holding
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import candidates as candidates_mod
from cache_aware_sched.scheduler.candidates import Candidate
from cache_aware_sched.scheduler import decisions
from cache_aware_sched.scheduler import recording
from cache_aware_sched.scheduler import refusals
from cache_aware_sched.scheduler.same_image import count as count_mod
from cache_aware_sched.scheduler.same_image import progress as progress_mod
from cache_aware_sched.scheduler import settings
from cache_aware_sched.scheduler import spreading

LOG = logging.getLogger(__name__)

_STRICT_GROUPS = (request_mod.AFFINITY, request_mod.ANTI_AFFINITY)


class _RequestFilter(filters.BaseHostFilter):
    """Looks at all hosts of a request at once, and never raises.

    :cvar WHAT: was not applied if something went wrong, for the log
    """

    WHAT = ''

    def __init__(self) -> None:
        self._options = config.checked()
        self._counter = count_mod.shared()

    def filter_all(self, filter_obj_list: Iterable[Any],
                   spec_obj: Any) -> list[Any]:
        """Return the hosts that pass; see :mod:`nova.filters`."""
        host_states = list(filter_obj_list)
        try:
            return self._passing(host_states, spec_obj)
        except Exception:
            # No filter is worth a scheduler that places nothing.
            LOG.exception(
                '%s was not applied to a request for server %s.', self.WHAT,
                request_mod.server_of(spec_obj))
            return host_states

    def host_passes(self, host_state: Any, filter_properties: Any) -> bool:
        """Return whether a host passes; see :mod:`nova.scheduler.filters`."""
        return bool(self.filter_all([host_state], filter_properties))

    def _passing(self, host_states: list[Any], spec: Any) -> list[Any]:
        """Return the hosts that pass: what each filter brings."""
        raise NotImplementedError


class ImageCacheFilter(_RequestFilter):
    """Only pass hosts that hold the image, if the request requires it."""

    RUN_ON_REBUILD = True
    WHAT = 'Scheduler hint image_cache = require'

    def _passing(self, host_states: list[Any], spec: Any) -> list[Any]:
        request = request_mod.Request.from_spec(spec)
        if not host_states or not decisions.requires_image(request):
            return host_states
        answers = self._counter.reported(request, host_states)
        refusals.log_without_image(request, host_states, answers)
        return [host for host, answer in zip(host_states, answers, strict=True)
                if answer.holding >= Holding.WARM]


class ImageAntiAffinityFilter(_RequestFilter):
    """Only pass hosts that run fewer servers of the image than the cap."""

    RUN_ON_REBUILD = False
    WHAT = 'The same-image cap'

    def __init__(self) -> None:
        super().__init__()
        self._log = writer.shared()
        self._set_aside: weakref.WeakKeyDictionary[Any, list[Any]] = (
            weakref.WeakKeyDictionary())

    def _passing(self, host_states: list[Any], spec: Any) -> list[Any]:
        request = request_mod.Request.from_spec(spec)
        self._counter.keep(None)
        if not host_states or request.image is None or request.rebuild:
            return host_states
        policy = self._options.same_image_cap_policy
        chosen = settings.HostSettings(request, options=True)
        host_states = self._with_those_set_aside(host_states, spec)
        progress = self._counter.progress(spec, request, host_states)
        candidates = self._counter.gather(
            progress, request, host_states, chosen)
        passing = self._choose(policy, progress, request, candidates)
        progress.full = len(candidates) - len(passing)
        # A group has its own idea of which hosts are left, and the filters
        # before this one of which NUMA nodes and devices are.
        if (request.count > 1 and not request.fits_finely
                and request.group_policy not in _STRICT_GROUPS):
            passed = set(passing)
            self._set_aside[spec] = [
                candidate.state for candidate in candidates
                if candidate not in passed]
        if len(passing) == 1:
            # nova weighs nothing then, so no weigher sees the placement.
            if self._counter.place(progress, request, passing):
                self._log.log(lambda: recording.only(
                    request, passing[0], progress.full))
        elif self._counter.weighs:
            self._counter.keep((progress, passing))
        return [candidate.state
                for candidate in self._in_order(request, passing)]

    def _in_order(self, request: request_mod.Request,
                  passing: list[Candidate]) -> list[Candidate]:
        """Return the hosts in the order in which nova is to take equal ones.

        The weigher draws among them; where it does not, the order decides
        which of equally good hosts requests take that come at once. It does
        not matter where all hosts are taken, if only as alternates.
        """
        if (self._counter.draws or request.move
                or len(passing) <= config.CONF.scheduler.max_attempts
                or not any(candidate.limit for candidate in passing)):
            return passing
        return [passing[index] for index in spreading.from_point(
            spreading.by_name(passing), spreading.point(request.sequence))]

    def _choose(
        self, policy: str, progress: progress_mod.Progress,
        request: request_mod.Request, candidates: Sequence[Candidate],
    ) -> list[Candidate]:
        """Return the candidates that may take the server."""
        passing = candidates_mod.with_room(candidates)
        refusals.log_full(request, candidates)
        if policy == conf.OBSERVE:
            if not progress.alternates:
                refusals.log_observed(request, candidates, passing)
            return list(candidates)
        if passing or not candidates:
            return passing
        reason = _why_not_refused(policy, progress, request)
        if reason is not None:
            fewest = min(candidate.count for candidate in candidates)
            passing = [candidate for candidate in candidates
                       if candidate.count == fewest]
            if not progress.alternates:
                refusals.log_let_through(request, passing, reason)
        # After the last server of a multi-create nova filters once more, for
        # alternates; that none is left then is no refusal.
        elif not progress.alternates:
            self._counter.refused(progress)
            refusals.log(request, candidates)
            self._log.log(lambda: recording.refused(request, candidates))
            refusals.warn_if_everywhere(
                request, candidates, self._counter, progress)
        return passing

    def _with_those_set_aside(self, host_states: list[Any],
                              spec: Any) -> list[Any]:
        """Return the hosts with those left out for the servers before.

        For the next server of a multi-create nova only offers the hosts that
        passed for the one before. But a host that seemed full then may turn
        out not to be; with the soft policy it can be the emptiest now, and
        with a share it has room again as the servers become more.
        """
        aside = self._set_aside.pop(spec, None)
        if not aside:
            return host_states
        offered = set(host_states)
        return host_states + [host for host in aside if host not in offered]


def _why_not_refused(policy: str, progress: progress_mod.Progress,
                     request: request_mod.Request) -> str | None:
    """Return why a server passes though no host has room; None if it fails.

    A cap is there so that not all is lost with one host. So it must not keep a
    server down after its host was lost, nor apart what its user wants on one
    host; and who names a host knows better.
    """
    # Of a boot the late check could not know that, and would refuse it.
    if request.move and request.named_host:
        return f'an administrator named host {request.named_host}'
    if request.group_policy == request_mod.AFFINITY:
        return 'its affinity group wants one host'
    if progress.evacuated:
        return 'it is evacuated'
    if policy == 'soft':
        return 'same_image_cap_policy is soft'
    return None
