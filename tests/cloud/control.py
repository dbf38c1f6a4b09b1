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

"""keystone, placement, glance, and nova but for its schedulers and computes.

None of them has a program for its API any more: they are WSGI applications,
and uwsgi serves them.
"""

import dataclasses
import pathlib
import sys

from tests.cloud import catalog
from tests.cloud import conf
from tests.cloud import network
from tests.cloud import openstack_conf
from tests.cloud import processes as processes_mod
from tests.cloud import running
from tests.cloud import service as service_mod
from tests.cloud import settings as settings_mod


class Control:
    """The services that there is one of."""

    def __init__(self, settings: settings_mod.Settings,
                 processes: processes_mod.Processes) -> None:
        self._settings = settings
        self._processes = processes
        #: By their names.
        self.services = {one.name: one for one in (
            self._wsgi('keystone', 'keystone.wsgi.api', threads=4,
                       path='/v3'),
            self._wsgi('placement', 'placement.wsgi.api', threads=4),
            self._wsgi('glance', 'glance.wsgi.api', threads=8,
                       path='/versions'),
            self._wsgi('nova', 'nova.wsgi.osapi_compute', threads=16),
            self._network(), self._conductor())}

    def start(self, *names: str) -> None:
        """Start services, and wait until they serve."""
        running.launch(self._processes,
                       *(self.services[name] for name in names))

    def stop(self, *names: str) -> None:
        """Stop services."""
        self._processes.stop(*names)

    def configure(self) -> None:
        """Write the configuration files."""
        settings, etc = self._settings, self._settings.etc
        for name in ('glance/images', 'glance/tasks', 'glance/staging',
                     'lock', 'control/lock', 'fernet-keys'):
            (settings.run / name).mkdir(parents=True, mode=0o700)
        conf.write(etc / 'keystone/keystone.conf',
                   openstack_conf.keystone(settings))
        conf.write(etc / 'placement/placement.conf',
                   openstack_conf.placement(settings))
        conf.write(etc / 'glance/glance-api.conf',
                   openstack_conf.glance(settings))
        # nova-api and the cell conductor each have their own database.
        self._write_api({}, ours=False)
        conf.write(etc / 'nova-cell1/nova.conf', openstack_conf.nova_control(
            settings, 'cell1'))

    def restart_api(self, options: conf.Conf | None = None,
                    ours: bool = True, workers: int = 1) -> None:
        """Restart nova-api with other options, until the end of the scenario.

        :param ours: whether the filter of this package is in its pipeline
        :param workers: its processes
        """
        self._write_api(options or {}, ours)
        self.stop('nova')
        usual = self.services['nova']
        command = list(usual.command)
        command[command.index('--processes') + 1] = str(workers)
        port = self._settings.port['nova']
        running.wait_for('the port of nova-api is not free',
                         lambda: running.free(port), 60.0)
        running.launch(self._processes,
                       dataclasses.replace(usual, command=command))

    def restore(self) -> None:
        """Have nova-api as it was when the cloud came up; start all."""
        if self._write_api({}, ours=False):
            self.stop('nova')
        self.start(*self.services)

    def _write_api(self, options: conf.Conf, ours: bool) -> bool:
        """Write the files of nova-api; return whether that changed any."""
        etc, settings = self._settings.etc, self._settings
        paste = (settings.tree.venv / 'etc/nova/api-paste.ini').read_text()
        if ours:
            paste = openstack_conf.with_image_records(paste)
        path = etc / 'nova/api-paste.ini'
        changed = conf.write(etc / 'nova/nova.conf', conf.merge(
            openstack_conf.nova_control(settings, 'cell0'), options))
        if not path.exists() or path.read_text() != paste:
            path.write_text(paste)
            changed = True
        return changed

    def create(self) -> None:
        """Make the tables, and start what needs them, from nothing."""
        running.together(self._create_nova, self._create_rest)
        self.start('nova', 'conductor')

    def _create_rest(self) -> None:
        etc, settings = self._settings.etc, self._settings
        keystone = ['keystone-manage', '--config-file',
                    f'{etc}/keystone/keystone.conf']
        self._call(*keystone, 'db_sync')
        self._call(*keystone, 'fernet_setup', '--keystone-user', 'root',
                   '--keystone-group', 'root')
        self._call(*keystone, 'bootstrap', '--bootstrap-password',
                   settings.secret, '--bootstrap-region-id',
                   settings_mod.REGION, '--bootstrap-public-url',
                   settings.url('keystone', '/v3/'),
                   # Services look for this one.
                   '--bootstrap-internal-url',
                   settings.url('keystone', '/v3/'))
        self._call('placement-manage', '--config-file',
                   f'{etc}/placement/placement.conf', 'db', 'sync')
        self._call('glance-manage', '--config-file',
                   f'{etc}/glance/glance-api.conf', 'db_sync')
        self.start('keystone', 'placement', 'glance', 'network')
        catalog.create(settings)

    def _create_nova(self) -> None:
        settings = self._settings
        manage = ['nova-manage', '--config-file']
        api = [*manage, f'{settings.etc}/nova/nova.conf']
        self._call(*api, 'api_db', 'sync')
        self._call(*api, 'cell_v2', 'map_cell0', '--database_connection',
                   settings.database('nova_cell0'))
        self._call(*api, 'cell_v2', 'create_cell', '--name', 'cell1',
                   '--database_connection', settings.database('nova_cell1'),
                   '--transport-url', str(openstack_conf.nova(
                       settings, '', settings.run)[
                           'DEFAULT']['transport_url']))
        # Both cells: the other one is known since it was mapped.
        self._call(*manage, f'{settings.etc}/nova-cell1/nova.conf', 'db',
                   'sync')

    def discover_hosts(self) -> None:
        """Have nova know its new computes."""
        self._call('nova-manage', '--config-file',
                   f'{self._settings.etc}/nova/nova.conf', 'cell_v2',
                   'discover_hosts')

    def _call(self, program: str, *arguments: str) -> None:
        running.call(self._processes, f'setup-{program}',
                     [self._settings.program(program), *arguments])

    def _wsgi(self, name: str, module: str, threads: int,
              path: str = '/') -> service_mod.Service:
        settings = self._settings
        return service_mod.Service(
            name=name, command=[
                settings.program('uwsgi'), '--master', '--die-on-term',
                '--no-orphans', '--need-app', '--lazy-apps',
                '--http-socket', f'127.0.0.1:{settings.port[name]}',
                '--processes', '1', '--threads', str(threads),
                '--enable-threads', '--module', module,
                '--callable', 'application', '--pyargv', '',
                '--http-chunked-input', '--buffer-size', '65535',
                '--add-header', 'Connection: close',
                '--procname-prefix', f'{name} '],
            environment={
                f'OS_{name.upper()}_CONFIG_DIR': f'{settings.etc}/{name}'},
            ready=lambda: running.answers(settings.port[name], path))

    def _network(self) -> service_mod.Service:
        port = self._settings.port['neutron']
        return service_mod.Service(
            name='network', command=[
                sys.executable, str(pathlib.Path(network.__file__)),
                str(port)],
            ready=lambda: running.answers(port))

    def _conductor(self) -> service_mod.Service:
        return service_mod.Service(
            name='conductor', command=[
                self._settings.program('nova-conductor'), '--config-file',
                f'{self._settings.etc}/nova-cell1/nova.conf'],
            ready=lambda: self._processes.said(
                'conductor', openstack_conf.READY))
