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

import argparse
import dataclasses
import io
import string

import hypothesis
from hypothesis import strategies

from cache_aware_sched.cli import arguments
from cache_aware_sched.cli import policies
from cache_aware_sched.cli import progress
from cache_aware_sched.simulator.input import options
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.results import columns
from cache_aware_sched.simulator import settings
from cache_aware_sched.simulator import suggest
from tests.unit import base

CLASSES = (settings.Settings, options.Images, options.Trace,
           options.Synthetic, options.History, options.Options)


def parsed(class_, *argv):
    parser = argparse.ArgumentParser(exit_on_error=False)
    arguments.add(parser, class_)
    return arguments.make(class_, parser.parse_args(argv))


class Terminal(io.StringIO):

    def isatty(self):
        return True


class FieldsTests(base.TestCase):

    def test_nothing_given(self):
        for class_ in CLASSES:
            self.assertEqual(class_(), parsed(class_))

    def test_every_field_says_what_it_is_for(self):
        for class_ in (*CLASSES, suggest.SearchLimits):
            for field in dataclasses.fields(class_):
                if not dataclasses.is_dataclass(field.type):
                    self.assertRegex(
                        field.metadata['help'], '^[A-Z"nv].{10}.*[.]$')

    def test_numbers_texts_and_flags(self):
        found = parsed(
            settings.Settings, '--hosts', '3', '--fetch-mb-s', '2.5',
            '--cache-manager', 'lru', '--no-image-disk')

        self.assertEqual(
            settings.Settings(hosts=3, fetch_mb_s=2.5, cache_manager='lru',
                              image_disk=False), found)

    def test_what_comes_more_than_once(self):
        found = parsed(options.Synthetic, '--flavor', '1:512:1', '--flavor',
                       '2:1024:0.5')

        self.assertEqual(((1, 512, 1.0), (2, 1024, 0.5)), found.flavors)

    def test_times_and_pairs(self):
        found = parsed(options.History, '--until', '2026-01-31T12:00',
                       '--cell-database', 'a=mysql://b?c=d', '--cell-database',
                       'b=/etc/nova/b.conf')

        self.assertEqual(31, found.until.day)
        self.assertEqual((('a', 'mysql://b?c=d'), ('b', '/etc/nova/b.conf')),
                         found.cell_databases)

    def test_values_of_another_kind(self):
        for class_, *argv in (
                (settings.Settings, '--hosts', 'many'),
                (settings.Settings, '--fetch-mb-s', 'inf'),
                (options.History, '--since', 'yesterday'),
                (options.History, '--cell-database', 'cell1'),
                (options.Synthetic, '--flavor', '1:2:x')):
            self.assertRaises(argparse.ArgumentError, parsed, class_, *argv)

    def test_passwords_are_neither_taken_nor_shown(self):
        for text in ('cell1=mysql://nova:s3cret@db/nova', 'cell1',
                     'mysql://nova:s3cret@db/nova', 'cell1:s3cret',
                     'mysql://nova:s3cret@db/nova?charset=utf8',
                     'cell1=mysql://db/nova?user=nova&password=s3cret'):
            error = self.assertRaises(
                argparse.ArgumentError, parsed, options.History,
                '--cell-database', text)

            self.assertNotIn('s3cret', str(error))
            self.assertIn('--cell-database', str(error))

    def test_help_names_what_is_given(self):
        parser = argparse.ArgumentParser()
        arguments.add(parser, settings.Settings)
        arguments.add(parser, options.History)

        for text in ('--protected-image ID', '--config-file FILE',
                     '--cell-database CELL=FILE'):
            self.assertIn(text, parser.format_help())

    @hypothesis.given(strategies.text(string.ascii_letters + string.digits
                                      + string.punctuation, min_size=1))
    def test_no_password_is_shown(self, password):
        url = f'mysql+pymysql://nova:{password}@db/nova'

        shown = policies.command_line(['simulate', f'cell1={url}'])

        self.assertIn('mysql+pymysql://nova:***@db/nova', shown)

    def test_no_secret_of_a_fragment_is_shown(self):
        shown = policies.command_line([
            'simulate', '--common',
            '[api_database] connection = mysql://nova:s3cret@db/nova; '
            '[keystone_authtoken] password = s3cret '
            '[filter_scheduler] host_subset_size = 3',
            '--policy=mine=[neutron] metadata_proxy_shared_secret = s3cret',
            '--cell-database', 'cell1=mysql://db/nova?ssl_key=s3cret&x=s3cret',
            '--attribution', '[CC BY] https://u@x:s3cret@h/?a=s3cret'])

        self.assertEqual(
            "simulate --common '[api_database] connection = ***; "
            '[keystone_authtoken] password = ***; [filter_scheduler] '
            "host_subset_size = 3' '--policy=mine=[neutron] "
            "metadata_proxy_shared_secret = ***' --cell-database "
            "'cell1=mysql://db/nova?***' --attribution "
            "'[CC BY] https://u:***@h/?***'", shown)

    def test_fragment_is_found_however_it_is_given(self):
        for argv in (
                ['--policy', 'm=[neutron] password: s3cret'],
                ['--policy', 'm= [neutron] password = s3cret'],
                ['--policy=m=[neutron]\npassword = s3cret\n'],
                ['--common', ' [neutron] password = s3cret'],
                ['--common', '\n[neutron]\npassword = s3cret'],
                ['--comm', '# mine\n[neutron]\npassword = s3cret'],
                ['--pol=m=[neutron] password = "s3cret x"; region_name = a'],
                ['--policy', 'm=[no] such = s3cret']):
            self.assertNotIn('s3cret', policies.command_line(argv))


class FragmentTests(base.TestCase):

    @hypothesis.given(strategies.text())
    def test_any_text_is_taken_or_refused(self, text):
        for parse in (policies.option_set, policies.reference):
            try:
                parse(text)
            except argparse.ArgumentTypeError as error:
                self.assertNotIn('Traceback', str(error))

    @hypothesis.given(strategies.sampled_from(policy_mod.REFERENCES),
                      strategies.floats(-1e6, 1e6))
    def test_references(self, name, multiplier):
        self.assertEqual((name, multiplier),
                         policies.reference(f'{name}:{multiplier!r}'))

    def test_brackets_of_values_are_no_sections(self):
        for text, lines in (
                ('[DEFAULT] host = [::1]:5; b = 2',
                 ['host = [::1]:5', 'b = 2']),
                ('[DEFAULT]url=a://u@[::1]:5/', ['url=a://u@[::1]:5/']),
                ('[DEFAULT]host = [fe80::1]', ['host = [fe80::1]'])):
            self.assertEqual(['[DEFAULT]', *lines],
                             policies.fragment(text).splitlines())

    def test_sections_on_one_line(self):
        self.assertEqual(
            ['[a]', 'b = 1', '[c.d]', 'e=2', '[f]', 'g=3'],
            policies.fragment('[a]b = 1;[c.d]e=2 [f] g=3').splitlines())

    def test_lines_stay_as_they_are(self):
        text = '[a]\nb = 1; 2\n# [c]\n'

        self.assertEqual(text, policies.fragment(text))


class ColumnsTests(base.TestCase):

    def test_significant_digits(self):
        for value, text in (
                (0, '0'), (0.01234, '0.0123'), (1.0, '1.00'),
                (38.14, '38.1'), (999.6, '1,000'), (12345.6, '12,346')):
            self.assertEqual(text, columns.significant(value))


class ProgressTests(base.TestCase):

    def test_bars_of_what_is_simulated(self):
        stream = Terminal()
        compared = [policy_mod.stock(), policy_mod.ours('[mine]')]

        with progress.shown(stream, compared, 100) as tell:
            tell(0, 100)
            tell(1, 50)

        self.assertIn('all policies', stream.getvalue())
        self.assertIn('[mine]', stream.getvalue())
        self.assertIn('75%', stream.getvalue())
