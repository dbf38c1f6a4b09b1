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

"""The configuration files of keystone, placement, glance and nova."""

import pathlib

from tests.cloud import conf
from tests.cloud import settings as settings_mod

OUR_WEIGHER = 'cache_aware_sched.scheduler.weights.ImageCacheWeigher'
#: What a scheduler that has it says of each request.
OUR_WEIGHER_LOGS = 'INFO cache_aware_sched.scheduler.decisions'
IMAGE_CACHE_FILTER = (
    'cache_aware_sched.scheduler.filters.ImageCacheFilter')
OUR_FILTER = 'cache_aware_sched.scheduler.filters.ImageAntiAffinityFilter'

#: What a service of nova logs when it is ready, as a debug message.
READY = 'join new ServiceGroup member'

#: Seconds after which a service that says nothing is taken for down.
DOWN_TIME = 20

#: nova's default.
FILTERS = ('ComputeFilter', 'ComputeCapabilitiesFilter',
           'ImagePropertiesFilter', 'ServerGroupAntiAffinityFilter',
           'ServerGroupAffinityFilter')

#: The half of the scheduler.
SCHEDULER: conf.Conf = {'filter_scheduler': {
    'weight_classes': f'nova.scheduler.weights.all_weighers,{OUR_WEIGHER}',
    'available_filters': ['nova.scheduler.filters.all_filters', OUR_FILTER],
    'enabled_filters': ','.join([*FILTERS, 'ImageAntiAffinityFilter']),
}}

#: The filter of nova-api.
IMAGE_RECORDS = """
[filter:image_records]
paste.filter_factory = cache_aware_sched.api.image_records:filter_factory
"""


def service_user(settings: settings_mod.Settings) -> conf.Section:
    """Return how a service says who it is."""
    return {
        'auth_url': settings.url('keystone', '/v3'),
        'auth_type': 'password',
        'username': 'service',
        'password': settings.secret,
        'project_name': 'service',
        'user_domain_id': 'default',
        'project_domain_id': 'default',
    }


def _authtoken(settings: settings_mod.Settings) -> conf.Conf:
    return {'keystone_authtoken': {
        **service_user(settings),
        'www_authenticate_uri': settings.url('keystone', '/v3'),
        'memcached_servers': f'127.0.0.1:{settings.port["memcached"]}',
    }}


def keystone(settings: settings_mod.Settings) -> conf.Conf:
    """Return keystone.conf."""
    return {
        'DEFAULT': {'use_stderr': True},
        'database': {'connection': settings.database('keystone')},
        'token': {'provider': 'fernet'},
        'fernet_tokens': {'key_repository': f'{settings.run}/fernet-keys'},
        # The password of a trial need not cost a quarter of a second.
        'identity': {'password_hash_rounds': 4},
        'cache': {'enabled': False},
    }


def placement(settings: settings_mod.Settings) -> conf.Conf:
    """Return placement.conf."""
    return conf.merge({
        'DEFAULT': {'use_stderr': True},
        'api': {'auth_strategy': 'keystone'},
        'placement_database': {'connection': settings.database('placement')},
    }, _authtoken(settings))


def glance(settings: settings_mod.Settings) -> conf.Conf:
    """Return glance-api.conf."""
    store = settings.run / 'glance'
    paste = settings.tree.venv / 'etc/glance/glance-api-paste.ini'
    return conf.merge({
        'DEFAULT': {'use_stderr': True, 'enabled_backends': 'file:file'},
        'database': {'connection': settings.database('glance')},
        'glance_store': {'default_backend': 'file'},
        'file': {
            'filesystem_store_datadir': f'{store}/images',
            # The zeros of an image take no room.
            'filesystem_thin_provisioning': True,
        },
        'os_glance_tasks_store': {
            'filesystem_store_datadir': f'{store}/tasks'},
        'os_glance_staging_store': {
            'filesystem_store_datadir': f'{store}/staging'},
        'paste_deploy': {'flavor': 'keystone', 'config_file': str(paste)},
        'oslo_concurrency': {'lock_path': f'{settings.run}/lock'},
    }, _authtoken(settings))


def nova(settings: settings_mod.Settings, host: str,
         state: pathlib.Path) -> conf.Conf:
    """Return what all services of nova have in their nova.conf.

    :param host: the name of the host that it is to think it is on
    :param state: a directory of its own
    """
    user = service_user(settings)
    region = {'region_name': settings_mod.REGION}
    return conf.merge({
        'DEFAULT': {
            'host': host,
            'my_ip': '127.0.0.1',
            'state_path': str(state),
            'use_stderr': True,
            'debug': True,
            'transport_url': (
                f'rabbit://nova:{settings.secret}@127.0.0.1:'
                f'{settings.port["rabbitmq"]}/'),
            # By default nova-compute takes minutes to end.
            'manager_shutdown_timeout': 1,
            'graceful_shutdown_timeout': 4,
            # The guests do not know how to shut down.
            'shutdown_timeout': 2,
            'report_interval': 3,
            'service_down_time': DOWN_TIME,
            'instance_usage_audit': False,
        },
        'oslo_concurrency': {'lock_path': f'{state}/lock'},
        'cache': {'enabled': True, 'backend': 'dogpile.cache.memory'},
        'placement': {**user, **region},
        'neutron': {**user, **region},
        'glance': region,
        'service_user': {**user, 'send_service_user_token': True},
        'compute': {'shutdown_retry_interval': 1},
        'vnc': {'enabled': False},
        'scheduler': {'workers': 1},
        'conductor': {'workers': 1},
        'quota': {'instances': -1, 'cores': -1, 'ram': -1},
    }, _authtoken(settings))


def nova_control(settings: settings_mod.Settings, cell: str) -> conf.Conf:
    """Return nova.conf of the API, or of the conductor of a cell."""
    return conf.merge(
        nova(settings, 'control', settings.run / 'control'),
        nova_databases(settings, cell))


def with_image_records(paste: str) -> str:
    """Return api-paste.ini of nova-api with the filter of this package.

    As the documentation has it (doc/source/admin/outage.rst).
    """
    return paste.replace(
        'authtoken keystonecontext', 'authtoken keystonecontext image_records'
    ) + IMAGE_RECORDS


def image_cache_filter() -> conf.Conf:
    """Return what nova-scheduler needs to heed the hint "require"."""
    return {'filter_scheduler': {
        'available_filters': ['nova.scheduler.filters.all_filters',
                              OUR_FILTER, IMAGE_CACHE_FILTER],
        'enabled_filters': ','.join([*FILTERS, 'ImageCacheFilter',
                                     'ImageAntiAffinityFilter'])}}


def image_records(settings: settings_mod.Settings) -> conf.Conf:
    """Return what nova-api needs to remember images for all its processes."""
    return {
        'cache': {'enabled': True, 'backend': 'oslo_cache.memcache_pool',
                  'memcache_servers':
                      f'127.0.0.1:{settings.port["memcached"]}'},
        'cache_aware_sched': {'image_record_secret': settings.secret * 4},
    }


def nova_databases(settings: settings_mod.Settings, cell: str) -> conf.Conf:
    """Return what computes need not know."""
    return {
        'api_database': {'connection': settings.database('nova_api')},
        'database': {'connection': settings.database(f'nova_{cell}')},
    }
