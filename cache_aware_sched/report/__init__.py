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

"""The report: what a compute host says about its image cache.

One string under the key :data:`STATS_KEY` of the compute node's stats, and the
only thing that the compute half and the scheduler half of this package have in
common::

    v=1;w=16;c=1;n=120;k=100;t=1;r=128;i=40|<records>

==== ================================================================
v    version; a reader that does not know it reads nothing
w    characters a record; a reader ignores what is beyond its own 16
c    1 if this host caches images at all, 0 if not (rbd)
n    images in the cache, listed or not
k    records that follow
t    1 if some did not fit
r    how fast images were fetched lately in MB/s, a power of two; 0 if
     nothing is known
i    servers on the host, whatever they were made of; may be left out
p    images in the cache that are protected
f    free room of the file system of the cache in GiB, coarsely
m    the image cache manager
l    the cap of the late check: number, share, policy, scope, and 1 if the
     host checks it; - if the nova.conf of the host asks for no cap
s    version of this package
e    release of nova
x    1, 0 or ? (unknown) each: whether the file system of the cache has
     reflinks; whether the cache has a device of its own
q    critical images of the host, how many of these it does not hold, and 1
     if one does not fit in, 2 if the host keeps none (rbd), else 0
b    GiB, coarsely, that can be fetched without anything being evicted; 1 if
     the host evicts images to make room, else 0
==== ================================================================

The fields from p on are for people and checks, :class:`HostFacts`. Each may be
left out, and all are where the header would have no room for them: they never
make a report unreadable. Their texts have letters, digits and ``._+-``, at
most 24 characters.

A reader ignores fields it does not know, in any order. A record stands for
one base file, in characters of base64 (6 bits each):

===== =============================================================
0-11  the first 9 bytes of the sha1 of the image id
12-13 size in MiB: 5 bits exponent, 7 bits mantissa (below 1 %)
14    lower 6 bits of the number of instances here that use the image
15    2 bits :class:`FileKind`, 4 upper bits of that number
===== =============================================================

The records are sorted, so that the report does not change while nothing else
does, and those of one image are neighbours. They are never decoded as a whole:
an image is found by bisection and ``str.find``. 9 bytes are exactly 12
characters; that two of a million images share them has a probability of 1e-10.
"""

from cache_aware_sched.report.facts import HostFacts
from cache_aware_sched.report.facts import NO_ROOM
from cache_aware_sched.report.facts import NOT_KEPT
from cache_aware_sched.report.facts import ReportedCap
from cache_aware_sched.report.facts import TROUBLES
from cache_aware_sched.report.facts import UNKNOWN_FACTS
from cache_aware_sched.report.reader import Found
from cache_aware_sched.report.reader import Holding
from cache_aware_sched.report.reader import Report
from cache_aware_sched.report.reader import ReportHeader
from cache_aware_sched.report.reader import UnreadableReport
from cache_aware_sched.report.records import BaseFile
from cache_aware_sched.report.records import FileKind
from cache_aware_sched.report.records import image_key
from cache_aware_sched.report.records import image_sha1
from cache_aware_sched.report.records import MAX_USERS
from cache_aware_sched.report.records import RECORD_CHARS
from cache_aware_sched.report.records import sha1_key
from cache_aware_sched.report.records import size_code
from cache_aware_sched.report.records import size_of_code
from cache_aware_sched.report.records import VERSION
from cache_aware_sched.report.writer import encode

STATS_KEY = 'cached_images'

#: Why a host has no report, if it does not even have a damaged one.
NO_REPORT = 'its driver reports none: see compute_driver'

#: The name by which drivers know what a file is.
Kind = FileKind

__all__ = [
    'MAX_USERS',
    'NOT_KEPT',
    'NO_REPORT',
    'NO_ROOM',
    'RECORD_CHARS',
    'STATS_KEY',
    'TROUBLES',
    'UNKNOWN_FACTS',
    'VERSION',
    'BaseFile',
    'FileKind',
    'Found',
    'Holding',
    'HostFacts',
    'Kind',
    'Report',
    'ReportHeader',
    'ReportedCap',
    'UnreadableReport',
    'encode',
    'image_key',
    'image_sha1',
    'sha1_key',
    'size_code',
    'size_of_code',
]
