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

"""MariaDB, RabbitMQ and memcached, on the loopback interface only."""

import pathlib
import shutil
import socket
import subprocess

from tests.cloud import processes as processes_mod
from tests.cloud import running
from tests.cloud import service as service_mod
from tests.cloud import settings as settings_mod

DATABASES = ('keystone', 'placement', 'glance', 'nova_api', 'nova_cell0',
             'nova_cell1')

#: By shorter names.
_ALIASES = {'api': 'nova_api', 'cell0': 'nova_cell0', 'cell1': 'nova_cell1'}

#: Where Debian has the script that does not change to another user.
RABBITMQ = '/usr/lib/rabbitmq/bin/rabbitmq-server'

_SETUP = """
create user cloud@'127.0.0.1' identified by '{secret}';
grant all on *.* to cloud@'127.0.0.1';
alter user root@localhost identified by '{secret}';
"""


class Infra:
    """What OpenStack stands on."""

    def __init__(self, settings: settings_mod.Settings,
                 processes: processes_mod.Processes) -> None:
        self._settings = settings
        self._processes = processes
        self._mariadb = settings.run / 'mariadb'
        self._rabbitmq = settings.run / 'rabbitmq'

    def start(self) -> None:
        """Start all of it, with empty databases."""
        running.together(self._start_mariadb, self._start_rest)

    def sql(self, statements: str, user: str = 'cloud') -> list[str]:
        """Return the lines of the result, its columns split by tabs.

        :raises service.Failed: if the server does not like it
        """
        socket_file = (['--protocol=tcp'] if user == 'cloud' else
                       [f'--socket={self._mariadb}/socket'])
        done = subprocess.run(
            ['mariadb', '--no-defaults', f'--user={user}', *socket_file,
             '--host=127.0.0.1', f'--port={self._settings.port["mariadb"]}',
             '--batch', '--raw', '--skip-column-names'],
            input=statements, text=True, capture_output=True, check=False,
            timeout=60, env=self._processes.environment | {
                'MYSQL_PWD': self._settings.secret if user == 'cloud' else ''})
        if done.returncode:
            raise service_mod.Failed(f'MariaDB: {done.stderr.strip()}')
        return done.stdout.splitlines()

    def client(self, database: str, statement: str | None,
               ) -> tuple[list[str], dict[str, str]]:
        """Return a command that asks a database, and its environment.

        :param database: its name, or the name of its cell
        :param statement: None for a command that reads statements
        :raises service.Failed: if there is no such database
        """
        name = _ALIASES.get(database, database)
        if name not in DATABASES:
            raise service_mod.Failed(
                f'There is no database {database}; there are '
                f'{", ".join((*_ALIASES, *DATABASES))}.')
        command = [
            'mariadb', '--no-defaults', '--user=cloud', '--protocol=tcp',
            '--host=127.0.0.1', f'--port={self._settings.port["mariadb"]}']
        if statement is not None:
            command += ['--table', f'--execute={statement}']
        return [*command, name], {'MYSQL_PWD': self._settings.secret}

    def _start_mariadb(self) -> None:
        data = self._mariadb / 'data'
        self._mariadb.mkdir(parents=True)
        shutil.chown(self._mariadb, 'mysql', 'mysql')
        running.call(self._processes, 'mariadb-install', [
            'mariadb-install-db', '--no-defaults', f'--datadir={data}',
            '--auth-root-authentication-method=normal', '--skip-test-db'],
            running.How(user='mysql'))
        running.launch(self._processes, service_mod.Service(
            name='mariadb', user='mysql', command=[
                'mariadbd', '--no-defaults', f'--datadir={data}',
                f'--socket={self._mariadb}/socket',
                f'--pid-file={self._mariadb}/pid',
                '--bind-address=127.0.0.1',
                f'--port={self._settings.port["mariadb"]}',
                '--max-connections=500', '--skip-name-resolve',
                '--skip-log-bin', '--character-set-server=utf8mb3',
                '--innodb-buffer-pool-size=256M',
                # It need not survive a power failure: hundreds of tables are
                # created ten times as fast.
                '--innodb-flush-log-at-trx-commit=0',
                '--innodb-flush-method=nosync', '--debug-no-sync',
                '--innodb-file-per-table=0'],
            ready=(self._mariadb / 'socket').is_socket))
        self.sql(_SETUP.format(secret=self._settings.secret) + ''.join(
            f'create database {name};' for name in DATABASES), 'root')

    def _start_rest(self) -> None:
        home = self._rabbitmq
        home.mkdir(parents=True)
        config = home / 'rabbitmq.conf'
        config.touch(mode=0o600)
        config.write_text(
            f'default_user = nova\n'
            f'default_pass = {self._settings.secret}\n'
            f'vm_memory_high_watermark.absolute = 1GB\n'
            f'disk_free_limit.absolute = 100MB\n'
            f'log.console = true\n'
            f'log.console.level = warning\n'
            f'log.file = false\n')
        (home / 'plugins').write_text('[].')
        for path in (home, config, home / 'plugins'):
            shutil.chown(path, 'rabbitmq', 'rabbitmq')
        port = self._settings.port
        # RabbitMQ would start an epmd that nobody ends.
        running.launch(
            self._processes,
            service_mod.Service(
                name='memcached', user='memcache', command=[
                    'memcached', '--listen=127.0.0.1',
                    f'--port={port["memcached"]}', '--udp-port=0',
                    '--memory-limit=64'],
                ready=lambda: not running.free(port['memcached'])),
            service_mod.Service(
                name='epmd', user='rabbitmq', command=[
                    'epmd', '-address', '127.0.0.1',
                    '-port', str(port['epmd'])],
                ready=lambda: not running.free(port['epmd'])))
        running.launch(self._processes, service_mod.Service(
            name='rabbitmq', user='rabbitmq', command=[RABBITMQ],
            environment=self._rabbitmq_environment(home),
            ready=lambda: _speaks_amqp(port['rabbitmq'])))

    def _rabbitmq_environment(self, home: pathlib.Path) -> dict[str, str]:
        port = self._settings.port
        loopback = '-kernel inet_dist_use_interface {127,0,0,1}'
        return {
            'HOME': str(home),
            'RABBITMQ_NODENAME': f'cloud-{port["rabbitmq"]}@localhost',
            'RABBITMQ_BASE': str(home),
            'RABBITMQ_MNESIA_BASE': str(home / 'mnesia'),
            'RABBITMQ_LOG_BASE': str(home / 'log'),
            'RABBITMQ_LOGS': '-',
            'RABBITMQ_SCHEMA_DIR': str(home / 'schema'),
            'RABBITMQ_GENERATED_CONFIG_DIR': str(home / 'config'),
            'RABBITMQ_ENABLED_PLUGINS_FILE': str(home / 'plugins'),
            'RABBITMQ_CONFIG_FILE': str(home / 'rabbitmq'),
            'RABBITMQ_CONF_ENV_FILE': str(home / 'none'),
            'RABBITMQ_PID_FILE': str(home / 'pid'),
            'RABBITMQ_NODE_IP_ADDRESS': '127.0.0.1',
            'RABBITMQ_NODE_PORT': str(port['rabbitmq']),
            'RABBITMQ_DIST_PORT': str(port['rabbitmq-nodes']),
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': loopback,
            'ERL_EPMD_ADDRESS': '127.0.0.1',
            'ERL_EPMD_PORT': str(port['epmd']),
        }


def _speaks_amqp(port: int) -> bool:
    """Return whether the other side answers the first words of AMQP."""
    try:
        with socket.create_connection(('127.0.0.1', port), 3) as one:
            one.sendall(b'AMQP\x00\x00\x09\x01')
            return bool(one.recv(1))
    except OSError:
        return False
