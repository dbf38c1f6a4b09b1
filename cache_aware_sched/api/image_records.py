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

"""The filter ``image_records`` for the pipeline of nova-api.

A request that comes upon an outage of Glance is ended before it has done
anything, and made once more: with what is remembered in place of Glance, and
with a hint that its servers go where their image is. Nobody else knows of an
outage what a request needs to know.
"""

from collections.abc import Callable
from collections.abc import Iterable
from http import HTTPStatus
import time
from typing import Any

from nova.api.openstack import wsgi
from nova import cache_utils
from oslo_log import log as logging
import webob
import webob.exc

from cache_aware_sched.api import answers as answers_mod
from cache_aware_sched.api import api_requests
from cache_aware_sched.api.api_requests import RequestKind
from cache_aware_sched.api import breaker as breaker_mod
from cache_aware_sched.api import critical_records
from cache_aware_sched.api import glance_seam
from cache_aware_sched.api import holders as holders_mod
from cache_aware_sched.api import memory as memory_mod
from cache_aware_sched.api import outage_notification
from cache_aware_sched.api import values as values_mod
from cache_aware_sched import config
from cache_aware_sched.config import CONF
from cache_aware_sched import once

LOG = logging.getLogger(__name__)

#: What keeps the critical images in this process, as soon as the filter is in
#: a pipeline.
_critical: critical_records.CriticalRecords | None = None

#: A WSGI application.
Application = Callable[..., Iterable[bytes]]

#: Seconds after which the client of Glance gives up, if [glance] timeout is
#: not set: nova itself waits for ever. Longer than any answer takes, as nova
#: also has it for lists. Judgement.
HANGS = 30


class ImageRecordsFilter:
    """Lets servers boot while Glance is down.

    :param application: what is behind it in the pipeline
    :param critical: keeps records of the critical images
    """

    def __init__(self, application: Application,
                 critical: critical_records.CriticalRecords) -> None:
        self._application = application
        self._critical = critical

    def __call__(self, environ: dict[str, Any],
                 start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        self._critical.refresh_if_due()
        kind = api_requests.kind_of(
            environ.get('REQUEST_METHOD', ''), environ.get('PATH_INFO', ''))
        if kind is None:
            return self._application(environ, start_response)
        request = wsgi.Request(environ)
        body = request.body
        asked = api_requests.read(kind, body)
        if asked is None:
            return self._application(environ, start_response)
        before = dict(environ)
        response = self._answer(request, asked)
        if response.status_int < HTTPStatus.BAD_REQUEST:
            # Whatever nova-api did without Glance: not twice.
            asked.outage = ''
        if asked.outage and asked.kind is RequestKind.BOOT:
            response = self._answer_from_records(before, asked, body)
        if asked.outage:
            response = wsgi.Fault(webob.exc.HTTPServiceUnavailable(
                explanation=asked.outage,
                headers={'Retry-After': str(round(breaker_mod.RETRY) + 1)}))
        found_body: Iterable[bytes] = response(environ, start_response)
        return found_body

    def _answer(self, request: webob.Request,
                asked: api_requests.ApiRequest) -> Any:
        token = glance_seam.begin(asked)
        try:
            return request.get_response(self._application)
        finally:
            glance_seam.end(token)

    def _answer_from_records(self, environ: dict[str, Any],
                             asked: api_requests.ApiRequest,
                             body: bytes) -> Any:
        asked.outage, asked.from_records = '', True
        request = wsgi.Request(dict(environ))
        asked.is_copied = _hosts_fetch_from_each_other()
        request.body = (body if asked.from_volume or asked.is_copied
                        else api_requests.with_hint(body))
        return self._answer(request, asked)


def filter_factory(global_conf: dict[str, str],
                   **local_conf: str) -> Callable[[Application], Application]:
    """Return what puts the filter before an application; for paste."""
    def filter_app(application: Application) -> Application:
        # nova-api has two pipelines, for two forms of its API.
        critical = _critical or _started()
        return (application if critical is None
                else ImageRecordsFilter(application, critical))

    return filter_app


def forget() -> None:
    """Be as after a start of the process."""
    global _critical
    _critical = None
    glance_seam.share(None)
    CONF.clear_default('timeout', group='glance')


def _started() -> critical_records.CriticalRecords | None:
    """Have what is remembered used in this process; None if nothing can be."""
    global _critical
    options = config.checked()
    if not glance_seam.install():
        return None
    if CONF.glance.timeout is None:
        CONF.set_default('timeout', HANGS, group='glance')
    timeout = options.image_record_timeout
    values = _values(options.image_record_secret or '')
    answers = answers_mod.ImageAnswers(
        memory_mod.RememberedImages(values, memory_mod.MemoryLimits(
            options.image_record_max_age, question=2 * timeout), CONF.host),
        breaker_mod.GlanceBreaker(
            values, CONF.host, timeout, time.time,
            outage_notification.send),
        holders_mod.ImageHolders(), timeout)
    glance_seam.share(answers)
    _critical = critical_records.CriticalRecords(answers, options)
    return _critical


def _values(secret: str) -> values_mod.SignedValues:
    """Return where the records are."""
    why = values_mod.each_process(
        secret, CONF.cache.enabled, CONF.cache.backend)
    if not why:
        if CONF.cache.backend == values_mod.BOUNDLESS_BACKEND:
            once.warning(
                LOG, ('backend',),
                'A server of memcached that hangs will hold every request for '
                'a server: [cache] backend = %(backend)s waits without a '
                'bound. Choose oslo_cache.memcache_pool.',
                {'backend': CONF.cache.backend})
        region = cache_utils.get_client().region
        return values_mod.SignedValues(
            values_mod.SharedValues(region), secret.encode())
    once.warning(
        LOG, ('values', why),
        'Each process of nova-api remembers images on its own, and has '
        'forgotten them after a restart: %(why)s.', {'why': why})
    # Nobody else can write there; the name of the key is signed all the same.
    return values_mod.SignedValues(
        values_mod.ProcessValues(), secret.encode() or b'process')


def _hosts_fetch_from_each_other() -> bool:
    """Return whether a host without the image can get it all the same."""
    return bool(CONF.cache_aware_sched.fetch_from_hosts == 'outage')
