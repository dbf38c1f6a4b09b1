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

"""A cloud: all of its services, from nothing to nothing."""

import json
import os
import subprocess
from typing import Any

from tests.cloud import client as client_mod
from tests.cloud import computes as computes_mod
from tests.cloud import conf
from tests.cloud import control as control_mod
from tests.cloud import environment as environment_mod
from tests.cloud import infra as infra_mod
from tests.cloud import members
from tests.cloud import packages
from tests.cloud import processes as processes_mod
from tests.cloud import running
from tests.cloud import service as service_mod
from tests.cloud import settings as settings_mod
from tests.cloud import taking_down
from tests.cloud import virtualization

PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

#: The image that a cloud comes with.
TRY = 'try'

#: Of the user's environment, what services are to see too.
PASSED_ON = ('OS_NOVA_DISABLE_EVENTLET_PATCHING',)


class Cloud:
    """What a scenario works with.

    :param say: is told what is done
    """

    def __init__(self, settings: settings_mod.Settings,
                 say: running.Say) -> None:
        self.settings = settings
        self.say = say
        self.tree = settings.tree
        self.processes = processes_mod.Processes(
            settings.run, self.tree.logs, _environment(settings))
        self.infra = infra_mod.Infra(settings, self.processes)
        #: keystone, placement, glance, nova's API and its conductor.
        self.control = control_mod.Control(settings, self.processes)
        self.schedulers = members.Schedulers(
            settings, self.processes, self.infra)
        self.computes = computes_mod.Computes(
            settings, self.processes, self.infra)
        for number in range(settings.schedulers):
            self.schedulers.add(f'scheduler{number + 1}')
        for kind, many in ((computes_mod.LIBVIRT, settings.computes),
                           (computes_mod.FAKE, settings.fakes)):
            for number in range(many):
                self.computes.add(f'{kind}{number + 1}')
        self._offered = self.computes.names
        self._client: client_mod.Client | None = None

    @property
    def client(self) -> client_mod.Client:
        """The API, and the database."""
        if self._client is None:
            self._client = client_mod.Client(self.settings, self.infra)
        return self._client

    def command(self, *arguments: str, service: str = 'nova') -> Any:
        """Return what the command of the package says of the cloud, as JSON.

        :param service: whose nova.conf it reads
        :raises subprocess.CalledProcessError: if it fails
        """
        with self.begin('-q', *arguments, '-f', 'json',
                        service=service) as process:
            out, err = process.communicate()
        if process.returncode:
            raise subprocess.CalledProcessError(
                process.returncode, arguments, out, err)
        return json.loads(out)

    def begin(self, *arguments: str, service: str = 'nova',
              ) -> 'subprocess.Popen[str]':
        """Start the command of the package, and do not wait for its end.

        :param service: whose nova.conf it reads
        """
        settings = self.settings
        return subprocess.Popen(
            [settings.program('cache-aware-sched'), *arguments,
             '--config-file', f'{settings.etc}/{service}/nova.conf'],
            env=_environment(settings), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def up(self) -> None:
        """Install what is missing, and start everything.

        :raises service.Failed: saying what did not work
        """
        settings = self.settings
        self._check_ports()
        taking_down.begin(self.tree, settings.run)
        packages.install(self.processes, self.say)
        self.install()
        if settings.computes and settings.virt_type == 'auto':
            settings.virt_type = virtualization.kind()
            self.say(f'the guests use {settings.virt_type.upper()}')
        self.control.configure()
        self.say('starting MariaDB, RabbitMQ and libvirt')
        running.together(self._start_control, self.computes.start_hosts)
        self.say('starting the schedulers and the computes')
        running.together(self.schedulers.start, self.computes.start)
        if len(self.computes):
            self.control.discover_hosts()
        self.client.servers.create_flavors()
        self.say('the cloud is up')

    def hand_over(self) -> None:
        """Leave it running for other programs, with an image to try."""
        self.client.images.upload(TRY, kind='qcow2')
        self.tree.record.touch(mode=0o600)
        self.tree.record.write_text(self.settings.dumps())

    def install(self) -> bool:
        """Install the Python packages; return whether ours changed."""
        return environment_mod.Environment(
            self.tree, self.processes, self.say).install()

    def renew(self) -> None:
        """Have a cloud that is up use this package as it is by now."""
        if self.install():
            self.say('restarting what uses the package')
            self.control.stop('nova')
            running.together(lambda: self.control.start('nova'),
                             self.schedulers.restart, self.computes.restart)

    def down(self) -> None:
        """End everything, and forget everything but the logs."""
        taking_down.take_down(self.tree, self.say)

    def configure(self, options: conf.Conf | None = None,
                  ours: bool = True) -> None:
        """Restart the schedulers and the offered hosts with other options.

        :param options: what their configuration is to have instead of the
            usual, until the end of the scenario
        :param ours: whether with this package, or with stock nova
        """
        running.together(
            lambda: self.schedulers.restart(ours=ours, options=options),
            lambda: self.computes.restart(
                *self._offered, ours=ours, options=options))

    def offer(self, computes: bool, fakes: bool) -> None:
        """Let servers be placed on one kind of hosts, or on both."""
        kinds = ((self.computes.with_libvirt, computes),
                 (self.computes.fakes, fakes))
        self._offered = [host for hosts, wanted in kinds if wanted
                         for host in hosts]
        for hosts, wanted in kinds:
            if hosts and not wanted:
                self.client.disable(hosts)

    def reset(self) -> None:
        """Have all run as it did when the cloud came up, with no servers.

        What they left in the image caches is gone too.
        """
        self.control.restore()
        running.together(self.schedulers.restore, self.computes.restore)
        self.client.clear()
        self.computes.empty_caches()

    def begin_to_play(self) -> None:
        """Have a cloud that is up as scenarios expect it."""
        self.schedulers.usually(ours=True)
        self.computes.usually(ours=True)
        self.renew()
        self.reset()

    def end_to_play(self) -> None:
        """Have stock nova again where the cloud came up with it."""
        if self.settings.stock:
            self.schedulers.usually(ours=False)
            self.computes.usually(ours=False)
            running.together(self.schedulers.start, self.computes.start)

    def _start_control(self) -> None:
        self.infra.start()
        self.say('creating the databases, starting keystone, glance, '
                 'placement and nova')
        self.control.create()

    def _check_ports(self) -> None:
        taken = [f'{name} ({port})'
                 for name, port in self.settings.port.items()
                 if not running.free(port)]
        if taken:
            raise service_mod.Failed(
                f'Somebody else listens on the port of {", ".join(taken)}. '
                f'Choose others with --port-base or --port.')


def load(tree: settings_mod.Tree, say: running.Say) -> Cloud | None:
    """Return the cloud that is up, None if there is none."""
    if tree.record.exists() and taking_down.is_of_this_boot(tree):
        return Cloud(settings_mod.Settings(
            **json.loads(tree.record.read_text())), say)
    return None


def _environment(settings: settings_mod.Settings) -> dict[str, str]:
    """Return the environment of all services: little of the user's."""
    passed_on = {name: os.environ[name] for name in PASSED_ON
                 if name in os.environ}
    return {'PATH': f'{settings.tree.venv}/bin:{PATH}', 'LANG': 'C.UTF-8',
            'HOME': str(settings.run), **passed_on}
