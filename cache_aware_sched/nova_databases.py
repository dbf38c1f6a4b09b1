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

"""nova's databases, for reading only.

Every statement is a SELECT, each in a short transaction that the database
server itself keeps from writing. No locks are asked for, and none is held
while rows are worked on.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import re
from typing import Any

import nova.conf
from nova import config as nova_config
from nova.db.api import api as api_db
from nova.db.main import api as main_db
from nova.objects import cell_mapping
from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_db.sqlalchemy import enginefacade
import sqlalchemy as sa

from cache_aware_sched import database_patience
from cache_aware_sched.database_secrets import conf_error
from cache_aware_sched.database_secrets import masked
from cache_aware_sched.database_secrets import silent
from cache_aware_sched.database_secrets import without_password

CONF = nova.conf.CONF

#: What makes a transaction one that cannot write, as its first statement.
#: MySQL 5.6 and MariaDB 10.0 or later; PostgreSQL. There is none for SQLite,
#: which no cloud uses.
READ_ONLY = {
    'mysql': 'START TRANSACTION READ ONLY',
    'mariadb': 'START TRANSACTION READ ONLY',
    'postgresql': 'SET TRANSACTION READ ONLY',
}

_CELL_MAPPINGS = sa.table(
    'cell_mappings', sa.column('id'), sa.column('uuid'), sa.column('name'),
    sa.column('database_connection'), sa.column('disabled'))

#: What nova puts into the address of a cell (nova.objects.cell_mapping,
#: _format_url, nova 34.0.0). A password may have other braces.
_TEMPLATE = re.compile(
    r'\{(username\d*|password\d*|hostname\d*|port\d*|scheme|path|query|'
    r'fragment|default_port)\}')


class Unreadable(Exception):
    """nova's databases cannot be read; the message has no password."""


@dataclasses.dataclass(frozen=True, slots=True)
class Database:
    """A database of nova.

    :param name: for messages
    :param manager: what nova makes its sessions with
    :param url: its address
    :param disabled: whether it is of a cell that gets no servers any more
    :param cell: its cell's name, or its uuid without one of its own
    :param uuid: of the cell
    """

    name: str
    manager: Any
    url: str = dataclasses.field(repr=False)
    disabled: bool = False
    cell: str = ''
    uuid: str = ''

    def select(self, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        """Return all rows of a statement, in a transaction of its own.

        :raises Unreadable: if the database does not answer
        """
        # The engine is made here, when it is used first.
        with (_told(self.name, self.url), silent(),
              _transaction(self.manager) as connection):
            return connection.execute(statement).all()


@contextlib.contextmanager
def _told(name: str, url: str) -> Iterator[None]:
    """Say what is the matter with a database, without its password."""
    try:
        yield
    except (db_exc.DBError, sa.exc.SQLAlchemyError, ImportError) as error:
        # The first line: the rest is the statement.
        reason = str(error).partition('\n')[0]
        raise Unreadable(
            f'{name} at {without_password(url)} cannot be read: '
            f'{masked(reason, url)}') from None
    except Exception as error:
        # Of the driver, about what follows the ? in the address.
        raise Unreadable(
            f'{name} at {without_password(url)} cannot be read: its driver '
            f'raises {type(error).__name__}. Look at the options that follow '
            'the ? in the address.') from None


@contextlib.contextmanager
def _transaction(manager: Any) -> Iterator[sa.Connection]:
    # Not reader.using(): what follows must be the first statement.
    with manager.reader.get_engine().connect() as connection:
        begin = READ_ONLY.get(connection.dialect.name)
        if begin:
            connection.exec_driver_sql(begin)
        try:
            yield connection
        finally:
            connection.rollback()


def configure(config_files: Sequence[str]) -> None:
    """Read nova's configuration into nova.conf.CONF, as nova-manage does.

    :param config_files: paths; without any, those that nova itself finds
    :raises Unreadable: if one cannot be read
    """
    try:
        CONF.clear()  # options cannot be registered after a first reading
        nova_config.parse_args(
            ['cache-aware-sched'], init_rpc=False,
            default_config_files=list(config_files) or None)
    except (cfg.Error, ValueError, OSError) as error:
        raise Unreadable(
            f"nova's configuration cannot be read: {conf_error(error)}"
        ) from None


def address(text: str) -> str:
    """Return the address of a database.

    :param text: itself, or the path of a file in the format of nova.conf that
        has it as ``[database] connection``
    :raises Unreadable: if the file cannot be read, or has none
    """
    if '://' in text:
        return text
    found = cfg.ConfigOpts()
    found.register_opt(cfg.StrOpt('connection', secret=True), 'database')
    try:
        # The file was asked for; what the environment has is for nova's own.
        found([], default_config_files=[text], default_config_dirs=[],
              use_env=False)
        url = found.database.connection
    except (cfg.Error, ValueError) as error:
        raise Unreadable(
            f'{text} cannot be read: {conf_error(error)}') from None
    if not url:
        raise Unreadable(f'{text} has no connection in [database]')
    return str(url)


def api_database() -> Database:
    """Return the API database of the configuration.

    :raises Unreadable: if there is none in it
    """
    try:
        connection = CONF.api_database.connection
    except (cfg.Error, ValueError) as error:
        raise Unreadable("nova's configuration cannot be read: connection in "
                         f'[api_database]: {conf_error(error)}') from None
    if not connection:
        files = ', '.join(getattr(CONF, 'config_file', None) or ())
        raise Unreadable("nova's configuration has no connection in "
                         f'[api_database] ({files or "no file was found"})')
    return Database('the API database', _impatient(
        api_db.context_manager, connection, CONF.api_database), connection)


def cells(api: Database, instead: Sequence[tuple[str, str]],
          ) -> list[Database]:
    """Return the databases of the cells, without that of cell0.

    In cell0 are the servers for which no host was found.

    :param instead: name or uuid of a cell, and the :func:`address` to use
        for it
    :raises Unreadable: if there is no such cell, or none at all, or the
        address cannot be read
    """
    mappings = api.select(sa.select(_CELL_MAPPINGS).where(
        _CELL_MAPPINGS.c.uuid != cell_mapping.CellMapping.CELL0_UUID,
    ).order_by(_CELL_MAPPINGS.c.id))
    if not mappings:
        raise Unreadable('the API database has no cell but cell0')
    addresses: dict[str, str] = {}
    for name, text in instead:
        fitting = [mapping.uuid for mapping in mappings
                   if name in (mapping.name, mapping.uuid)]
        if name in addresses or len(fitting) > 1:
            raise Unreadable(
                f'which address is that of cell {name}? Name each cell by its '
                f'uuid, and once: {", ".join(fitting)}')
        addresses[name] = address(text)
    unknown = set(addresses) - {
        name for mapping in mappings for name in (mapping.name, mapping.uuid)}
    if unknown:
        raise Unreadable(
            f'there is no cell {", ".join(sorted(unknown))}; there is '
            + ', '.join(mapping.name or mapping.uuid for mapping in mappings))
    return [_cell(mapping, addresses.get(mapping.name)
                  or addresses.get(mapping.uuid),
                  sum(mapping.name == one.name for one in mappings) == 1)
            for mapping in mappings]


class KeptDatabases:
    """The databases of a cloud, asked for again and again.

    Cells come and go; those that stay keep their connections.

    :param instead: see :func:`cells`
    """

    def __init__(self, instead: Sequence[tuple[str, str]] = ()) -> None:
        self._instead = instead
        self._cells: dict[tuple[str, str, str], Database] = {}

    def __call__(self) -> tuple[Database, list[Database]]:
        """Return the API database and those of the cells.

        :raises Unreadable: as :func:`api_database` and :func:`cells`
        """
        api = api_database()
        self._cells = {
            (key := (cell.uuid, cell.cell, cell.url)):
            self._cells.get(key, cell) for cell in cells(api, self._instead)}
        return api, list(self._cells.values())


def cell0(api: Database) -> Database | None:
    """Return the database of the servers for which no host was found.

    :returns: None if there is none
    :raises Unreadable: if its address cannot be read
    """
    mappings = api.select(sa.select(_CELL_MAPPINGS).where(
        _CELL_MAPPINGS.c.uuid == cell_mapping.CellMapping.CELL0_UUID))
    return _cell(mappings[0], None) if mappings else None


def _cell(mapping: sa.Row[Any], instead: str | None,
          has_name: bool = True) -> Database:
    """Return the database of a cell.

    :param has_name: whether no other cell has its name: nova lets them
    """
    name = f'cell {mapping.name or ""} ({mapping.uuid})'.replace('  ', ' ')
    with silent():
        url = instead or cell_mapping.CellMapping.format_db_url(
            mapping.database_connection)
    if not instead and _TEMPLATE.search(url):
        raise Unreadable(f'the address of {name} is a template of '
                         '[database] connection, which is not set or cannot '
                         'be parsed')
    with _told(name, url), silent():
        manager = _impatient(
            main_db.create_context_manager(url), url, CONF.database)
    return Database(name, manager, url, bool(mapping.disabled),
                    (has_name and mapping.name) or mapping.uuid, mapping.uuid)


def _impatient(manager: Any, url: str, options: Any) -> Any:
    """Let a manager say soon that a database does not answer.

    By default oslo.db tries for 100 seconds, as befits a service, and its
    drivers wait for an answer for ever.

    :param options: the group of nova's configuration
    """
    with contextlib.suppress(enginefacade.AlreadyStartedError):
        manager.configure(
            max_retries=0, connection_parameters=database_patience.parameters(
                url, options.connection_parameters))
    return manager
