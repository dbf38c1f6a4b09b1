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

"""What one cloud is made with, and where it keeps its files."""

from collections.abc import Mapping
import dataclasses
import json
import pathlib
import secrets
import uuid

STATE = pathlib.Path('/var/tmp/cache-aware-sched-cloud')

#: Where nothing that is registered listens, and below what Linux hands out.
PORT_BASE = 28_700

#: In the order of their ports.
LISTENERS = ('keystone', 'placement', 'glance', 'nova', 'neutron', 'mariadb',
             'rabbitmq', 'rabbitmq-nodes', 'epmd', 'memcached')

REGION = 'region1'


def ports(base: int = PORT_BASE,
          chosen: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return the port of each listener.

    :raises ValueError: if two have the same
    """
    found = {name: base + number for number, name in enumerate(LISTENERS)
             } | dict(chosen or {})
    twice = [name for name, port in found.items()
             if list(found.values()).count(port) > 1]
    if twice:
        raise ValueError(f'{" and ".join(twice)} have the same port')
    return found


class Tree:
    """The directories below the state directory."""

    def __init__(self, state: pathlib.Path) -> None:
        self.state = state
        #: Kept when the cloud is taken down.
        self.venv = state / 'venv'
        self.logs = state / 'log'
        self.failures = state / 'failures'
        #: What libvirt found out about QEMU.
        self.capabilities = state / 'libvirt-cache'
        self.lock = state / 'lock'
        self.record = state / 'cloud.json'

    def runs(self) -> list[pathlib.Path]:
        """Return the directories of clouds that were not taken down."""
        return sorted(path for path in self.state.glob('run-*')
                      if path.is_dir())


@dataclasses.dataclass(slots=True, kw_only=True)
class Settings:
    """What one cloud is made with.

    :param identity: in the name of its directory, so that no other cloud ever
        has one of that name
    :param secret: every password; others may have accounts on this machine
    :param virt_type: as nova knows it: kvm or qemu
    :param stock: whether it comes up without this package's plug-ins
    """

    state: str
    computes: int
    fakes: int
    schedulers: int
    virt_type: str = 'qemu'
    stock: bool = False
    port: dict[str, int] = dataclasses.field(default_factory=ports)
    identity: str = dataclasses.field(
        default_factory=lambda: uuid.uuid4().hex[:12])
    secret: str = dataclasses.field(
        default_factory=lambda: secrets.token_hex(12))

    @property
    def tree(self) -> Tree:
        """The directories that all clouds of this state directory share."""
        return Tree(pathlib.Path(self.state))

    @property
    def run(self) -> pathlib.Path:
        """The directory of what is gone when the cloud is."""
        return self.tree.state / f'run-{self.identity}'

    @property
    def etc(self) -> pathlib.Path:
        """The directory of the configuration files."""
        return self.run / 'etc'

    def program(self, name: str) -> str:
        """Return the path of a program of the virtual environment."""
        return str(self.tree.venv / 'bin' / name)

    def url(self, listener: str, path: str = '') -> str:
        """Return the address of an HTTP service."""
        return f'http://127.0.0.1:{self.port[listener]}{path}'

    def database(self, name: str) -> str:
        """Return the address of a database."""
        return (f'mysql+pymysql://cloud:{self.secret}@127.0.0.1:'
                f'{self.port["mariadb"]}/{name}')

    def dumps(self) -> str:
        """Return it as text."""
        return json.dumps(dataclasses.asdict(self), indent=1)
