"""What all tests need."""

import resource
import signal

from tests.testbed.machines import machines, testbed  # noqa: F401  # fixtures: one set of machines for all tests

# A shell starts background jobs with SIGINT ignored, and what tests start would inherit that: no Ctrl-C could be tried.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Programs and maps of all tests in the kernel are open files of one process.
_, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_most, _most))
