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

"""Images as logical volumes of the volume group that holds the disks.

With ``images_type = lvm`` nova keeps each image as a file and copies that into
every disk. ``[cache_aware_sched] lvm_image_store`` has the image kept as a
volume beside the disks, for the same managers, limits and reports.
"""
