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

"""Tells an outage of Glance from what Glance answers about an image."""

import traceback
from typing import Any

import glanceclient.exc
from keystoneauth1 import exceptions as ksa_exc
from nova import exception
import requests

#: Where an error comes through (nova 31.3.1 to 34.0.0).
_NOVAS_CLIENT = 'nova.image.glance'

#: What all services of nova raise: of a fetch that breaks off, of TLS, of a
#: Keystone that gives nova no token.
_OF_ANY_CLIENT = (requests.RequestException, ksa_exc.ConnectionError,
                  ksa_exc.HttpServerError)

#: Where an answer is taken for an error, and what it is called there
#: (glanceclient 4.8.0 to 4.13.0). glanceclient has no class for many of
#: them, as 504, and its errors do not keep the number.
_RAISES, _RESPONSE = 'glanceclient.common.http', 'resp'


def is_outage(error: BaseException) -> bool:
    """Return whether an error says that Glance is down.

    Not one that is an answer about the image, as that there is none, and not
    one of this host, as a full disk.
    """
    if is_answer(error) or isinstance(error, (
            exception.GlanceConnectionFailed,
            glanceclient.exc.CommunicationError)):
        return True
    return _is_of_any_client(error) and any(
        frame.f_globals.get('__name__') == _NOVAS_CLIENT
        for frame in _frames(error))


def _is_of_any_client(error: BaseException) -> bool:
    # Of an auth_url without a version keystoneauth says only that it found
    # none, whatever was the cause (keystoneauth1.identity.generic.base).
    return isinstance(error, _OF_ANY_CLIENT) or (
        isinstance(error, ksa_exc.DiscoveryFailure)
        and isinstance(error.__context__, _OF_ANY_CLIENT))


def is_answer(error: BaseException) -> bool:
    """Return whether Glance answered, once, that it cannot.

    Glance, or what is before it. nova does not ask again then; one image may
    be the cause.
    """
    if not isinstance(error, glanceclient.exc.HTTPException):
        return False
    status = getattr(error, 'code', None)
    for frame in _frames(error):
        if frame.f_globals.get('__name__') == _RAISES:
            status = getattr(
                frame.f_locals.get(_RESPONSE), 'status_code', status)
    return isinstance(status, int) and 500 <= status < 600


def is_from_glance(error: BaseException) -> bool:
    """Return whether Glance answered, whatever it said.

    Not an error of Keystone, or of this host: nova hands those on as they are.
    """
    return isinstance(error, (glanceclient.exc.HTTPException,
                              exception.NovaException))


def _frames(error: BaseException) -> list[Any]:
    """Return the frames that an error came through."""
    return [frame for frame, _line in traceback.walk_tb(error.__traceback__)]
