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

"""``cache-aware-sched-status upgrade check``, as every OpenStack project has.

The checks of ``cache-aware-sched check``, for the automation of upgrades: in
the table of oslo.upgradecheck, and with its exit status, where a warning is 1.
"""

import datetime
import logging
import sys
from typing import Any
import warnings

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from cache_aware_sched.checks import catalog
from cache_aware_sched.checks.check import CheckFinding
from cache_aware_sched.checks.check import Level
from cache_aware_sched.checks.check import run
from cache_aware_sched.cli import plain

ERROR = 255

_CODES = {Level.OK: upgradecheck.Code.SUCCESS,
          Level.SKIPPED: upgradecheck.Code.SUCCESS,
          Level.WARN: upgradecheck.Code.WARNING,
          Level.FAIL: upgradecheck.Code.FAILURE}


class UpgradeChecks(upgradecheck.UpgradeCommands):
    """The checks, as oslo.upgradecheck runs them.

    :param conf: has the configuration files in ``config_file``
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__()
        self._conf = conf

    def check(self) -> Any:
        """Gather once, and show what each check finds.

        :returns: a Code, or 255 if nova's databases cannot be read
        """
        with warnings.catch_warnings():
            # Of libraries that nova imports.
            warnings.simplefilter('ignore')
            from cache_aware_sched.checks import gathering
            from cache_aware_sched import nova_databases
            try:
                set_up = gathering.from_cloud(
                    self._conf.config_file or (), (),
                    datetime.datetime.now(datetime.UTC).replace(tzinfo=None))
            except nova_databases.Unreadable as error:
                sys.stderr.write(f'{plain.line(str(error))}\n')
                return ERROR
        self._upgrade_checks = tuple(
            (f'{one.check.code} {one.check.title}', _result_of(one))
            for one in run(catalog.ALL, set_up))
        return super().check()


def _result_of(finding: CheckFinding) -> Any:
    outcome = finding.outcome
    details = None
    if outcome.level >= Level.WARN:
        details = (f'{outcome.text}. {finding.check.why} {outcome.mend} '
                   f'See {finding.check.link}.')
    return lambda _: upgradecheck.Result(
        _CODES[outcome.level], details and plain.line(details))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status.

    :param argv: the arguments; without them those of the process
    """
    logging.basicConfig(level=logging.WARNING)
    conf = cfg.ConfigOpts()
    status: int = upgradecheck.main(
        conf, 'nova', UpgradeChecks(conf),
        argv=sys.argv[1:] if argv is None else argv)
    return status
