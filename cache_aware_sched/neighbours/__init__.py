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

"""Copies images from other hosts while Glance is down.

``fetch_from_hosts = outage``. The one door is :mod:`.fetching`:

- :mod:`.holders` asks the conductor which hosts report an image,
- :mod:`.sources` has the order in which they are tried; no nova,
- :mod:`.sending` holds a place at the host that sends, over ssh,
- :mod:`.watching` ends a copy that does not go on,
- :mod:`.copying` makes one copy, and looks at it before it gets its name.

Who copies holds nova's lock of that base file on its own host, and waits for
no lock of another host. So two hosts that copy from each other do not wait
for each other.
"""
