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

"""The names of images, if Glance tells them."""

from collections.abc import Collection
from typing import Any
import urllib.parse

from keystoneauth1 import loading
from nova import conf as nova_conf
from nova import utils
from oslo_config import cfg

CONF = nova_conf.CONF

#: Sections of nova.conf that may have an account with which Glance answers:
#: the one for service tokens first, then that of placement, which schedulers
#: and computes have.
_ACCOUNTS = ('service_user', 'placement')

#: Seconds for each answer, and pages of Glance's own largest size by default
#: (``api_limit_max``, glance 30): a table is worth no longer wait.
SECONDS, PAGES, PAGE = 5, 20, 1000


class NamesUnknown(Exception):
    """Glance does not tell the names of images; the message says why."""


def names(wanted: Collection[str]) -> dict[str, str]:
    """Return the names of images that Glance shows to nova's own account.

    :param wanted: ids; asks for no more pages when all are found
    :raises NamesUnknown: if Glance does not answer
    """
    missing = {image_id for image_id in wanted if image_id}
    found: dict[str, str] = {}
    if not missing:
        return found
    try:
        glance = _adapter()
        query: str | None = f'/v2/images?limit={PAGE}'
        for _page in range(PAGES):
            body = _body(glance.get(query))
            for image in body['images']:
                if image['id'] in missing:
                    found[image['id']] = image.get('name') or ''
            query = body.get('next')
            if not query or len(found) == len(missing):
                break
            query = _path(query)
    except NamesUnknown:
        raise
    except Exception as error:
        raise NamesUnknown(
            f'Glance does not tell the names of images: {_reason(error)}'
        ) from None
    return found


def _adapter() -> Any:
    """Return what asks Glance with an account of nova.conf."""
    for group in _ACCOUNTS:
        try:
            auth = loading.load_auth_from_conf_options(CONF, group)
            if auth is None:
                continue
            session = loading.load_session_from_conf_options(
                CONF, group, auth=auth, timeout=SECONDS)
        except (cfg.Error, ValueError):
            continue
        return utils.get_ksa_adapter('image', ksa_auth=auth,
                                     ksa_session=session)
    raise NamesUnknown(
        'the names of images are not asked for: nova.conf has no account in '
        + ' or '.join(f'[{group}]' for group in _ACCOUNTS))


def _body(answer: Any) -> Any:
    if answer.status_code != 200:
        raise NamesUnknown('Glance does not tell the names of images: it '
                           f'answers HTTP {answer.status_code}')
    return answer.json()


def _path(link: str) -> str:
    """Return a link to the next page without its host, if it names one."""
    parts = urllib.parse.urlsplit(link)
    return urllib.parse.urlunsplit(('', '', parts.path, parts.query, ''))


def _reason(error: Exception) -> str:
    return (str(error).partition('\n')[0] or type(error).__name__)[:200]
