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

"""Options of ``cache_aware.FakeDriver``, which is for tests and trials."""

from oslo_config import cfg

from cache_aware_sched.conf import types

OPTIONS = [
    cfg.Opt(
        'fake_image_fetch_seconds',
        type=types.Finite(min=0, max=3600),
        default=0.0,
        help="""
How long ``cache_aware.FakeDriver`` takes to fetch an image it does not hold.

Read by ``nova-compute``.

For tests and trials only; no other driver reads it. While it fetches, the
image is reported as arriving.
"""),
]
