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

"""Say a thing once for its cause, however often it comes up.

What was said is remembered for the process: it is the process that has the
log.
"""

import collections
import logging
import threading

#: Causes that are remembered of each logger, and characters of each text in
#: them: what names a cause may come from outside. The oldest cause is said
#: again.
MAX_CAUSES, MAX_TEXT = 10_000, 200

_Log = logging.Logger | logging.LoggerAdapter[logging.Logger]
_Cause = tuple[object, ...]

#: The causes by the name of the logger, the oldest first.
_said: collections.defaultdict[str, dict[_Cause, None]] = (
    collections.defaultdict(dict))
_lock = threading.Lock()


def warning(log: _Log, cause: _Cause, message: str, *args: object) -> None:
    """Log a message as a warning if its cause was not seen before."""
    if _first(log, cause):
        log.warning(message, *args)


def error(log: _Log, cause: _Cause, message: str, *args: object) -> None:
    """Log a message as an error if its cause was not seen before."""
    if _first(log, cause):
        log.error(message, *args)


def info(log: _Log, cause: _Cause, message: str, *args: object) -> None:
    """Log a message as information if its cause was not seen before."""
    if _first(log, cause):
        log.info(message, *args)


def forget(log: _Log, cause: _Cause) -> None:
    """Say it again when the cause comes back."""
    with _lock:
        _said[log.name].pop(_cut(cause), None)


def forget_all() -> None:
    """Say everything again, as after a start of the process; for tests."""
    with _lock:
        _said.clear()


def _first(log: _Log, cause: _Cause) -> bool:
    cause = _cut(cause)
    with _lock:
        said = _said[log.name]
        if cause in said:
            return False
        if len(said) >= MAX_CAUSES:
            del said[next(iter(said))]
        said[cause] = None
        return True


def _cut(cause: _Cause) -> _Cause:
    return tuple(part[:MAX_TEXT] if isinstance(part, str) else part
                 for part in cause)
