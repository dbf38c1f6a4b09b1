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

"""A measure that is reported in steps, so that the report does not flutter."""

#: Steps that a measure moves before another one is reported: half a step
#: would be rounding, and a measure between two steps would flutter.
STICKY = 0.75


class Steady:
    """Follows a measure in whole steps.

    :ivar step: that is reported; None before the first measure
    """

    def __init__(self) -> None:
        self.step: int | None = None

    def follow(self, steps: float) -> int:
        """Return the step to report.

        :param steps: the measure, as a number of steps
        """
        if self.step is None or abs(steps - self.step) > STICKY:
            self.step = round(steps)
        return self.step
