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


"""What nova remembers of images: the sizes in the requests for servers.

Nothing else of use is there. Whether an image is private is not: nova forgets
the visibility that glance tells (nova.image.glance, nova 34.0.0).
"""

import collections
from collections.abc import Iterable
from typing import Any

from oslo_serialization import jsonutils
import sqlalchemy as sa

from cache_aware_sched import image_ids
from cache_aware_sched import nova_databases

_REQUESTS = sa.table('request_specs', sa.column('instance_uuid'),
                     sa.column('spec'))

#: Requests that are read in one statement; each has some kilobytes.
_AT_ONCE = 100

#: Requests of one image that are tried, of the latest servers: those of
#: archived servers are gone.
_TRIED = 3


def size_in(text: str, image: str) -> int | None:
    """Return the bytes of an image that a request has, or None.

    nova's own RequestSpec is not used: reading one may write it anew.

    :param text: JSON of a RequestSpec, as nova stores it
    :param image: id; another is in the request if the server was rebuilt
    """
    try:
        meta: Any = jsonutils.loads(text)['nova_object.data']['image'][
            'nova_object.data']
        if (image_ids.canonical(meta['id']) == image
                and meta['size'] > 0):
            return int(meta['size'])
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        pass
    return None


def sizes(api: nova_databases.Database,
          servers: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return the bytes of the images of which that is known, by their ids.

    :param servers: image and uuid of each server, the oldest first
    :raises Unreadable: if the database does not answer
    """
    tried: dict[str, collections.deque[str]] = {}
    for image, server in servers:
        tried.setdefault(
            image, collections.deque(maxlen=_TRIED)).append(server)
    image_of = {server: image for image, of_image in tried.items()
                for server in of_image}
    known: dict[str, int] = {}
    uuids = list(image_of)
    for start in range(0, len(uuids), _AT_ONCE):
        some = uuids[start:start + _AT_ONCE]
        for server, text in api.select(
                sa.select(_REQUESTS.c.instance_uuid, _REQUESTS.c.spec).where(
                    _REQUESTS.c.instance_uuid.in_(some))):
            found = size_in(text, image_of[server])
            if found:
                known[image_of[server]] = found
    return known
