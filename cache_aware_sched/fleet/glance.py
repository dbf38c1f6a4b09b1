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

"""What Glance tells of images, if it answers."""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any
import urllib.parse

from nova import utils

from cache_aware_sched import service_account

#: Seconds for each answer, and pages of Glance's own largest size by default
#: (``api_limit_max``, glance 30): a table is worth no longer wait.
SECONDS, PAGES, PAGE = 5, 20, 1000

#: Images that are asked for one by one if they are on later pages, where more
#: than a table depends on them. Judgement: an answer takes some milliseconds.
SINGLE = 1000

#: What Glance itself says of an image (its schema "image", glance 30); all
#: else that it says are properties.
_FIELDS = frozenset({
    'id', 'name', 'status', 'visibility', 'protected', 'checksum', 'owner',
    'size', 'virtual_size', 'container_format', 'disk_format', 'created_at',
    'updated_at', 'tags', 'min_ram', 'min_disk'})
_NOT_PROPERTIES = frozenset({
    'self', 'file', 'schema', 'direct_url', 'locations', 'stores',
    'os_hash_algo', 'os_hash_value', 'os_hidden'})


class GlanceSilent(Exception):
    """Glance does not tell what it is asked; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class GlanceImage:
    """What Glance says of an image.

    :param owner: id of the project, '' for none
    :param size: bytes that Glance sends
    :param on_disk: bytes that a raw copy of it has, as far as Glance knows
    :param active: whether it can be fetched
    """

    name: str
    owner: str
    size: int
    on_disk: int
    active: bool


def names(wanted: Collection[str]) -> dict[str, str]:
    """Return the names of images that Glance shows to nova's own account.

    :param wanted: ids; asks for no more pages when all are found
    :raises GlanceSilent: if Glance does not answer
    """
    return {image_id: record.name
            for image_id, record in records(wanted, _NAMES).items() if record}


def records(wanted: Collection[str], what: str = '', single: int = 0,
            ) -> dict[str, GlanceImage | None]:
    """Return the images that Glance shows to nova's own account.

    :param wanted: ids; asks for no more pages when all are found
    :param what: goes wrong if Glance does not answer
    :param single: so many of those that are on none of the pages that are read
        are asked for one by one
    :returns: None for an image that Glance has no more, or does not show; what
        was not found is missing
    :raises GlanceSilent: if Glance does not answer
    """
    what = what or 'Glance does not list its images'
    missing = {image_id for image_id in wanted if image_id}
    found: dict[str, GlanceImage | None] = {}
    if not missing:
        return found
    try:
        glance = _adapter()
        for page in _pages(glance, what):
            if page is None:
                return {**dict.fromkeys(missing), **found}
            found.update((image['id'], _record(image)) for image in page
                         if image['id'] in missing)
            if len(found) == len(missing):
                break
        for image_id in sorted(missing - found.keys())[:single]:
            found[image_id] = _single(glance, image_id, what)
    except GlanceSilent:
        raise
    except Exception as error:
        raise GlanceSilent(f'{what}: {_reason(error)}') from None
    return found


def _pages(glance: Any, what: str) -> Iterator[list[Any] | None]:
    """Yield the images page by page, and None after the last page of all.

    What is hidden can be booted too, and is listed only if asked for.
    """
    queries = [f'/v2/images?limit={PAGE}&visibility=all{hidden}'
               for hidden in ('', '&os_hidden=true')]
    for _page in range(PAGES):
        body = _body(glance.get(queries.pop(0)), what)
        if body.get('next'):
            queries.insert(0, _path(body['next']))
        yield body['images']
        if not queries:
            yield None
            return


def _single(glance: Any, image_id: str, what: str) -> GlanceImage | None:
    answer = glance.get(_address(image_id))
    return (None if answer.status_code == 404
            else _record(_body(answer, what)))


def _address(image_id: str) -> str:
    return f'/v2/images/{urllib.parse.quote(image_id, safe="")}'


def _record(image: Mapping[str, Any]) -> GlanceImage:
    return GlanceImage(
        image.get('name') or '', image.get('owner') or '',
        image.get('size') or 0, image.get('virtual_size') or 0,
        image.get('status') == 'active')


def describe(image_id: str) -> dict[str, Any]:
    """Return an image as nova.objects.ImageMeta.from_dict wants it.

    :raises GlanceSilent: if Glance does not answer, or shows no such image to
        nova's own account
    """
    what = f'Glance does not describe image {image_id}'
    try:
        said = _body(_adapter().get(_address(image_id)), what)
        return {
            **{name: value for name, value in said.items() if name in _FIELDS},
            'properties': {
                name: value for name, value in said.items()
                if name not in _FIELDS | _NOT_PROPERTIES}}
    except GlanceSilent:
        raise
    except Exception as error:
        raise GlanceSilent(f'{what}: {_reason(error)}') from None


def _adapter() -> Any:
    """Return what asks Glance with nova's own account."""
    try:
        session = service_account.session(SECONDS)
    except service_account.NoAccount as error:
        raise GlanceSilent(f'Glance is not asked: {error}') from None
    return utils.get_ksa_adapter('image', ksa_auth=session.auth,
                                 ksa_session=session)


def _body(answer: Any, what: str) -> Any:
    """Return what Glance answers.

    :param what: goes wrong if it does not
    """
    if answer.status_code != 200:
        raise GlanceSilent(f'{what}: it answers HTTP {answer.status_code}')
    return answer.json()


#: What goes wrong if the names are missing.
_NAMES = 'Glance does not tell the names of images'


def _path(link: str) -> str:
    """Return a link to the next page without its host, if it names one."""
    parts = urllib.parse.urlsplit(link)
    return urllib.parse.urlunsplit(('', '', parts.path, parts.query, ''))


def _reason(error: Exception) -> str:
    return (str(error).partition('\n')[0] or type(error).__name__)[:200]
