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

"""Opens the image cache of the host on which a command runs.

The command reads the nova.conf of nova-compute, and asks the conductor over
RPC what servers there are, as nova-compute does: it needs no database.
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import os
import pathlib
import pwd
import signal
from types import FrameType
from typing import Any
import warnings

from cliff import command

from cache_aware_sched.cli import arguments
from cache_aware_sched.option import Checked
from cache_aware_sched.option import option

#: The driver whose image cache is a directory that the commands know.
DRIVER = 'cache_aware.LibvirtDriver'

#: Seconds to wait for the conductor. Judgement: nova-compute waits for as long
#: as it takes, an operator does not.
PATIENCE = 30


class NoAnswer(BaseException):
    """The conductor does not answer.

    Not an Exception: who fails to tell of servers that move is content with a
    warning (:func:`cache_aware_sched.imagecache.used.moving`).
    """


@dataclasses.dataclass(frozen=True, slots=True)
class ComputeConfiguration(Checked):
    """The configuration of nova-compute."""

    config_files: tuple[str, ...] = option(
        (), 'A configuration file of nova-compute. Default: those that nova '
        'itself finds, as /etc/nova/nova.conf.', metavar='FILE')


class ComputeCommand(command.Command):
    """A command that works on the image cache of this host.

    :ivar status: the exit status
    """

    status = 0

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        arguments.add(parser, ComputeConfiguration)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; return the exit status."""
        return int(super().run(parsed_args) or self.status)


def image_cache(parsed_args: argparse.Namespace) -> Any:
    """Return the image cache of this host.

    :returns: a :class:`cache_aware_sched.imagecache.image_cache.ImageCache`
    :raises RuntimeError: if this host has none that the command knows
    :raises cache_aware_sched.nova_databases.Unreadable: if the configuration
        cannot be read
    """
    files = arguments.make(ComputeConfiguration, parsed_args).config_files
    with warnings.catch_warnings():
        # Of libraries that nova imports; nobody can do anything about it.
        warnings.simplefilter('ignore')
        # Only here: importing nova takes seconds.
        from cache_aware_sched import config
        from cache_aware_sched.imagecache import loading
        from cache_aware_sched import nova_databases
        nova_databases.configure(files)
    options = config.checked()
    driver = config.CONF.compute_driver
    if driver != DRIVER:
        raise RuntimeError(
            f'compute_driver of host {config.CONF.host} is {driver!r}: the '
            f'command knows the image cache of {DRIVER} only. Run it on a '
            f'compute host, with the nova.conf of nova-compute '
            f'(--config-file).')
    manager = loading.load(options.image_cache_manager)
    if options.lvm_image_store != 'file':
        # LVM needs root, as which nova's daemon runs.
        from nova import utils
        from oslo_privsep import priv_context

        from cache_aware_sched.lvm import choosing
        priv_context.init(root_helper=utils.get_root_helper().split())
        manager.store = choosing.store_of(this_host)
    return manager.cache


def directory() -> str:
    """Return the directory of the cache, as the configuration has it."""
    from cache_aware_sched.imagecache import directory as directory_mod
    return directory_mod.cache_dir()


def place() -> str:
    """Return where the images are, as the configuration has it."""
    from cache_aware_sched import config
    if config.CONF.cache_aware_sched.lvm_image_store == 'file':
        return directory()
    return f'volume group {config.CONF.libvirt.images_volume_group}'


def this_host() -> str:
    """Return the name of the host, of which the configuration was read."""
    from cache_aware_sched import config
    return str(config.CONF.host)


def check_host() -> None:
    """See that nova knows this host.

    Of a host with another name, as without the ``host`` of nova-compute's
    nova.conf, nova tells no server: all images would seem unused.

    :raises nova.exception.ComputeHostNotFound: if it does not
    """
    from nova import context
    from nova import objects
    objects.Service.get_by_compute_host(
        context.get_admin_context(), this_host())


def check_user() -> None:
    """See that what the command writes is of the user of nova-compute.

    nova-compute could not lock a base file any more whose lock file is of
    another user.

    :raises RuntimeError: if it would not be
    """
    path = pathlib.Path(directory())
    owner = path.stat().st_uid
    if owner != os.geteuid():
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f'#{owner}'
        raise RuntimeError(
            f'{path} belongs to {name}: run the command as that user '
            f'(sudo -u {name} ...), else lock files would stay that '
            f'nova-compute cannot use')


@contextlib.contextmanager
def asking_conductor() -> Iterator[None]:
    """Have nova's objects ask the conductor over RPC, as nova-compute does.

    :raises NoAnswer: if an answer takes too long
    """
    from nova.conductor import rpcapi
    from nova import objects
    from nova.objects import base as objects_base
    from nova import rpc

    from cache_aware_sched import config
    rpc.init(config.CONF)
    objects.register_all()
    objects_base.NovaObject.indirection_api = Impatient(
        rpcapi.ConductorAPI())
    yield


class Impatient:
    """Asks somebody else, and waits for each answer for :data:`PATIENCE`.

    Where the message bus does not answer, oslo.messaging tries for ever. What
    is done with the answers, as the removal of a file, is not interrupted.

    :param asked: has a method for each question
    """

    def __init__(self, asked: Any) -> None:
        self._asked = asked

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a method that raises NoAnswer if it takes too long."""
        method = getattr(self._asked, name)

        def ask(*args: Any, **kwargs: Any) -> Any:
            signal.signal(signal.SIGALRM, _no_answer)
            signal.alarm(PATIENCE)
            try:
                return method(*args, **kwargs)
            finally:
                signal.alarm(0)
        return ask


def _no_answer(_number: int, _frame: FrameType | None) -> None:
    raise NoAnswer(f'there was no answer within {PATIENCE} s')
