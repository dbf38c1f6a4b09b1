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

"""What Glance told of an image, and who may be told it again. No nova."""

from collections.abc import Mapping
import dataclasses
import json
from typing import Any

from oslo_utils import timeutils

from cache_aware_sched import image_ids

#: Stands for every project.
EVERYONE = '*'

#: Visibilities with which anybody may boot an image whose id is known.
OPEN = ('public', 'community')

#: States after which an image is not active again, or not for everybody.
GONE = frozenset({'deactivated', 'deleted', 'pending_delete', 'killed'})

#: Bytes of an image that is remembered. Its properties are what a user likes;
#: Glance has 128 of them at most, by default (glance 30).
MAX_IMAGE_BYTES = 64 * 1024

#: What nova makes times of (nova.image.glance,
#: _convert_timestamps_to_datetimes, nova 31.3.1 to 34.0.0).
_TIMES = ('created_at', 'updated_at', 'deleted_at')


@dataclasses.dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for an image.

    :param project: its id
    :param is_admin: whether Glance may show it images of other projects
    """

    project: str
    is_admin: bool = False

    @property
    def scopes(self) -> tuple[str, ...]:
        """What may be answered from: the narrowest first."""
        own = (f'project {self.project}',)
        return (f'admin {self.project}', *own) if self.is_admin else own


@dataclasses.dataclass(frozen=True, slots=True)
class RememberedImage:
    """What Glance told of an image.

    :param image: as nova hands it on
    :param visibility: as Glance calls it; '' if nova did not tell
    :param asked_at: when Glance was asked, seconds since the epoch
    """

    image: dict[str, Any]
    visibility: str
    asked_at: float

    @property
    def is_open(self) -> bool:
        """Whether everybody may boot it."""
        return self.visibility in OPEN

    @property
    def is_active(self) -> bool:
        """Whether it can be booted."""
        return (self.image.get('status') == 'active'
                and not self.image.get('deleted'))

    @property
    def is_gone(self) -> bool:
        """Whether it cannot be booted by anybody any more."""
        return bool(self.image.get('status') in GONE
                    or self.image.get('deleted'))

    def is_for(self, asker: Asker) -> bool:
        """Return whether it may be remembered for who was given it.

        Not a private image of another project: Glance gave it to a role of
        this user, that others in the project need not have.
        """
        return (self.visibility != 'private' or asker.is_admin
                or self.image.get('owner') == asker.project)

    def is_of(self, image_id: str) -> bool:
        """Return whether it is what was asked for."""
        return (image_ids.canonical(str(self.image.get('id')))
                == image_ids.canonical(image_id))

    def scope(self, asker: Asker) -> str:
        """Return for whom it is, if it was given to this one.

        What an administrator was given of another project is for the
        administrators of its project only: others there may not see it.
        """
        if self.is_open:
            return EVERYONE
        if self.image.get('owner') == asker.project:
            return f'project {asker.project}'
        return asker.scopes[0]

    def encode(self) -> dict[str, Any] | None:
        """Return it as JSON can have it, None if it cannot or is too long."""
        image = {name: value for name, value in self.image.items()
                 if name not in ('locations', 'direct_url')}
        for name in _TIMES:
            if image.get(name) is not None and hasattr(
                    image[name], 'isoformat'):
                image[name] = image[name].isoformat()
        try:
            if len(json.dumps(image)) > MAX_IMAGE_BYTES:
                return None
        except (TypeError, ValueError, RecursionError):
            return None
        return {'image': image, 'visibility': self.visibility}


def decode(value: Any, asked_at: float) -> RememberedImage | None:
    """Return a record as :meth:`RememberedImage.encode` made it, else None."""
    try:
        image = dict(value['image'])
        visibility = str(value['visibility'])
        for name in _TIMES:
            if image.get(name):
                image[name] = timeutils.parse_isotime(image[name])
    except (KeyError, TypeError, ValueError):
        return None
    return RememberedImage(image, visibility, asked_at)


def visibility_of(image: Mapping[str, Any], noted: str) -> str:
    """Return the visibility of an image, '' if nobody told.

    nova only keeps whether it is public (nova 31.3.1 to 34.0.0).

    :param noted: what Glance called it, '' if that was not seen
    """
    if noted:
        return noted
    if image.get('visibility'):
        return str(image['visibility'])
    return 'public' if image.get('is_public') else ''
