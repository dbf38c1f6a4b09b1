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

import glanceclient.exc
from nova import exception
import requests

#: What a proxy answers of which glanceclient has no class (4.13.0): the text
#: is that of the page of HAProxy and others.
_TIMED_OUT = 'HTTP 504'

#: A fetch breaks off in here (nova 31.3.1 to 34.0.0).
_NOVAS_CLIENT = 'nova.image.glance'

#: Answers of Glance, or of what is before it, that there is an outage.
_ANSWERS = (glanceclient.exc.HTTPInternalServerError,
            glanceclient.exc.HTTPBadGateway,
            glanceclient.exc.ServiceUnavailable)


def is_outage(error: BaseException) -> bool:
    """Return whether an error says that Glance is down.

    Not one that is an answer about the image, as that there is none, and not
    one of this host, as a full disk.
    """
    if is_answer(error) or isinstance(error, (
            exception.GlanceConnectionFailed,
            glanceclient.exc.CommunicationError)):
        return True
    # Other clients raise these too.
    return isinstance(error, requests.RequestException) and any(
        frame.f_globals.get('__name__') == _NOVAS_CLIENT
        for frame, _line in traceback.walk_tb(error.__traceback__))


def is_answer(error: BaseException) -> bool:
    """Return whether Glance answered, once, that it cannot.

    nova does not ask again then; one image may be the cause.
    """
    return isinstance(error, _ANSWERS) or (
        isinstance(error, glanceclient.exc.HTTPException)
        and str(error).startswith(_TIMED_OUT))


def is_from_glance(error: BaseException) -> bool:
    """Return whether Glance answered, whatever it said.

    Not an error of Keystone, or of this host: nova hands those on as they are.
    """
    return isinstance(error, (glanceclient.exc.HTTPException,
                              exception.NovaException))
