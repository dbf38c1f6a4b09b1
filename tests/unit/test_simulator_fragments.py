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

from cache_aware_sched.simulator.real_nova import fragments
from tests.unit import base

OURS = 'cache_aware_sched'
CAP = 'max_same_image_instances_per_host'

#: A nova.conf as deployment tools write it: half of it is not nova's own.
WHOLE = """
[DEFAULT]
transport_url = rabbit://nova:secret@mq//
debug = true
my_ip = 192.0.2.1
[filter_scheduler]
enabled_filters = ComputeFilter
[keystone_authtoken]
auth_url = http://keystone
username = nova
[oslo_concurrency]
lock_path = $state_path/tmp
[oslo_messaging_rabbit]
amqp_durable_queues = true
[placement]
auth_type = password
username = placement
"""


class TestRead(base.TestCase):

    def test_options(self):
        fragment = f'''
# As in nova.conf.
[{OURS}]
{CAP} = 3
protected_images = a,
  b
[DEFAULT]
max_concurrent_builds: 7
'''

        self.assertEqual(
            {(OURS, CAP): '3', (OURS, 'protected_images'): 'a,\nb',
             ('DEFAULT', 'max_concurrent_builds'): '7'},
            fragments.read(fragment))

    def test_last_one_of_several_lines_counts(self):
        self.assertEqual(
            {(OURS, CAP): '2'},
            fragments.read(f'[{OURS}]\n{CAP} = 1\n{CAP} = 2'))

    def test_option_that_may_come_twice(self):
        key = 'filter_scheduler', 'available_filters'

        self.assertEqual({key: ['a', 'b']}, fragments.read(
            '[filter_scheduler]\navailable_filters = a\n'
            'available_filters = b'))

    def test_nothing(self):
        self.assertEqual({}, fragments.read(''))

    def test_mistakes(self):
        for fragment, message in (
                (f'[{OURS}]\nmax_same = 3', f'[{OURS}] max_same is not an'),
                ('[filter_schedule]\nx = 3', '[filter_schedule] x is not an'),
                (f'{CAP} = 3', f'line 1: {CAP} is in no section'),
                (f'[{OURS}]\nnonsense', 'line 2: '),
                (f'[{OURS}', 'line 1: ')):
            error = self.assertRaises(
                fragments.BadFragment, fragments.read, fragment)

            self.assertIn(message, str(error))

    def test_all_of_a_nova_conf(self):
        """The libraries' options have no effect, but they are no mistakes."""
        found = fragments.read(WHOLE)

        self.assertEqual(
            [('DEFAULT', 'my_ip'), ('filter_scheduler', 'enabled_filters'),
             ('placement', 'auth_type'), ('placement', 'username')],
            list(found))

    def test_every_way_to_log_in_to_other_services(self):
        self.assertEqual({('neutron', 'auth_type'): 'v3totp'}, fragments.read(
            '[neutron]\nauth_type = v3totp\npasscode = 1\n'
            'application_credential_id = a'))
        self.assertRaises(fragments.BadFragment, fragments.read,
                          '[filter_scheduler]\npasscode = 1')

    def test_no_line_in_a_message(self):
        for text in ('[a]\ns3cret', '[s3cret', '  s3cret', '[a]\n= s3cret'):
            error = self.assertRaises(
                fragments.BadFragment, fragments.read, text)

            self.assertNotIn('s3cret', str(error))


class TestShown(base.TestCase):
    """Of a nova.conf everything may be a secret."""

    HIDING = """
[DEFAULT]
transport_url = rabbit://nova:s3cret@a:5672,nova:s3cret@b:5672/?x=s3cret
# s3cret
[api_database]
connection = mysql://nova:s3cret@db/nova
  ?continued=s3cret
[keystone_authtoken]
passphrase_of_a_key = s3cret
[neutron]
password: s3cret
metadata_proxy_shared_secret = s3cret
[vnc]
novncproxy_base_url = http://u@x:s3cret@h/vnc?token=ab's3cret
[pci]
alias = {"name": "http://u:s3cret x@h"}
[filter_scheduler]
host_subset_size = 3
"""

    def test_nothing_that_may_be_one(self):
        text = fragments.shown_text(self.HIDING)

        self.assertNotIn('s3cret', text)
        self.assertIn('host_subset_size = 3', text)
        self.assertIn('novncproxy_base_url = http://u:***@h/vnc?***', text)
        self.assertIn('metadata_proxy_shared_secret = ***', text)

    def test_what_can_be_printed_for_a_nova_conf(self):
        found, others = fragments.public(self.HIDING)

        self.assertEqual({('filter_scheduler', 'host_subset_size'): '3'},
                         found)
        self.assertEqual(7, others)


class TestLines(base.TestCase):

    def test_what_is_written_is_what_was_read(self):
        options = fragments.read(
            '[filter_scheduler]\navailable_filters = a\navailable_filters = b'
            f'\n[{OURS}]\nprotected_images = a,\n  b\n{CAP} = 3')

        lines = fragments.lines(options)

        self.assertEqual(
            {'filter_scheduler': ['available_filters = a',
                                  'available_filters = b'],
             OURS: ['protected_images = a,\n  b', f'{CAP} = 3']}, lines)
        self.assertEqual(options, fragments.read('\n'.join(
            line for section, ones in lines.items()
            for line in (f'[{section}]', *ones))))

    def test_lists(self):
        key = 'filter_scheduler', 'enabled_filters'

        self.assertEqual({key[0]: ['enabled_filters = a,b']},
                         fragments.lines({key: ['a', 'b']}))
