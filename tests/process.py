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

"""What a process remembers beyond the objects that nova makes."""

from cache_aware_sched.api import image_records
from cache_aware_sched.decision_log import writer
from cache_aware_sched import once
from cache_aware_sched.scheduler.same_image import count


def forget():
    """Be as after a start of the process.

    Here is all of it. What else is kept for a process, such as what
    ``functools.lru_cache`` keeps, only saves time.
    """
    once.forget_all()
    image_records.forget()
    count.share(None)
    writer.share(None)
