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

"""The id of an image, spelt in one way.

An id may be typed in upper case: nova's API takes it, Glance on MariaDB finds
the image and answers with its own spelling, and nova keeps what was typed in
``instances.image_ref`` and names the base file by it (nova 34.0.0).
"""

from oslo_utils import uuidutils

from cache_aware_sched import wording


def canonical(image_id: str) -> str:
    """Return the spelling of an image id that all others are compared by."""
    return image_id.lower()


def split(text: str) -> tuple[list[str], list[str]]:
    """Return the ids in a text, separated by commas, and what is none."""
    words = [word for word in map(str.strip, text.split(',')) if word]
    good = [word for word in words if uuidutils.is_uuid_like(word)]
    return good, [word for word in words if word not in good]


def parse(text: str) -> list[str]:
    """Return the ids in a text, separated by commas.

    :raises ValueError: naming what is no id
    """
    good, bad = split(text)
    if bad:
        raise ValueError('not ids of images: ' + wording.some(
            [repr(word[:60]) for word in bad]))
    return good
