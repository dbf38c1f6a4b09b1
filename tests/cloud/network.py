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

"""A network service with nothing in it, so that neutron need not be installed.

Enough of its API for servers that are booted without networks: every list is
empty, and nothing can be created. It is run as a script.
"""

import argparse
import http.server
import json
import sys
import time
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        """Return the versions, or an empty list."""
        path = urllib.parse.urlparse(self.path).path.strip('/')
        parts = path.removesuffix('.json').split('/')
        if parts[0] == '' or parts == ['v2.0']:
            host = self.headers.get('Host', '127.0.0.1')
            self._send(200, {'versions': [{
                'id': 'v2.0', 'status': 'CURRENT',
                'links': [{'rel': 'self', 'href': f'http://{host}/v2.0/'}]}]})
        elif len(parts) == 2:
            self._send(200, {parts[1].replace('-', '_'): []})
        elif parts[1:2] == ['quotas']:
            self._send(200, {'quota': {}})
        else:
            self._refuse(404, 'NotFound')

    def do_POST(self) -> None:
        """Refuse."""
        # What is left unread would be taken for the next request.
        self.rfile.read(int(self.headers.get('Content-Length') or 0))
        self._refuse(409, 'Conflict')

    def do_PUT(self) -> None:
        """Refuse."""
        self.do_POST()

    def do_DELETE(self) -> None:
        """Refuse."""
        self.do_POST()

    def log_message(self, format: str, *arguments: object) -> None:
        """Write a line to the log."""
        sys.stderr.write(
            f'{time.strftime("%H:%M:%S")} {format % arguments}\n')

    def _refuse(self, status: int, kind: str) -> None:
        self._send(status, {'NeutronError': {
            'type': kind, 'detail': '',
            'message': 'this cloud has no networks'}})

    def _send(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('port', type=int)
    port = parser.parse_args().port
    http.server.ThreadingHTTPServer(
        ('127.0.0.1', port), Handler).serve_forever()


if __name__ == '__main__':
    main()
