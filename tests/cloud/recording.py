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

"""Results of scenarios beside those of the other tests."""

from collections.abc import Sequence
import datetime

from stestr.repository import file

from tests.cloud import environment
from tests.cloud import playing

STATUS = {playing.PASSED: 'success', playing.FAILED: 'fail',
          playing.SKIPPED: 'skip'}


def record(results: Sequence[playing.Result],
           prefix: str = 'tests.cloud.') -> None:
    """Note each scenario as a test, and all as one run of stestr.

    :param prefix: before the name of each
    """
    factory, where = file.RepositoryFactory(), str(environment.CHECKOUT)
    if (environment.CHECKOUT / '.stestr').is_dir():
        repository = factory.open(where)
    else:
        repository = factory.initialise(where)
    inserter = repository.get_inserter()
    inserter.startTestRun()
    end = datetime.datetime.now(datetime.UTC)
    for one in results:
        name = f'{prefix}{one.name}'
        begin = end - datetime.timedelta(seconds=one.seconds)
        inserter.status(test_id=name, test_status='inprogress',
                        timestamp=begin)
        if one.why:
            inserter.status(test_id=name, file_name='why', eof=True,
                            mime_type='text/plain;charset=utf8',
                            file_bytes=one.why.encode(), timestamp=end)
        inserter.status(test_id=name, test_status=STATUS[one.outcome],
                        timestamp=end)
    inserter.stopTestRun()
