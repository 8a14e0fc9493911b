"""Recorded packets through the programs of the kernel, each at its own time (BPF_PROG_TEST_RUN): no network needed.

The collector and the in-kernel classifier, as they are attached to N3, get every packet in the order of the recording;
the same recording gives the same packets, windows and decisions every time. A packets table: feed.py; captures:
captures.py and, as a command, `upfml replay`. It imports base, bpf, packets and classify.

Times in the tables: t_ns, t_close_ns and t_packet_ns (with it t_start_ns) are recorded ones, ns since 1970 UTC for a
capture; t_features_ns and t_label_ns are of the replay's own clock (CLOCK_MONOTONIC), so that their difference is the
time of the inference. Nobody waits for a decision here: t_delivered_ns is t_label_ns.
"""
