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

"""How many servers of an image a host runs.

:mod:`.count` is asked. :mod:`.gathering` adds up what nova's scheduler knows
of the instances (:mod:`.memory`), what hosts report, and what was placed
moments ago (:mod:`.ledger`); only where that does not suffice, one query a
cell (:mod:`.cells`) answers. :mod:`.progress` is what a request has done so
far, and :mod:`.nova_choice` learns what nova has made of a decision.
"""
