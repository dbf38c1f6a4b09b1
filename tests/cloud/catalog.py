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

"""Who may do what, and where which service is: keystone's part."""

import openstack
from openstack import connection as sdk_connection
from openstack.identity.v3 import _proxy as identity_v3

from tests.cloud import settings as settings_mod

#: Seconds for a request.
TIMEOUT = 120


def connect(settings: settings_mod.Settings) -> sdk_connection.Connection:
    """Return a connection as the administrator.

    What the user has configured for other clouds is not read.
    """
    return openstack.connect(
        load_yaml_config=False, load_envvars=False,
        auth=credentials(settings), region_name=settings_mod.REGION,
        interface='public', compute_default_microversion='2.96',
        api_timeout=TIMEOUT)


def credentials(settings: settings_mod.Settings) -> dict[str, str]:
    """Return who the administrator is."""
    return {
        'auth_url': settings.url('keystone', '/v3'),
        'username': 'admin',
        'password': settings.secret,
        'project_name': 'admin',
        'user_domain_id': 'default',
        'project_domain_id': 'default',
    }


def environment(settings: settings_mod.Settings) -> dict[str, str]:
    """Return what the openstack command reads from the environment."""
    return {
        **{f'OS_{name.upper()}': value
           for name, value in credentials(settings).items()},
        'OS_REGION_NAME': settings_mod.REGION,
        'OS_INTERFACE': 'public',
        'OS_IDENTITY_API_VERSION': '3',
        'OS_COMPUTE_API_VERSION': '2.96',
        'OS_PLACEMENT_API_VERSION': '1.39',
    }


def create(settings: settings_mod.Settings) -> None:
    """Register the services, and the user that they act as."""
    with connect(settings) as connection:
        identity = connection.identity
        assert isinstance(identity, identity_v3.Proxy)
        for name, kind, listener, path in (
                ('placement', 'placement', 'placement', ''),
                ('glance', 'image', 'glance', ''),
                ('nova', 'compute', 'nova', '/v2.1'),
                ('neutron', 'network', 'neutron', '')):
            service = identity.create_service(name=name, type=kind)
            identity.create_endpoint(
                service_id=service.id, interface='public',
                url=settings.url(listener, path),
                region_id=settings_mod.REGION)
        project = identity.create_project(name='service', domain_id='default')
        user = identity.create_user(
            name='service', password=settings.secret, domain_id='default',
            default_project_id=project.id)
        for name in ('admin', 'service'):
            role = identity.find_role(name) or identity.create_role(name=name)
            identity.assign_project_role_to_user(project, user, role)
