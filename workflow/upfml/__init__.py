"""Machine-learning traffic classification in the kernel of a 5G user plane: all logic of the experiment.

Each package below is a room: it owns one part of the experiment. A stage knows the tables that it reads and writes
(base/tables.py), not the stage before it. A room imports only from rooms that stand above it in this list:

    base        errors, files and tables, statistics, words for pages
    arms        what takes a turn on N3 (a module)
    bpf         the Python side of the folder bpf/
    packets     capture files, frames, windows, features
    model       training, conversion to C, inference engines
    reference   the method in plain Python, which everything is compared with
    classify    the collector and the classifiers
    act         what is done with a class
    testbed     hosts, and the network between them
    provision   whether a machine is fit for the experiment
    traffic     the applications, and a generator of packets
    replay      recorded packets through the programs
    run         measured runs
    studies     questions to the programs and to the runs
    checks      tests that take too long for the test suite
    report      numbers, pages and figures
    config      config.yaml, checked (a module)
    glue        what the scripts of Snakemake share (a module)
    cli         the program upfml (a module)
"""

__version__ = "0.2.0"
