"""The traffic of the experiment, of both classes, made by real applications between the UE and the data network.

`ladder` encodes the video, `video` streams it (eMBB), and `control` sends messages (URLLC). `session` runs everything
for the time of a trace or a trial, and says afterwards which flow was what. Further applications, on which a trained
model is tried, are a file each: `download` (eMBB), and `voice`, `gaming` and `telemetry`, which are neither.
It imports base, bpf, packets and testbed.
"""
