"""What all tests need."""

import signal

# A shell starts background jobs with SIGINT ignored, and what tests start would inherit that: no Ctrl-C could be tried.
signal.signal(signal.SIGINT, signal.default_int_handler)
