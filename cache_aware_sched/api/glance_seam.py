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

"""Stands between nova-api and nova's client of Glance.

nova has no place for a plug-in there. So ``nova.image.glance.API.get`` is
wrapped, in the process of nova-api only.
"""

from collections.abc import Callable
import contextvars
import inspect
from typing import Any

from nova.image import glance
from oslo_log import log as logging
from oslo_utils import uuidutils

from cache_aware_sched.api import answers as answers_mod
from cache_aware_sched.api import api_requests
from cache_aware_sched import once

LOG = logging.getLogger(__name__)

#: The parameters of API.get and of _translate_from_glance, with which nova
#: makes a dictionary of what Glance says (nova 31.3.1 to 34.0.0).
_GET = (('self', inspect.Parameter.empty),
        ('context', inspect.Parameter.empty),
        ('id_or_uri', inspect.Parameter.empty),
        ('include_locations', False), ('show_deleted', True))
_TRANSLATE = (('image', inspect.Parameter.empty),
              ('include_locations', False))

#: The request that a thread of nova-api works on, if it is one of ours.
_asked: contextvars.ContextVar[api_requests.ApiRequest | None] = (
    contextvars.ContextVar('cache_aware_sched_asked', default=None))

#: What Glance called the visibility of the image that was read last.
_visibility: contextvars.ContextVar[str] = contextvars.ContextVar(
    'cache_aware_sched_visibility', default='')

#: What answers; None while nobody does.
_answers: answers_mod.ImageAnswers | None = None

#: nova's own function, as soon as it is wrapped.
_original: Callable[..., dict[str, Any]] | None = None


def share(answers: answers_mod.ImageAnswers | None) -> None:
    """Have something answer in this process, or nothing any more."""
    global _answers
    _answers = answers


def shared() -> answers_mod.ImageAnswers | None:
    """Return what answers in this process."""
    return _answers


def install() -> bool:
    """Wrap nova's functions once; return whether that is done.

    Not if they are not as they were read: then nova-api goes on as it is.
    """
    global _original
    if _original is not None:
        return True
    get = getattr(glance.API, 'get', None)
    if not _is_as_read(get, _GET):
        once.error(
            LOG, ('seam',),
            'nova.image.glance.API.get is not as this package knows it: '
            'nova-api remembers no images. Install a release of '
            'cache_aware_sched that was made for this nova.')
        return False
    _original = get
    glance.API.get = _get
    translate: Any = getattr(glance, '_translate_from_glance', None)
    if _is_as_read(translate, _TRANSLATE):
        glance._translate_from_glance = _noting(translate)
    else:
        once.warning(
            LOG, ('visibility',),
            'nova.image.glance._translate_from_glance is not as this package '
            'knows it: images of the visibility "community" are remembered '
            'for those only who asked for them.')
    return True


def begin(asked: api_requests.ApiRequest) -> contextvars.Token[
        api_requests.ApiRequest | None]:
    """Say what this thread works on; return what :func:`end` wants."""
    return _asked.set(asked)


def end(token: contextvars.Token[api_requests.ApiRequest | None]) -> None:
    """Say that this thread works on it no more."""
    _asked.reset(token)


def ask_glance(api: glance.API, context: Any,
               image_id: str) -> tuple[dict[str, Any], str]:
    """Ask Glance itself.

    :returns: the image, and its visibility, '' if nova did not tell
    """
    assert _original is not None
    _visibility.set('')
    return _original(api, context, image_id), _visibility.get()


def _get(self: glance.API, context: Any, id_or_uri: str,
         include_locations: bool = False,
         show_deleted: bool = True) -> dict[str, Any]:
    """Retrieve the record of an image, in place of nova's own function."""
    assert _original is not None
    answers = _answers
    # Addresses of other Glances, locations and deleted images: nova's own.
    if (answers is None or include_locations or not show_deleted
            or not uuidutils.is_uuid_like(id_or_uri)):
        return _original(self, context, id_or_uri,
                         include_locations=include_locations,
                         show_deleted=show_deleted)
    told: list[tuple[dict[str, Any], str] | Exception] = []

    def ask(own: Any) -> tuple[dict[str, Any], str]:
        try:
            answer = ask_glance(self, own, id_or_uri)
        except Exception as error:
            told.append(error)
            raise
        told.append(answer)
        return answer

    try:
        return answers.image(_asked.get(), context, id_or_uri, ask)
    except answers_mod.GlanceIsDown:
        raise
    except Exception as error:
        if error in told:
            raise
        _note_fault(error)
    if not told:
        return _original(self, context, id_or_uri)
    if isinstance(told[0], Exception):
        raise told[0]
    return told[0][0]


def _note_fault(error: Exception) -> None:
    once.error(
        LOG, ('fault', type(error).__name__),
        'What nova-api remembers of images is not used, for an error of this '
        'package; Glance answers alone: %(error)s. Report it.',
        {'error': repr(error)[:300]})
    LOG.debug('The error in full.', exc_info=error)


def _noting(translate: Callable[..., dict[str, Any]],
            ) -> Callable[..., dict[str, Any]]:
    """Return nova's function, with the visibility of the image noted."""
    def noting(image: Any, include_locations: bool = False) -> dict[str, Any]:
        try:
            _visibility.set(str(image['visibility'] or ''))
        except (KeyError, TypeError):
            _visibility.set('')
        return translate(image, include_locations=include_locations)

    return noting


def _is_as_read(function: Any, wanted: tuple[tuple[str, Any], ...]) -> bool:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return tuple((one.name, one.default) for one in found) == wanted
