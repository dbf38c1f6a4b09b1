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

"""Keeps records of the critical images that are for everybody.

They are known in an outage though nobody has asked for them. Requests to
nova-api drive it: a thread of its own would not be there in the processes that
a web server forks.
"""

import threading
import time
from typing import Any

from nova import exception
from nova.image import glance
from oslo_log import log as logging

from cache_aware_sched.api import answers as answers_mod
from cache_aware_sched.api import glance_seam
from cache_aware_sched.api import records
from cache_aware_sched.imagecache import image_list
from cache_aware_sched import once
from cache_aware_sched import service_account
from cache_aware_sched import wording

LOG = logging.getLogger(__name__)

#: Seconds from one look at the images to the next. Judgement: an image that is
#: withdrawn is to be known soon.
INTERVAL = 300.0

#: Seconds that a look takes at most: nobody waits for it.
PATIENCE = 30.0

#: Seconds to the next look if an image could not be looked up.
RETRY = 30.0

#: Nobody's project.
_NOBODY = records.Asker('', is_admin=True)


class CriticalRecords:
    """Keeps the records of the critical images.

    :param answers: what remembers them
    :param options: ``[cache_aware_sched]``
    """

    def __init__(self, answers: answers_mod.ImageAnswers,
                 options: Any) -> None:
        self._memory = answers.memory
        self._breaker = answers.breaker
        self._images = image_list.NamedImages(
            'critical', options.critical_images, options.critical_images_file)
        self._lock = threading.Lock()
        self._due = 0.0
        # At least twice while a record counts.
        self._interval = min(INTERVAL, options.image_record_max_age / 2)
        self._is_there = bool(
            options.critical_images or options.critical_images_file)

    def refresh_if_due(self) -> None:
        """Look at the images from time to time, and keep nobody waiting."""
        if not self._is_there or time.monotonic() < self._due:
            return
        with self._lock:
            if time.monotonic() < self._due:
                return
            self._due = time.monotonic() + self._interval
        try:
            threading.Thread(target=self._refresh_safely, daemon=True,
                             name='critical-images').start()
        except RuntimeError as error:
            # As many threads as may be. The request can do without.
            once.warning(LOG, ('thread',),
                         'The critical images are looked up later: %(error)s.',
                         {'error': error})

    def refresh(self) -> bool:
        """Look at all the images; return whether Glance told of each.

        Not in an outage, of which requests see the end.
        """
        if self._breaker.outage() is not None:
            return False
        try:
            context = service_account.local_context()
        except service_account.NoAccount as error:
            once.warning(
                LOG, ('account',),
                'Critical images are remembered only as soon as somebody '
                'boots them: %(error)s.', {'error': error})
            return True
        api, done = glance.API(), True
        images = self._images.by_sha1().values()
        for image_id in images:
            done = done and self._look_up(api, context, image_id)
        if done:
            once.info(LOG, ('looked up', len(images)),
                      '%(images)s looked up in Glance.', {
                          'images': wording.counted(
                              len(images), 'critical image')})
        return done

    def _refresh_safely(self) -> None:
        try:
            done = self.refresh()
        except Exception:
            LOG.exception('The critical images cannot be looked up.')
            done = False
        if not done:
            self._due = time.monotonic() + RETRY

    def _look_up(self, api: glance.API, context: Any, image_id: str) -> bool:
        asked_at = time.time()
        try:
            image, noted = answers_mod.within(
                PATIENCE, context,
                lambda own: glance_seam.ask_glance(api, own, image_id))
        except exception.ImageNotFound:
            self._memory.is_closed(image_id, time.time())
            self._warn(image_id, 'Glance has none of this id, or does not '
                       "show it to nova's own account")
            return True
        except Exception as error:
            if answers_mod.is_outage(error):
                return False
            # The others may be looked up all the same.
            self._warn(image_id, str(error)[:200])
            return True
        record = records.RememberedImage(
            image, records.visibility_of(image, noted), asked_at)
        self._learn(image_id, record)
        return True

    def _learn(self, image_id: str, record: records.RememberedImage) -> None:
        if record.is_gone:
            self._memory.is_gone(image_id, time.time())
        elif not record.is_open:
            self._memory.is_closed(image_id, time.time())
            self._warn(image_id, 'it is neither public nor of the visibility '
                       '"community"')
        else:
            once.forget(LOG, ('image', image_id))
            self._memory.remember(_NOBODY, image_id, record, time.time())

    def _warn(self, image_id: str, why: str) -> None:
        once.warning(
            LOG, ('image', image_id),
            'Critical image %(image)s is remembered for those only who were '
            'given it: %(why)s.', {'image': image_id, 'why': why})
