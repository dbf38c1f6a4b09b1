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

"""How long a database of nova is waited for. No nova."""

import urllib.parse

import sqlalchemy as sa

#: Seconds for a connection, and without a byte of an answer. By default both
#: drivers wait for an answer for ever. Judgement: the slowest statement takes
#: 2 s with 1,000 hosts and 100,000 servers, so this one is stuck.
SECONDS = {'connect_timeout': 10, 'read_timeout': 30}

#: The drivers that know these names (PyMySQL 1.1, mysqlclient 2.2).
_DRIVERS = frozenset(('mysql', 'mysql+pymysql', 'mysql+mysqldb',
                      'mariadb', 'mariadb+pymysql', 'mariadb+mysqldb'))


def parameters(url: str, given: str | None) -> str:
    """Return the connection_parameters with which a database is given up.

    :param url: the address, which may have such options itself
    :param given: ``connection_parameters`` of nova's configuration
    """
    given = given or ''
    try:
        address = sa.make_url(url)
    except sa.exc.ArgumentError:
        return given  # who connects says so
    if address.drivername not in _DRIVERS:
        return given
    known = {*address.query, *urllib.parse.parse_qs(given)}
    return '&'.join(filter(None, [given, *(
        f'{name}={seconds}' for name, seconds in SECONDS.items()
        if name not in known)]))
