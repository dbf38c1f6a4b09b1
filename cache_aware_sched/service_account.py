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

"""nova's own account with other services, as nova.conf has it.

What nobody asked for in a request has no token of a user: commands, and what
nova-compute fetches on its own.
"""

from typing import Any

from keystoneauth1 import loading
from keystoneauth1 import session as ks_session
from nova import conf as nova_conf
from nova import context as nova_context
from oslo_config import cfg

CONF = nova_conf.CONF

#: Sections of nova.conf that may have an account with which Glance answers:
#: the one for service tokens first, then that of placement, which schedulers
#: and computes have.
ACCOUNTS = ('service_user', 'placement')

#: Endpoints of a catalog by the name that a context has for them: the form
#: of the Identity API 2, which nova.context still wants (nova 34.0.0).
_INTERFACES = {'public': 'publicURL', 'internal': 'internalURL',
               'admin': 'adminURL'}


class NoAccount(Exception):
    """nova.conf has no account; the message names the sections."""


def session(timeout: float | None = None) -> ks_session.Session:
    """Return a session with the account.

    :param timeout: seconds for each answer; None for what nova.conf says
    :raises NoAccount: if there is none
    """
    more = {} if timeout is None else {'timeout': timeout}
    for group in ACCOUNTS:
        try:
            auth = loading.load_auth_from_conf_options(CONF, group)
            if auth is not None:
                return loading.load_session_from_conf_options(
                    CONF, group, auth=auth, **more)
        except (cfg.Error, ValueError):
            continue
    raise NoAccount('nova.conf has no account in '
                    + ' or '.join(f'[{group}]' for group in ACCOUNTS))


def local_context() -> nova_context.RequestContext:
    """Return a context with the account, for this process only.

    The account asks for a token when it needs one.

    :raises NoAccount: if there is none
    """
    return nova_context.RequestContext(
        is_admin=True, user_auth_plugin=session().auth, overwrite=False)


def sent_context(known: ks_session.Session,
                 ) -> nova_context.RequestContext:
    """Return a context that another service can use as well.

    It has a token, which expires.

    :param known: the :func:`session`, which keeps a token until it expires
    :raises keystoneauth1.exceptions.ClientException: if there is no token for
        it
    """
    auth: Any = known.auth
    access = auth.get_access(known)
    return nova_context.RequestContext(
        user_id=access.user_id, project_id=access.project_id, is_admin=True,
        auth_token=access.auth_token,
        service_catalog=_catalog(access.service_catalog.catalog),
        overwrite=False)


def _catalog(services: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a catalog in the form of a context."""
    found = []
    for service in services:
        by_region: dict[str, dict[str, str]] = {}
        for endpoint in service.get('endpoints', ()):
            name = _INTERFACES.get(endpoint.get('interface', ''))
            region = endpoint.get('region') or endpoint.get('region_id') or ''
            if name:
                by_region.setdefault(region, {})[name] = endpoint['url']
        found.append({'type': service['type'], 'name': service.get('name', ''),
                      'endpoints': [{'region': region, **urls}
                                    for region, urls in by_region.items()]})
    return found
