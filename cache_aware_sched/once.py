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

"""Say a thing once for its cause, however often it comes up."""

import logging

#: Causes that are remembered, and characters of each text in them: what names
#: a cause may come from outside. The oldest cause is said again.
MAX_CAUSES, MAX_TEXT = 10_000, 200


class Once:
    """Logs a message the first time its cause is seen.

    :param log: where the messages go
    """

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[
            logging.Logger]) -> None:
        self._log = log
        self._seen: dict[tuple[object, ...], None] = {}

    def warning(self, cause: tuple[object, ...], message: str,
                *args: object) -> None:
        """Log ``message`` as a warning if ``cause`` was not seen before."""
        if self._first(cause):
            self._log.warning(message, *args)

    def info(self, cause: tuple[object, ...], message: str,
             *args: object) -> None:
        """Log ``message`` as information if ``cause`` was not seen before."""
        if self._first(cause):
            self._log.info(message, *args)

    def forget(self, cause: tuple[object, ...]) -> None:
        """Warn again when ``cause`` comes back."""
        self._seen.pop(_cut(cause), None)

    def _first(self, cause: tuple[object, ...]) -> bool:
        cause = _cut(cause)
        if cause in self._seen:
            return False
        if len(self._seen) >= MAX_CAUSES:
            self._seen.pop(next(iter(self._seen)), None)
        self._seen[cause] = None
        return True


def _cut(cause: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(part[:MAX_TEXT] if isinstance(part, str) else part
                 for part in cause)
