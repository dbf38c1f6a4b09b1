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

"""The application: its commands are entry points of ``cache_aware_sched.cli``.

Nothing here, and nothing that a command needs for its help, imports nova:
that takes seconds.
"""

import importlib.metadata
import logging
import sys
from typing import cast
from typing import TextIO

from cliff import app
from cliff import commandmanager

from cache_aware_sched.cli.plain import PlainStream

DISTRIBUTION = 'cache-aware-sched'
NAMESPACE = 'cache_aware_sched.cli'

#: The exit status after Ctrl-C: 128 and the number of the signal.
INTERRUPTED = 130

#: What the package and nova log is shown from these levels on, by how often
#: ``--verbose`` is given. Each decision of the scheduler is an INFO line, and
#: at DEBUG nova's handlers take several times as long.
_LEVELS = {2: logging.INFO}


class CacheAwareSched(app.App):
    """The application.

    :ivar argv: its arguments
    """

    NAME = DISTRIBUTION
    LOG = logging.getLogger(DISTRIBUTION)

    def __init__(self) -> None:
        super().__init__(
            description='Image-cache-aware scheduling for OpenStack Compute.',
            version=importlib.metadata.version(DISTRIBUTION),
            command_manager=commandmanager.CommandManager(NAMESPACE),
            deferred_help=True, stdout=cast(TextIO, PlainStream(sys.stdout)),
            stderr=cast(TextIO, PlainStream(sys.stderr)))
        self.argv: list[str] = []

    def configure_logging(self) -> None:
        """Have nothing logged that nobody sees: it would only cost time."""
        super().configure_logging()
        verbose = self.options.verbose_level
        logging.getLogger().setLevel(
            _LEVELS.get(verbose, logging.DEBUG) if verbose > 1
            else logging.WARNING)

    def run(self, argv: list[str]) -> int:
        """Run a command; without one say which there are."""
        self.argv = argv
        status = super().run(argv or ['--help'])
        if status == INTERRUPTED:
            self.stderr.write('Interrupted.\n')
        return status


def main(argv: list[str] | None = None) -> int:
    """Run the application; return its exit status.

    :param argv: the arguments; without them those of the process
    """
    return CacheAwareSched().run(sys.argv[1:] if argv is None else argv)
