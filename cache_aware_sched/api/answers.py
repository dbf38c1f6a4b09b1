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

"""Answers for Glance while it is down, and learns from it while it is not."""

from collections.abc import Callable
import contextlib
import copy
import threading
import time
from typing import Any

from nova import context as nova_context
from nova import exception
from oslo_log import log as logging

from cache_aware_sched.api import api_requests
from cache_aware_sched.api import breaker as breaker_mod
from cache_aware_sched.api import holders as holders_mod
from cache_aware_sched.api import memory as memory_mod
from cache_aware_sched.api import records
from cache_aware_sched import glance_outage
from cache_aware_sched import image_ids

LOG = logging.getLogger(__name__)

#: Asks Glance for an image, with a context; returns it and its visibility, ''
#: if that is not known.
Question = Callable[[nova_context.RequestContext], tuple[dict[str, Any], str]]

_REFUSALS = exception.ImageNotFound, exception.ImageNotAuthorized

#: Learns from an answer, an image or an error, that nobody waited for.
Learner = Callable[[tuple[dict[str, Any], str] | Exception], None]


class GlanceIsDown(exception.Forbidden):
    """Ends a request that cannot be answered without Glance.

    Derives from what nova-api hands on without a traceback in its log
    (``expected_errors()`` and ``ResourceExceptionHandler`` of
    nova.api.openstack.wsgi, nova 31.3.1 to 34.0.0). The filter makes another
    answer of it, or none.
    """

    msg_fmt = 'Glance is down'


class GlanceHangs(Exception):
    """Glance takes longer than anybody is to wait."""


class ImageAnswers:
    """Answers what nova-api asks of Glance.

    :param memory: what is remembered
    :param breaker: knows whether Glance is down
    :param holders: know where images are
    :param timeout: seconds that a request waits for Glance
    :param clock: returns seconds since the epoch
    """

    def __init__(self, memory: memory_mod.RememberedImages,
                 breaker: breaker_mod.GlanceBreaker,
                 holders: holders_mod.ImageHolders, timeout: float,
                 clock: Callable[[], float] = time.time) -> None:
        self.memory = memory
        self.breaker = breaker
        self._holders = holders
        self._timeout = timeout
        self._clock = clock

    def image(self, asked: api_requests.ApiRequest | None,
              context: nova_context.RequestContext, image_id: str,
              ask: Question) -> dict[str, Any]:
        """Return an image.

        :param asked: the request that it is for; None for one that only
            Glance answers
        :raises GlanceIsDown: if the request cannot be answered without Glance
        """
        asker = records.Asker(str(context.project_id or ''),
                              bool(context.is_admin))
        if asked is None:
            return self._from_glance(asker, image_id, lambda: ask(context))
        if asked.from_records:
            return self._from_memory(asked, asker, image_id)
        leave = self.breaker.may_ask()
        if leave is breaker_mod.Leave.TO_PROBE and (
                self._remembered(asked, asker, image_id) is not None):
            self._probe(asker, context, image_id, ask)
            leave = breaker_mod.Leave.REFUSED
        if leave is breaker_mod.Leave.REFUSED:
            raise self._down(asked, image_id)
        try:
            return self._from_glance(asker, image_id, lambda: self._within(
                asker, context, image_id, ask))
        except Exception as error:
            if is_outage(error):
                raise self._down(asked, image_id) from error
            raise

    def _probe(self, asker: records.Asker,
               context: nova_context.RequestContext, image_id: str,
               ask: Question) -> None:
        """See whether Glance is back, beside a request that need not wait."""
        def run() -> None:
            # All that goes wrong has been learnt from.
            with contextlib.suppress(Exception):
                self._from_glance(asker, image_id, lambda: self._within(
                    asker, context, image_id, ask))

        threading.Thread(target=run, daemon=True, name='glance-probe').start()

    def _within(self, asker: records.Asker,
                context: nova_context.RequestContext, image_id: str,
                ask: Question) -> tuple[dict[str, Any], str]:
        """Ask, and learn from an answer that nobody waited for."""
        asked_at = self._clock()

        def learn(answer: tuple[dict[str, Any], str] | Exception) -> None:
            if isinstance(answer, Exception):
                self._learn_refusal(asker, image_id, answer)
            else:
                self._learn_image(asker, image_id, answer, asked_at)

        return within(self._timeout, context, ask, learn)

    def _from_glance(self, asker: records.Asker, image_id: str,
                     ask: Callable[[], tuple[dict[str, Any], str]],
                     ) -> dict[str, Any]:
        """Ask Glance, and learn from what it says."""
        asked_at = self._clock()
        # Until Glance answers, nobody is to take a lost answer for none.
        is_lost = self._has_lost_an_answer(asker, image_id, asked_at)
        if asker.project and not is_lost:
            self.memory.asks(asker, image_id, asked_at)
        try:
            answer = ask()
        except Exception as error:
            self._learn_error(asker, image_id, error, is_lost)
            raise
        self.breaker.answered()
        self._learn_image(asker, image_id, answer, asked_at)
        return answer[0]

    def _learn_image(self, asker: records.Asker, image_id: str,
                     answer: tuple[dict[str, Any], str],
                     asked_at: float) -> None:
        record = records.RememberedImage(
            answer[0], records.visibility_of(*answer), asked_at)
        if asker.project or record.is_open:
            self.memory.remember(asker, image_id, record, self._clock())

    def _learn_error(self, asker: records.Asker, image_id: str,
                     error: Exception, is_lost: bool) -> None:
        if is_outage(error):
            if not is_lost:
                self.memory.is_silent(asker, image_id)
            self.breaker.failed(str(error).partition('\n')[0]
                                or type(error).__name__, image_id,
                                glance_outage.is_answer(error))
            return
        if not self._learn_refusal(asker, image_id, error) and not is_lost:
            # As HTTP 429: it says nothing about who may have the image.
            self.memory.is_silent(asker, image_id)
        if glance_outage.is_from_glance(error):
            self.breaker.answered()

    def _learn_refusal(self, asker: records.Asker, image_id: str,
                       error: Exception) -> bool:
        """Learn from an error; return whether it refuses the image."""
        is_refusal = isinstance(error, _REFUSALS)
        if is_refusal:
            # Glance on PostgreSQL finds no id in upper case: that says nothing
            # of the image to others.
            self.memory.is_refused(
                asker, image_id, isinstance(error, exception.ImageNotFound)
                and image_id == image_ids.canonical(image_id), self._clock())
        return is_refusal

    def _from_memory(self, asked: api_requests.ApiRequest,
                     asker: records.Asker, image_id: str) -> dict[str, Any]:
        record = self._remembered(asked, asker, image_id)
        if record is None:
            raise self._down(asked, image_id, 'is not remembered')
        if _is_same(image_id, asked.image) and self._holders.is_on_no_host(
                str(record.image['id']), asked.is_copied):
            raise self._down(asked, image_id, 'is on no host')
        LOG.info(
            'Image %(image)s is answered from memory for a %(kind)s by '
            'project %(project)s: Glance is down, and told it %(age).0f '
            'seconds ago.', {
                'image': image_ids.canonical(image_id),
                'kind': asked.kind.value, 'project': asker.project,
                'age': self._clock() - record.asked_at})
        return record.image

    def _remembered(self, asked: api_requests.ApiRequest,
                    asker: records.Asker, image_id: str,
                    ) -> records.RememberedImage | None:
        """Return what a request may have from memory, None for nothing."""
        now = self._clock()
        if (not asker.project or not asked.may_use_records(image_id)
                or self._has_lost_an_answer(asker, image_id, now)):
            return None
        return self.memory.find(asker, image_id, now)

    def _has_lost_an_answer(self, asker: records.Asker, image_id: str,
                            now: float) -> bool:
        """Return whether Glance may have refused, and nobody noted it."""
        outage = self.breaker.outage()
        return self.memory.has_lost_an_answer(
            asker, image_id, now, None if outage is None else outage.since)

    def _down(self, asked: api_requests.ApiRequest, image_id: str,
              why: str = '') -> GlanceIsDown:
        """Note in a request why it fails; return what ends it."""
        image = f'image {image_ids.canonical(image_id)[:64]}'
        asked.outage = (
            f'Glance is down, and {image} {why}. Try again later.' if why
            else f'Glance is down, and {image} cannot be looked up. Try again '
            'later.')
        return GlanceIsDown()


def is_outage(error: Exception) -> bool:
    """Return whether an error says that Glance is down."""
    return isinstance(error, GlanceHangs) or glance_outage.is_outage(error)


def within(seconds: float, context: nova_context.RequestContext,
           ask: Question, learn: Learner | None = None,
           ) -> tuple[dict[str, Any], str]:
    """Ask, and wait no longer than that.

    A question that hangs goes on in its thread until ``[glance] timeout``, but
    is not repeated: a Glance that comes back is not to find more of them than
    it has to. nova gets the credentials from the context for each attempt
    (GlanceClientWrapper.call, nova 31.3.1 to 34.0.0).

    :param learn: is given an answer that comes later
    :raises GlanceHangs: if it takes longer
    """
    done: list[tuple[dict[str, Any], str]] = []
    failed: list[Exception] = []
    late = threading.Event()
    own = copy.copy(context)

    def credentials() -> Any:
        if late.is_set():
            raise GlanceHangs('nobody waits for the answer any more')
        return context.get_auth_plugin()

    own.get_auth_plugin = credentials

    def run() -> None:
        # For the log, which has the id of the request of its thread.
        own.update_store()
        try:
            done.append(ask(own))
        except Exception as error:
            failed.append(error)
        if late.is_set() and learn is not None:
            learn(*done, *failed)

    thread = threading.Thread(target=run, daemon=True, name='glance')
    thread.start()
    thread.join(seconds)
    late.set()
    if done:
        return done[0]
    if failed:
        raise failed[0]
    raise GlanceHangs(f'no answer within {seconds:g} seconds')


def _is_same(image_id: str, other: str) -> bool:
    return image_ids.canonical(image_id) == image_ids.canonical(other)
