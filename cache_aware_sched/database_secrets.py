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

"""Keeps the secrets of nova's databases out of messages and logs."""

from collections.abc import Iterator
import contextlib
import logging

from nova.objects import cell_mapping
from oslo_config import cfg
import sqlalchemy as sa

from cache_aware_sched import masking

#: Loggers that get addresses with all that is in them: format_db_url, and
#: create_engine (nova 34.0.0, oslo.db 17.2.0 and 18.1.0).
_LOG_ADDRESSES = (cell_mapping.__name__, 'oslo_db.sqlalchemy.engines')


def conf_error(error: Exception) -> str:
    """Return why a nova.conf cannot be read, but none of its lines."""
    if isinstance(error, cfg.ConfigFileParseError):
        return f'{error.config_file} is not in the format of nova.conf'
    if isinstance(error, (cfg.NoSuchOptError, cfg.NoSuchGroupError,
                          cfg.TemplateSubstitutionError)):
        # It names what follows the $, which may be the end of a password.
        return 'a value has a $ that stands for no option: write $$ for $'
    if isinstance(error, UnicodeDecodeError):
        return 'a file is no text in UTF-8'
    return masking.masked(str(error))


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep what logs an address from doing so: nova, and oslo.db."""
    loggers = [logging.getLogger(name) for name in _LOG_ADDRESSES]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def without_password(url: str) -> str:
    """Return an address that may be shown."""
    try:
        # Without the options after it, of which any may be a secret.
        return sa.make_url(url).set(query={}).render_as_string(
            hide_password=True)
    except sa.exc.ArgumentError:
        return 'an address that is none'


def masked(reason: str, url: str) -> str:
    """Return a reason without the password of an address."""
    try:
        password = sa.make_url(url).password
    except sa.exc.ArgumentError:
        return 'it cannot be parsed'
    return reason.replace(str(password), '***') if password else reason
