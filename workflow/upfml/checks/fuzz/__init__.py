"""The parser in the kernel on mutated frames: it must say the same as the reference of every one.

Frames go through the real collector (BPF_PROG_TEST_RUN) in batches, each frame's number in place of its time, so that
an event names its frame. Compared are the counters of parsing and every field of every event. Mutants that lead the
reference down a new way, i.e. to a new outcome or along new headers, join the corpus from which further mutants come.
"""
