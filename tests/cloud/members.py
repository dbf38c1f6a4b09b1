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

"""Services of nova that there are several of, each configured on its own."""

import abc
from collections.abc import Iterator
import dataclasses
import pathlib
import time

from tests.cloud import conf as conf_mod
from tests.cloud import infra as infra_mod
from tests.cloud import openstack_conf
from tests.cloud import processes as processes_mod
from tests.cloud import procfs
from tests.cloud import running
from tests.cloud import service as service_mod
from tests.cloud import settings as settings_mod


#: By the same three columns nova tells whether a service is up.
_ALIVE = """
select host from {database}.services where host = '{host}' and deleted = 0
and coalesce(last_seen_up, updated_at, created_at)
    > utc_timestamp() - interval {seconds} second;
"""


@dataclasses.dataclass(slots=True)
class Member:
    """One service.

    :param name: of the host that it is, or thinks it is on
    :param ours: whether it has this package's half, or stock nova's
    :param options: what its configuration has instead of the usual
    """

    name: str
    ours: bool = True
    options: conf_mod.Conf = dataclasses.field(default_factory=dict)


class Members(abc.ABC):
    """The services of one kind."""

    #: Of the names of their processes.
    prefix = ''
    #: The database in which they say that they live.
    database = ''

    def __init__(self, settings: settings_mod.Settings,
                 processes: processes_mod.Processes,
                 infra: infra_mod.Infra) -> None:
        self.settings = settings
        self.processes = processes
        self._infra = infra
        self._members: dict[str, Member] = {}
        #: Whether they have this package's half when nobody changed that.
        self._ours = not settings.stock

    @property
    def names(self) -> list[str]:
        """The names of all, whether they run or not."""
        return list(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __getitem__(self, name: str) -> Member:
        return self._members[name]

    def add(self, name: str) -> None:
        """Know one more; it is not started by this."""
        self._members[name] = Member(name, ours=self._ours)

    def usually(self, ours: bool) -> None:
        """Have them with this package's half, or without, from the next start.

        That is how they are until the end of this program, but for what
        :meth:`restart` changes.
        """
        self._ours = ours
        for member in self:
            member.ours, member.options = ours, {}

    def edited(self) -> list[str]:
        """Return the names of those whose nova.conf somebody has edited."""
        return [member.name for member in self
                if self.config_file(member.name).read_text()
                != conf_mod.render(self._conf(member))]

    def _conf(self, member: Member) -> conf_mod.Conf:
        return conf_mod.merge(self.usual_conf(member), member.options)

    def process(self, name: str) -> str:
        """Return the name of a service's process."""
        return f'{self.prefix}{name}'

    def state(self, name: str) -> pathlib.Path:
        """Return the directory of a service."""
        return self.settings.run / 'hosts' / name

    def config_file(self, name: str) -> pathlib.Path:
        """Return the path of a service's nova.conf."""
        return self.settings.etc / name / 'nova.conf'

    def start(self, *names: str) -> None:
        """Start services, by default all, and wait until they serve."""
        found = [self._members[name] for name in names or self.names]
        changed = []
        for member in found:
            state = self.state(member.name)
            (state / 'lock').mkdir(parents=True, exist_ok=True)
            if conf_mod.write(
                    self.config_file(member.name), self._conf(member)):
                changed.append(member.name)
        # Another program that was killed may have changed it.
        if changed:
            self.stop(*changed)
        running.launch(self.processes, *map(self.service, found))

    def stop(self, *names: str) -> None:
        """Stop services, by default all, as an administrator would."""
        self.processes.stop(*map(self.process, names or self.names))

    def kill(self, *names: str) -> None:
        """End services, by default all, with SIGKILL."""
        self.processes.kill(*map(self.process, names or self.names))

    def restart(self, *names: str, ours: bool = True,
                options: conf_mod.Conf | None = None) -> None:
        """Start services anew, by default all.

        :param ours: whether with this package's half, or with stock nova's
        :param options: what their configuration is to have instead of the
            usual; what an earlier restart changed is gone
        """
        names = names or tuple(self.names)
        for name in names:
            self._members[name].ours = ours
            self._members[name].options = options or {}
        self.stop(*names)
        self.start(*names)

    def restore(self) -> None:
        """Have all run as they did when the cloud came up."""
        changed = [one.name for one in self
                   if one.options or one.ours != self._ours]
        if changed:
            self.restart(*changed, ours=self._ours)
        self.start()

    def said(self, name: str, text: str) -> bool:
        """Return whether a service logged a text since it was started."""
        return self.times_said(name, text) > 0

    def times_said(self, name: str, text: str) -> int:
        """Return how often a service logged a text since it was started."""
        return self.processes.times_said(self.process(name), text)

    def log(self, name: str) -> pathlib.Path:
        """Return the log file of a service."""
        return self.processes.log(self.process(name))

    def memory(self, name: str) -> int:
        """Return the bytes that a service takes up, with its children."""
        process = self.process(name)
        return sum(map(procfs.memory,
                       self.processes.members([process])[process]))

    @abc.abstractmethod
    def usual_conf(self, member: Member) -> conf_mod.Conf:
        """Return the configuration without what a scenario changes."""

    @abc.abstractmethod
    def service(self, member: Member) -> service_mod.Service:
        """Return what a service is started with."""

    def _nova(self, member: Member) -> conf_mod.Conf:
        return openstack_conf.nova(
            self.settings, member.name, self.state(member.name))

    def _joined(self, name: str) -> bool:
        """Return whether a service of nova is ready.

        It says so in its log if that has debug messages, and in the database;
        if that was long ago, nova takes it for down until it says so again.
        """
        started = self.processes.record(self.process(name)).stat().st_mtime
        since = time.time() - started
        if self.said(name, openstack_conf.READY):
            since = max(since, openstack_conf.DOWN_TIME / 2)
        return bool(self._infra.sql(_ALIVE.format(
            database=self.database, host=name, seconds=int(since))))


class Schedulers(Members):
    """nova-scheduler, each with a host name of its own."""

    database = 'nova_cell0'

    def usual_conf(self, member: Member) -> conf_mod.Conf:
        """Return the configuration without what a scenario changes."""
        return conf_mod.merge(
            self._nova(member),
            openstack_conf.nova_databases(self.settings, 'cell0'),
            openstack_conf.SCHEDULER if member.ours else {})

    def service(self, member: Member) -> service_mod.Service:
        """Return what a scheduler is started with."""
        return service_mod.Service(
            name=self.process(member.name), command=[
                self.settings.program('nova-scheduler'), '--config-file',
                str(self.config_file(member.name))],
            ready=lambda: self._joined(member.name))
