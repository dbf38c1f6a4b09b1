#!/usr/bin/env python3
# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.
"""Total the test runs that stestr recorded, as "N passed, N failed".

What failed is named before that, with the end of its traceback: often only
the last lines of a run are kept.

Run in an environment with stestr. Only runs with a number from FIRST on
count. A test that started and never ended has failed, and so has a whole
suite that left no run behind. Expected failures are passes, unexpected
successes failures; skipped tests are neither.
"""

import argparse
import collections
import functools
import pathlib
from typing import Any

from stestr.repository import file
import testtools

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINES = 12
OUTCOMES = {
    "success": "passed",
    "xfail": "passed",
    "skip": "skipped",
    "fail": "failed",
    "uxsuccess": "failed",
    "inprogress": "failed",
    "unknown": "failed",
}


def count(total: collections.Counter[str], test: dict[str, Any]) -> None:
    """Count a test, and show it if it failed."""
    outcome = OUTCOMES[test["status"]]
    total[outcome] += 1
    if outcome == "failed":
        print(f"{test['status']}: {test['id']}")
        for name, content in test["details"].items():
            if name.startswith("traceback"):
                for line in content.as_text().splitlines()[-LINES:]:
                    print(f"    {line}")


def main() -> None:
    """Print what failed, was skipped or is missing, then the totals alone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("first", type=int, help="first run that counts")
    parser.add_argument("runs", type=int, help="how many runs there must be")
    options = parser.parse_args()

    total = collections.Counter[str]()
    result = testtools.StreamToDict(functools.partial(count, total))
    recorded = 0
    if (ROOT / ".stestr").is_dir():
        repository = file.RepositoryFactory().open(str(ROOT))
        for run in repository.get_run_ids():
            if int(run) >= options.first:
                recorded += 1
                result.startTestRun()
                repository.get_test_run(run).get_test().run(result)
                result.stopTestRun()

    missing = max(options.runs - recorded, 0)
    if missing:
        print(f"{missing} of {options.runs} test suites recorded no run")
    if total["skipped"]:
        print(f"{total['skipped']} skipped")
    print(f"{total['passed']} passed, {total['failed'] + missing} failed")


if __name__ == "__main__":
    main()
