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

"""Options of the weigher, of the filter and of the count they share."""

from oslo_config import cfg

from cache_aware_sched.conf import types

#: No weigher of nova needs more; it also keeps ``nan`` and ``inf`` out.
MULTIPLIER_BOUND = 1_000_000


MIN_CAP, MAX_CAP = 0, 100_000
DEFAULT_CAP = 10

#: With it about 40 % of what stock nova fetches, or less, is fetched, at its
#: vCPU imbalance plus about 0.05: see the page "Where the defaults are from".
DEFAULT_MULTIPLIER = 5.0

#: Of the weigher's mode and of the policy of the cap: change nothing, say what
#: would be.
OBSERVE = 'observe'

OPTIONS = [
    cfg.Opt(
        'image_cache_weight_multiplier',
        type=types.Finite(min=-MULTIPLIER_BOUND, max=MULTIPLIER_BOUND),
        default=DEFAULT_MULTIPLIER,
        help="""
How much a host that holds the requested image is preferred.

Read by ``nova-scheduler``.

The weight that is multiplied is absolute: 1.0 stands for everything that the
image cache could ever save a server, 0 for nothing. It fades to 0 on a host
that would become busier than the other candidates, and on one that runs
nearly as many servers of the image as the cap allows. The larger the
multiplier, the busier a host may become: in vCPUs up to half again as busy
as the average of the candidates, whatever the multiplier. The weights of
nova's own weighers add up, and a build that is not over, or whose end the
host has not reported yet, costs it 1.0: it takes more than 1 to outweigh
that. The default was chosen by replaying real arrivals of servers;
``cache-aware-sched simulate`` does so for your own cloud.

Possible values:

* 0: the weigher has no effect and does no work.
* A positive number: hosts that hold the image are preferred.
* A negative number: hosts that do not hold the image are preferred.

Can be overridden for the hosts of an aggregate by the metadata key
``image_cache_weight_multiplier``; of several values the smallest counts.

Related options:

* ``[filter_scheduler] weight_classes``
* ``[filter_scheduler] host_subset_size``, which must be 1
* ``image_cache_weigher_mode``
* ``max_same_image_instances_per_host``
"""),
    cfg.StrOpt(
        'image_cache_weigher_mode',
        default='enforce',
        choices=[
            ('enforce', 'Hosts that hold the image are preferred.'),
            ('observe', 'Hosts weigh what they weigh without the image '
                        'cache; the log says where each server would have '
                        'gone, and how long a fetch that saves.'),
        ],
        help="""
Whether ImageCacheWeigher changes where servers go.

Read by ``nova-scheduler``.

``observe`` is for a cloud in which the weigher is new.

Related options:

* ``image_cache_weight_multiplier``
* ``same_image_cap_policy``
"""),
    cfg.IntOpt(
        'max_same_image_instances_per_host',
        default=DEFAULT_CAP,
        min=MIN_CAP,
        max=MAX_CAP,
        help="""
How many servers of one image a host may run: the cap.

Read by ``nova-scheduler``, and by ``nova-compute`` for the late check.

ImageAntiAffinityFilter keeps to it, ImageCacheWeigher loses interest in a
host that nears it, and nova-compute checks it again before a server is
spawned. Servers that boot from a volume are neither counted nor capped.

Possible values:

* 0: no number; a share still caps.
* A positive number of servers.

Can be overridden, the later one of these winning: by the aggregate metadata
key ``max_same_image_instances_per_host`` (of several values the smallest
counts), by the flavor extra spec
``cache_aware_sched:max_same_image_instances_per_host``, and by the scheduler
hint ``max_same_image_instances_per_host``, which can only make it smaller.

Related options:

* ``[filter_scheduler] enabled_filters``
* ``same_image_scope``
* ``same_image_cap_policy``
* ``same_image_late_check``
"""),
    cfg.Opt(
        'max_same_image_share_per_host',
        type=types.Finite(min=0, max=1),
        default=0.0,
        help="""
Which share of all servers of one image a host may run.

Read by ``nova-scheduler``, and by ``nova-compute`` for the late check.

It is for an image with many servers. A host may run more of them than
``max_same_image_instances_per_host``, as long as it runs no more than the
share of all servers of the image, or no more than the candidate hosts run on
average. So in a cloud of few hosts a share refuses nothing that a fair
distribution would allow.

Possible values:

* 0: no share; only the number counts.
* A number up to 1, for instance 0.2: a fifth. If
  ``max_same_image_instances_per_host`` is 0, the share is the only cap.

Can be overridden as ``max_same_image_instances_per_host`` is: by the
aggregate metadata key ``max_same_image_share_per_host`` (of several values
the smallest counts), and by the flavor extra spec
``cache_aware_sched:max_same_image_share_per_host``.

Related options:

* ``max_same_image_instances_per_host``
* ``same_image_scope``
"""),
    cfg.StrOpt(
        'same_image_scope',
        default='all',
        choices=[
            ('all', 'Servers of all projects are counted together.'),
            ('project', 'Only servers of the same project are counted.'),
        ],
        help="""
Which servers count as servers of the same image.

Read by ``nova-scheduler``, and by ``nova-compute`` for the late check.

Related options:

* ``max_same_image_instances_per_host``
* ``max_same_image_share_per_host``
"""),
    cfg.StrOpt(
        'same_image_cap_policy',
        default='hard',
        choices=[
            ('hard', 'The request fails with NoValidHost.'),
            ('soft', 'The hosts with the fewest such servers are used.'),
            ('observe', 'No host is ruled out; the log says which hosts '
                        'would have been.'),
        ],
        help="""
What happens when every candidate host has reached the cap.

Read by ``nova-scheduler``, and by ``nova-compute`` for the late check.

With ``soft`` the cap is only kept as long as there is a host below it.
``observe`` is for a cloud in which the cap is new. With both nova-compute
does not check the cap again. An evacuation, a member of an affinity group,
and a move to a host that an administrator names are never refused.

Related options:

* ``max_same_image_instances_per_host``
* ``same_image_late_check``
"""),
    cfg.BoolOpt(
        'same_image_late_check',
        default=True,
        help="""
Check the cap once more on the compute host, just before a server is spawned.

Read by ``nova-compute``.

Several schedulers, or requests that come in the same instant, can choose the
same host before either sees the choice of the other. nova-compute then sends
the server that came last to another of its candidate hosts. Only new servers
are checked, and only with the ``hard`` policy.

A host only checks a cap if its nova.conf asks for one: if it sets
``max_same_image_instances_per_host``, ``max_same_image_share_per_host`` or
``same_image_cap_policy``, or enables ImageAntiAffinityFilter. The driver
alone does not bring a cap.

Related options:

* ``max_same_image_instances_per_host``
* ``same_image_cap_policy``
* ``[filter_scheduler] enabled_filters``
* ``[scheduler] max_attempts``
"""),
    cfg.IntOpt(
        'recent_placement_seconds',
        default=10,
        min=0,
        max=600,
        help="""
How long nova-scheduler remembers where it has just placed a server.

Read by ``nova-scheduler``.

A server that was placed a moment ago is in no table yet; without this memory
the requests that follow would be placed as if it did not exist, and its host
were as idle as before. When the host shows the server, it is forgotten.

Possible values:

* 0: do not remember.
* A number of seconds; longer than it takes a compute to claim a server. One
  that builds ``[DEFAULT] max_concurrent_builds`` servers already claims the
  next when one of them is done: if the cap is above that, take as long as
  the fetch of a large image. Otherwise servers beyond the cap are sent to a
  host that is fetching, refused by the late check, and may run out of hosts.

Related options:

* ``max_same_image_instances_per_host``
* ``[DEFAULT] max_concurrent_builds``
"""),
]
