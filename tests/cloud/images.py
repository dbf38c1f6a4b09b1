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

"""Images in glance: made, uploaded and deleted."""

import hashlib
import pathlib
import tempfile

from openstack import connection as sdk_connection

from tests.cloud import disk
from tests.cloud import service as service_mod


class Images:
    """The images of a cloud."""

    def __init__(self, connection: sdk_connection.Connection,
                 scratch: pathlib.Path) -> None:
        self._sdk = connection
        self._scratch = scratch

    def upload(self, name: str, size: int = disk.MIB, kind: str = 'raw',
               text: str | None = None) -> str:
        """Upload a bootable image; return its id.

        :param size: bytes of the disk. All of a raw one is sent, and takes
            up as much on a host; of a qcow2 one next to nothing is.
        :param kind: raw or qcow2
        :param text: what its guest prints, by default its name
        """
        with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
            path = pathlib.Path(directory, 'raw')
            disk.write(path, text or name, size)
            if kind == 'qcow2':
                disk.to_qcow2(path, path.with_name('qcow2'))
                path = path.with_name('qcow2')
            return self._send(name, kind, path)

    def _send(self, name: str, kind: str, path: pathlib.Path) -> str:
        glance = self._sdk.image
        made = glance.post('/images', json={
            'name': name, 'disk_format': kind, 'container_format': 'bare'})
        _check(made.status_code, made.text)
        image_id = str(made.json()['id'])
        with path.open('rb') as data:
            sent = glance.put(
                f'/images/{image_id}/file', data=data,
                headers={'Content-Type': 'application/octet-stream'})
        _check(sent.status_code, sent.text)
        return image_id

    def names(self) -> list[str]:
        """Return the names of all images."""
        return [str(one.name) for one in self._sdk.image.images()]

    def delete(self, *image_ids: str) -> None:
        """Delete images."""
        for image_id in image_ids:
            self._sdk.image.delete_image(image_id)

    def delete_all(self) -> None:
        """Delete all images."""
        self.delete(*(str(one.id) for one in self._sdk.image.images()))


def sha1(image_id: str) -> str:
    """Return the name of an image's file in a host's cache."""
    return hashlib.sha1(image_id.encode(), usedforsecurity=False).hexdigest()


def _check(status: int, text: str) -> None:
    if status >= 400:
        raise service_mod.Failed(f'glance: {status} {text}')
